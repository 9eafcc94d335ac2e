"""The score of a detector with one column and no candidates: the column itself, never turned round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.arrays import Floats

if TYPE_CHECKING:
    import torch


class FirstColumn:
    """Takes the place of a `Combiner` where there is nothing to fit."""

    def __call__(self, values: Floats) -> Floats:
        return values[:, 0]

    def tensor(self, values: torch.Tensor) -> torch.Tensor:
        """The same number, differentiable in ``values`` ``(N, K)``."""
        return values[:, 0].double()
