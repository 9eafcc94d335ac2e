"""What an attack passed through the classifier on its way: the nearest image that fooled it, beside what it returned.

An attack's loop is its own; what it looks at goes through the classifier, where a hook sees it (Cina et al. 2024,
"AttackBench", count and keep the best image the same way). Known only where the attack passes its images as the whole
batch, in their order, or says which images of it a part is: a library that does neither leaves no place to look up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from .classifier import Classifier

Norm = Literal["L0", "L1", "L2", "Linf"]

#: A pixel's distance outside [0, 1], and a share of the budget, that rounding may cause.
_SLACK = 1e-6
_OVER = 1e-4

#: Which images of the batch a pass is of; None: all of them.
_ROWS: ContextVar[torch.Tensor | None] = ContextVar("rows", default=None)


class Iterates:
    """``nearest`` ``(N,)``: least norm of a legal image, within the budget, that fooled the net; infinity: none."""

    def __init__(self, clean: torch.Tensor, labels: torch.Tensor, norm: str, epsilon: float | None) -> None:
        self._clean, self._labels, self._norm, self._epsilon = clean, labels, norm, epsilon
        self._nearest = torch.full((len(clean),), torch.inf, device=clean.device)
        self._whole, self._parts = 0, 0

    @property
    def known(self) -> bool:
        return self._whole > 0 and not self._parts

    @property
    def nearest(self) -> npt.NDArray[np.float32]:
        return self._nearest.cpu().numpy().astype(np.float32)

    def __call__(self, _module: nn.Module, inputs: Any, output: Any) -> None:
        images = inputs[0] if inputs else None
        rows = _ROWS.get()
        which = slice(None) if rows is None else rows
        clean = self._clean[which]
        if not isinstance(images, torch.Tensor) or images.shape != clean.shape:
            self._parts += 1
            return
        self._whole += 1
        with torch.no_grad():
            x = images.detach().to(clean)
            length = norms_of(x - clean, self._norm)
            legal = (x >= -_SLACK).flatten(1).all(1) & (x <= 1 + _SLACK).flatten(1).all(1)
            if self._epsilon is not None:
                legal &= length <= self._epsilon * (1 + _OVER) + _SLACK
            fooled = legal & (output.detach().argmax(1) != self._labels[which])
            nearest = self._nearest[which]
            self._nearest[which] = torch.where(fooled, torch.minimum(nearest, length), nearest)


@contextmanager
def watched(
    classifier: Classifier, clean: torch.Tensor, labels: torch.Tensor, norm: str, epsilon: float | None = None
) -> Iterator[Iterates]:
    """See every pass of images ``(N, C, H, W)`` through the classifier in the body; ``epsilon``: only those within."""
    iterates = Iterates(clean, labels, norm, epsilon)
    hook = classifier.register_forward_hook(iterates)
    try:
        yield iterates
    finally:
        hook.remove()


@contextmanager
def part_of_batch(rows: torch.Tensor) -> Iterator[None]:
    """State that the passes in the body are of the images ``rows`` ``(n,)`` of the batch, in that order."""
    token = _ROWS.set(rows)
    try:
        yield
    finally:
        _ROWS.reset(token)


def norms_of(change: torch.Tensor, norm: str) -> torch.Tensor:
    """``(N,)`` norms of changes in pixel units; L0 counts values that changed by more than rounding."""
    flat = change.flatten(1)
    if norm == "L0":
        return (flat.abs() > _SLACK).sum(1).to(flat.dtype)
    return flat.abs().amax(1) if norm == "Linf" else flat.norm(p=1 if norm == "L1" else 2, dim=1)
