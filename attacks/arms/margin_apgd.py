"""Auto-PGD on the smaller of the margins to a wrong and to an accepted image: a number whose sign is success."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...bench.core.registry import register_arm
from ..base import number, whole
from .best import distances, margin_of, objective
from .contract import Arm, Problem
from .geometry import per_image, project, stride, within
from .gradients import last_look, see


@register_arm("margin-apgd")
@dataclass(frozen=True, kw_only=True)
class MarginAPGD(Arm):
    """Maximise ``min(m_c / sd_c, (tau - s) / sd_s)`` by APGD (Croce and Hein 2020, algorithm 1).

    ``m_c`` is the largest wrong logit less the right one; the deviations are of clean images, so that no weight has to
    be chosen. Steps start at twice ``epsilon``, have ``momentum`` .75, and are halved, image by image, at a checkpoint
    before which fewer than a share ``rho`` of the steps helped, or over which neither step nor best value changed; the
    image then goes back to its best. ``draws``: calls of a score with randomness at an iterate.
    """

    title = "Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks"
    year = 2020
    url = "https://arxiv.org/abs/2003.01690"

    momentum: float = 0.75
    rho: float = 0.75
    draws: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "momentum", above=0, most=1)
        number(self, "rho", least=0, most=1)
        whole(self, "draws", least=1)

    def _run(self, problem: Problem) -> None:
        for restart in range(self.restarts):
            start = problem.images
            if restart:
                start = within(start, self.epsilon, self.norm, problem.generator)
            self._climb(problem, start)

    def _climb(self, problem: Problem, x: torch.Tensor) -> None:
        course, marks, previous = Course(x, 2 * self.epsilon), checkpoints(self.steps), x
        for step in range(1, self.steps + 1):
            value, gradient = self._objective(problem, x)
            course.saw(x, value, gradient)
            if step in marks:
                back = per_image(course.checkpoint(self.rho * marks[step]), x)
                x, gradient = torch.where(back, course.best, x), torch.where(back, course.gradient, gradient)
                previous = torch.where(back, x, previous)
            ahead = x + per_image(course.size, x) * stride(gradient, self.norm, self.norm)
            ahead = project(ahead, problem.images, self.epsilon, self.norm)
            ahead = x + self.momentum * (ahead - x) + (1 - self.momentum) * (x - previous)
            x, previous = project(ahead, problem.images, self.epsilon, self.norm), x
        last_look(problem, x, self.draws)

    def _objective(self, problem: Problem, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The value ``(N,)`` and its gradient, that of the smaller part, each of which is looked at by itself."""
        seen = see(problem, x, lambda logits: margin_of(logits, problem.labels), self.draws)
        margin, of = margin_of(seen.logits, problem.labels).double(), problem.score
        wrong, accepted = distances(margin, seen.score.double(), problem.tau, of.spread, of.margin_spread)
        return objective(wrong, accepted), torch.where(per_image(accepted < wrong, x), seen.detector, seen.classifier)


class Course:
    """Per image: the best iterate with its gradient, and the size of steps ``(N,)``."""

    def __init__(self, start: torch.Tensor, size: float) -> None:
        count, at = len(start), start.device
        self.best, self.gradient = start, torch.zeros_like(start)
        self.size = torch.full((count,), size, device=at)
        self._highest = torch.full((count,), -math.inf, dtype=torch.float64, device=at)
        self._last = self._highest
        self._helped = torch.zeros(count, device=at)
        self._before = self._highest
        self._halved = torch.ones(count, dtype=torch.bool, device=at)  # no second condition at the first checkpoint

    def saw(self, x: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor) -> None:
        better = value > self._highest
        self.best = torch.where(per_image(better, x), x, self.best)
        self.gradient = torch.where(per_image(better, x), gradient, self.gradient)
        self._highest = torch.maximum(value, self._highest)
        self._helped += value > self._last
        self._last = value

    def checkpoint(self, least: float) -> torch.Tensor:
        """Halve the steps of those images, ``(N,)``, that too few steps helped, or that stand still."""
        still = ~self._halved & (self._highest == self._before)
        back = (self._helped < least) | still
        self.size = torch.where(back, self.size / 2, self.size)
        self._last = torch.where(back, self._highest, self._last)
        self._helped, self._before, self._halved = torch.zeros_like(self._helped), self._highest, back
        return back


def checkpoints(steps: int) -> dict[int, int]:
    """Steps after which APGD looks back, and over how many each: ``p_0 = 0``, ``p_1 = .22``,
    ``p_{j+1} = p_j + max(p_j - p_{j-1} - .03, .06)``, at ``ceil(p_j steps)``."""
    marks, before, now, last = {}, 0, 22, 0  # in hundredths: .41 + .16 is a little more than .57 in binary
    while now <= 100:
        mark = -(-now * steps // 100)
        if mark > last:
            marks[mark], last = mark - last, mark
        before, now = now, now + max(now - before - 3, 6)
    return marks
