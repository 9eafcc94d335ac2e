"""What a detector declares and does: higher characteristics mean more adversarial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from ..bench.core.arrays import Floats

if TYPE_CHECKING:
    from ..bench.views import View

#: What a detector must be given before it can score: clean training data, adversarial examples (for its combiner),
#: gradients of the classifier, dropout in the classifier, class-specific subnets.
Need = Literal["clean", "adversarial", "gradient", "dropout", "subnets"]


@dataclass(frozen=True)
class DetectorInfo:
    """Where a detector comes from and what it needs. ``control`` marks a baseline, not a proposal."""

    title: str
    formula: str
    year: int
    needs: tuple[Need, ...] = ("clean",)
    venue: str = ""
    url: str = ""
    control: bool = False


@runtime_checkable
class Detector(Protocol):
    """A detector of adversarial images: fit on clean training data, then K numbers an image.

    ``fit`` sees the clean training view (with labels) and returns itself. ``characteristics`` maps a view without
    labels to ``(N, K)`` floats, higher = more adversarial; no other image of the view may matter. ``candidates`` are
    parameter values among which the protocol may choose on its fitting part (k of LID, m of Mahalanobis, the bandwidth
    of KD); each is merged into the constructor's keywords, and an empty tuple means that there is nothing to choose.
    """

    info: ClassVar[DetectorInfo]
    candidates: ClassVar[Sequence[Mapping[str, Any]]]

    def fit(self, train: View) -> Self: ...

    def characteristics(self, x: View) -> Floats: ...
