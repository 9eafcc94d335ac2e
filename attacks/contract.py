"""The contract of an attack: its description and its call; images are float32 ``(N, C, H, W)`` in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from ..bench.core.keywords import named_fields

if TYPE_CHECKING:
    import torch

    from ..bench.models.classifier import Classifier


#: Norms of a change: L0 counts the values that differ, a pixel's channels one by one; the others are of these values.
Norm = Literal["L0", "L1", "L2", "Linf"]


@named_fields
@dataclass(frozen=True)
class AttackInfo:
    """An attack's paper and threat model.

    ``minimum-norm`` attacks count as successful at any norm; ``budget`` attacks stay within ``epsilon`` (pixel units)
    of ``norm``. ``library`` and ``version`` name the code that ran. ``batch_coupled``: images depend on their
    neighbours in the batch; ``batch_size``: the attack needs batches of exactly this size, whatever a suite sets.
    """

    title: str
    year: int
    threat: Literal["minimum-norm", "budget"]
    norm: Norm
    library: str
    version: str
    url: str = ""
    epsilon: float | None = None
    batch_coupled: bool = False
    batch_size: int | None = None


@runtime_checkable
class Attack(Protocol):
    """The constructor takes the attack's parameters; the call is the problem.

    ``__call__`` returns images of the same shape, ``float32``, not necessarily successful: the harness verifies every
    one in float32. Every random draw must come from ``generator``. No image may depend on its neighbours in the batch
    unless ``info.batch_coupled`` says so.

    Optional: ``passes(classes: int) -> float``, the approximate number of forward passes per image on a net of
    ``classes`` classes, where a backward pass counts as two. The estimate of a run uses it; without it, the estimate is
    one gradient (three passes) for each of the parameter ``steps``, or a single one if there is no such parameter.
    ``minimises: bool``: whether a ``minimum-norm`` attack looks for the least norm. By default it does, unless its
    parameter ``norm_weight`` is 0; one that does not is not measured by the norms of others.
    """

    @property
    def info(self) -> AttackInfo: ...

    @property
    def parameters(self) -> dict[str, Any]: ...

    def __call__(
        self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor, *, generator: torch.Generator
    ) -> torch.Tensor: ...
