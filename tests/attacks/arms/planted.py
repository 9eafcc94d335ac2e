"""Nets and scores of which it is known what an attack can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from subnetbench.attacks.arms.contract import Score
from subnetbench.bench.core.registry import arms
from torch import nn

#: By a gradient of the detector; and by none.
WITH_GRADIENT = ("selective-pgd", "orthogonal-pgd", "lambda-sweep", "margin-apgd", "extra-logit-cw")
MATCHING = ("feature-matching", "logit-matching")


class Plain(nn.Module):
    """``logits_of`` flattened images, with one tap, ``features``, which by default is the images themselves."""

    taps: Sequence[str] = ("features",)

    def __init__(self, logits_of: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.logits_of = logits_of

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits_of(x.flatten(1))

    def observe(self, x: torch.Tensor, paths: Sequence[str] = ()) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        return self(x), dict.fromkeys(paths, x.flatten(1))


def plain_score(smooth: Any, *, exact: Any = None, guides: Any = None, **changes: Any) -> Score:
    """A score whose exact number is the smooth one, unless another is given; spreads are 1."""
    if guides is None:
        guides = torch.zeros(0, 1, 1, 1), torch.zeros(0, dtype=torch.long)
    return Score(
        **{"exact": exact or smooth, "smooth": smooth, "spread": 1.0, "margin_spread": 1.0, "guides": guides} | changes
    )


def attacked(
    name: str,
    net: Any,
    score: Score,
    tau: float,
    images: torch.Tensor,
    labels: torch.Tensor,
    seed: int = 0,
    **changes: Any,
) -> Any:
    arm = arms.get(name)(**changes)
    return arm(net, score, tau, images, labels, generator=torch.Generator().manual_seed(seed))


def succeeded(net: Any, score: Score, tau: float, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Wrong and accepted, judged from outside by the exact score."""
    with torch.no_grad():
        return (net(images).argmax(1) != labels) & (score.exact(images) <= tau)


#: Half of the pixels, ``A``, and the other half, ``B``: net ``m = sum A + sum B - need``, detector
#: ``s = sum (2 A - B)``, both of the change of an image. To be wrong and accepted within r takes
#: ``B = r`` and ``need - r <= A <= (r + tau) / 2``, in means over pixels, so ``r = (2 need - tau) / 3``.
HALF = 8
NEED, TAU = 0.09, 0.015
RADIUS = (2 * NEED - TAU) / 3
CLEAN = 0.5


def two_linear(*, classes: int = 2) -> tuple[Plain, Score, float]:
    """Net of ``classes`` classes (all beyond the second far off), score, and threshold."""
    signs = torch.cat([torch.full((HALF,), 2.0), torch.full((HALF,), -1.0)])

    def logits(flat: torch.Tensor) -> torch.Tensor:
        margin = (flat - CLEAN).sum(1) - HALF * NEED
        rest = torch.full((len(flat), classes - 2), -9.0)
        return torch.cat([torch.stack([-margin / 2, margin / 2], 1), rest], 1)

    def smooth(x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) - CLEAN) @ signs

    return Plain(logits), plain_score(smooth, spread=0.3, margin_spread=0.3), HALF * TAU


def clean(count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((count, 1, 4, HALF // 2), CLEAN), torch.zeros(count, dtype=torch.long)
