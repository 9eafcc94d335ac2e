"""The contract of a saliency method: its description and its call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..core.keywords import named_fields

if TYPE_CHECKING:
    import torch

    from .net import AttributionNet


@named_fields
@dataclass(frozen=True)
class SaliencyInfo:
    """A method's origin and, in ``notes``, the differences from it.

    ``takes_layer``: the constructor has the keyword ``layer``, the path of the module that it explains, and receives
    the one that the suite names for its net (`gradcam_layer`).
    """

    title: str
    year: int
    formula: str
    venue: str = ""
    url: str = ""
    notes: str = ""
    takes_layer: bool = False


class SaliencyMethod(Protocol):
    """The contract of a registered class; a third-party class need not derive from `Attribution`."""

    info: ClassVar[SaliencyInfo]

    @property
    def parameters(self) -> dict[str, Any]: ...

    def __call__(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, *, ids: torch.Tensor, seed: int
    ) -> torch.Tensor: ...
