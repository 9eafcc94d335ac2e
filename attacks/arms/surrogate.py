"""A distilled surrogate: a small net that learns the detector's score from what the attacked net computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ...bench.core.registry import register_arm
from ...bench.models.classifier import pool
from ..base import whole
from .contract import Problem
from .standin import Described, Predicted, StandIn

#: Noise on standardised features while they are fitted.
_JITTER = 0.4


@register_arm("distilled-surrogate")
@dataclass(frozen=True, kw_only=True)
class DistilledSurrogate(StandIn):
    """Gradient steps on the net and an MLP regressed to the exact score (Papernot et al. 2017's substitute).

    The MLP sees the spatial means of all taps, and the logits; it has two layers of ``width`` units, and a linear path
    beside them. ``epochs``: passes over all points in each fit (Adam, all points at once); half of them again with the
    images that were held out.
    """

    title = "Practical Black-Box Attacks against Machine Learning"
    year = 2017
    url = "https://arxiv.org/abs/1602.02697"

    width: int = 64
    epochs: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, "width", least=1)
        whole(self, "epochs", least=1)

    def _described(self, problem: Problem, guides: torch.Tensor, labels: torch.Tensor) -> Described:
        def described(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits, seen = problem.net.observe(x, problem.net.taps)
            return logits, torch.cat([*(pool(seen[tap]) for tap in problem.net.taps), logits], 1)

        return described

    def _fitted(
        self, features: torch.Tensor, targets: torch.Tensor, generator: torch.Generator, last: Predicted | None
    ) -> Predicted:
        if isinstance(last, Distilled):
            last.fit(features, targets, self.epochs // 2 + 1, generator)
            return last
        fitted = Distilled(features, targets, self.width, generator)
        fitted.fit(features, targets, self.epochs, generator)
        return fitted


class Distilled(nn.Module):
    """Standardised features ``(n, F)`` -> target ``(n,)``: two smooth layers and a linear path."""

    def __init__(self, features: torch.Tensor, targets: torch.Tensor, width: int, generator: torch.Generator) -> None:
        """Means and deviations are those of ``features`` and ``targets``; ``generator`` draws the first weights."""
        super().__init__()
        self.shift, self.scale = features.mean(0), features.std(0).clamp_min(1e-6)
        self.level, self.spread = targets.mean(), targets.std().clamp_min(1e-6)
        seen = features.shape[1]

        def drawn(rows: int, columns: int, gain: float) -> nn.Parameter:
            weights = torch.randn(rows, columns, generator=generator) * gain / rows**0.5
            return nn.Parameter(weights.to(features))

        self.first, self.second, self.last = drawn(seen, width, 1), drawn(width, width, 1), drawn(width, 1, 0.1)
        self.direct = nn.Parameter(features.new_zeros(seen, 1))
        self.biases = nn.ParameterList(nn.Parameter(features.new_zeros(size)) for size in (width, width, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        # What lies far outside of all that was fitted must not run away along the linear path.
        x = ((features - self.shift) / self.scale).clamp(-10, 10)
        hidden = nn.functional.silu(x @ self.first + self.biases[0])
        hidden = nn.functional.silu(hidden @ self.second + self.biases[1])
        standard: torch.Tensor = (hidden @ self.last + x @ self.direct + self.biases[2]).squeeze(1)
        return self.spread * standard + self.level

    def fit(self, features: torch.Tensor, targets: torch.Tensor, epochs: int, generator: torch.Generator) -> None:
        """Least squares by Adam with decaying steps and weights; afterwards no weight takes a gradient.

        Features are jittered by `_JITTER` of their deviations: there are nearly as many features as points, and without
        it a fit says less of images that it has not seen.
        """
        self.requires_grad_(True)
        jitter = _JITTER * self.scale * torch.randn(features.shape, generator=generator).to(features)
        adam = torch.optim.AdamW(self.parameters(), lr=0.01, weight_decay=1.0)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs)
        for _ in range(epochs):
            shuffled = jitter[torch.randperm(len(jitter), generator=generator).to(jitter.device)]
            adam.zero_grad()
            missed = (self(features + shuffled) - targets) / self.spread
            missed.square().mean().backward()
            adam.step()
            schedule.step()
        self.requires_grad_(False)
