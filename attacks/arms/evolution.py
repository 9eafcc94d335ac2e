"""Antithetic evolution strategies: a gradient of the smoothed objective, estimated from pairs of queries."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...bench.core.registry import register_arm
from ..base import number, whole
from .contract import Arm, Problem
from .geometry import project
from .inner import judged, moved, scattered


@register_arm("evolution")
@dataclass(frozen=True, kw_only=True)
class Evolution(Arm):
    """Steps along an estimated gradient of the margin of net and detector (NES; Ilyas et al. 2018, algorithm 1).

    With Gaussian u, the estimate is the mean over ``pairs`` of ``(J(x + r u) - J(x - r u)) u``, J being
    ``min(m / sd_m, (tau - s) / sd_s)`` and r ``radius`` times ``epsilon`` (in L2 divided by the root of the number of
    pixel values). It is averaged over steps with weight ``momentum``. Each step asks for the net and the exact score
    of all images ``2 pairs + 1`` times. A probe is projected on the ball, and offered, since it may be a success.
    """

    title = "Black-box Adversarial Attacks with Limited Queries and Information"
    year = 2018
    url = "https://arxiv.org/abs/1804.08598"
    needs_gradient = False
    stands_in = True

    steps: int = 50
    pairs: int = 10
    radius: float = 0.5
    momentum: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, "pairs", least=1)
        number(self, "radius", above=0, most=1)
        number(self, "momentum", least=0, most=0.999)

    def _run(self, problem: Problem) -> None:
        for restart in range(self.restarts):
            x = problem.images
            if restart:
                x = scattered(x, self.epsilon, self.norm, problem.generator)
            judged(problem, x)
            direction = torch.zeros_like(x)
            for step in range(self.steps):
                direction = self.momentum * direction + (1 - self.momentum) * self._estimate(problem, x)
                problem.best.moved_by(direction)
                size = self.epsilon * (0.25 + (0.02 - 0.25) * step / max(self.steps - 1, 1))
                x = project(moved(x, direction, size, self.norm), problem.images, self.epsilon, self.norm)
                judged(problem, x)

    def _estimate(self, problem: Problem, x: torch.Tensor) -> torch.Tensor:
        clean, total = problem.images, torch.zeros_like(x)
        reach = self.radius * self.epsilon / (1 if self.norm == "Linf" else x[0].numel() ** 0.5)
        for _ in range(self.pairs):
            change = torch.randn(x.shape, generator=problem.generator).to(x)
            there, _ = judged(problem, project(x + reach * change, clean, self.epsilon, self.norm))
            back, _ = judged(problem, project(x - reach * change, clean, self.epsilon, self.norm))
            # Of what is no number on both sides, or on one, nothing is known.
            gain = (there - back).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
            total += gain.view(-1, 1, 1, 1) * change
        return total / self.pairs
