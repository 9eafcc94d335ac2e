"""What a saliency method declares and does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch

from .net import AttributionNet


@dataclass(frozen=True)
class SaliencyInfo:
    """Where a method comes from, and in ``notes`` where it is done otherwise than there.

    ``takes_layer``: its constructor has the keyword ``layer``, the path of the module that it explains, and is given
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
    """The contract of a registered class; a stranger's need not derive from `Attribution`."""

    info: ClassVar[SaliencyInfo]

    @property
    def parameters(self) -> dict[str, Any]: ...

    def __call__(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, *, ids: torch.Tensor, seed: int
    ) -> torch.Tensor: ...
