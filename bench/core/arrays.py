"""The contracts everything else is written against.

Images are ``float32`` tensors of shape ``(N, C, H, W)`` with values in ``[0, 1]``; normalisation lives inside the
classifier. A detector's numbers are higher where an image looks more adversarial. Both are said here once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch  # for names alone: seconds that the pages and tables, which need no net, do without

    from ..models.classifier import Classifier
    from ..views import View

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: ``test_on`` of scores that serve every test column of their ``fit_on``.
EVERY = "*"

#: Channel gates of every class: gated module path -> ``(classes, channels)``, values >= 0, 0 = channel removed.
ClassGates: TypeAlias = "Mapping[str, torch.Tensor]"

#: What a detector must be given before it can score: clean training data, adversarial examples (for its combiner),
#: gradients of the classifier, dropout in the classifier, class-specific subnets.
Need = Literal["clean", "adversarial", "gradient", "dropout", "subnets"]


class UserError(Exception):
    """A mistake in what the user gave: one sentence that says what, where and the mend. Shown without a traceback."""


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


@dataclass(frozen=True)
class AttackInfo:
    """An attack's paper and threat model.

    ``minimum-norm`` attacks count as successful at any norm; ``budget`` attacks stay within ``epsilon`` (pixel units)
    of ``norm``. ``library`` and ``version`` say whose code ran.
    """

    title: str
    year: int
    threat: Literal["minimum-norm", "budget"]
    norm: Literal["L2", "Linf"]
    library: str
    version: str
    url: str = ""
    epsilon: float | None = None


@runtime_checkable
class Attack(Protocol):
    """The constructor takes the attack's parameters; the call is the problem.

    ``__call__`` returns images of the same shape, ``float32``, not necessarily successful: the harness verifies every
    one in float32. Every random draw must come from ``generator``. No image may depend on its neighbours in the batch
    unless the attack says so by ``batch_coupled = True`` (the harness then keeps the batch size fixed).
    """

    @property
    def info(self) -> AttackInfo: ...

    @property
    def parameters(self) -> dict[str, Any]: ...

    def __call__(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, *, generator: torch.Generator
    ) -> torch.Tensor: ...


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
