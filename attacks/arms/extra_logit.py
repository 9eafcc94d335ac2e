"""Net and detector as one classifier with a class more, "adversarial", attacked as any classifier is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...bench.core.errors import UserError
from ...bench.core.registry import register_arm
from ..base import number, whole
from .best import margin_of
from .contract import Arm, Problem
from .geometry import project, stride, within
from .gradients import calls, gradient_of, last_look

#: Decay of the two moments of Adam (Kingma and Ba 2015), and what keeps it from dividing by 0.
DECAY, SQUARES_DECAY, TINY = 0.9, 0.999, 1e-12


@register_arm("extra-logit-cw")
@dataclass(frozen=True, kw_only=True)
class ExtraLogitCW(Arm):
    """Carlini and Wagner's attack on their combined classifier ``G`` (2017, "Adversarial Examples Are Not Easily
    Detected", section 2.4): ``G_i = z_i`` shifted to a minimum of 0, and ``G_N = (d + 1) max_i G_i`` with
    ``d = (s - tau) / sd_s``. Success is a class other than the label *and* other than N.

    Least ``mean((x' - x)^2) / epsilon^2 + c max(max(G_y, G_N) - max_{i other than y, N} G_i + confidence, 0)`` over the
    ball, by Adam with projected steps, ``steps`` for each of ``constants``, the values of c; in an L2 ball the distance
    is ``|x' - x|^2 / epsilon^2``. G and ``confidence`` are in units of the margins' spread over clean images, so that c
    means the same on every net. ``step_size``, in units of the ball's norm (None: 2.5 ``epsilon`` / ``steps``), falls
    to a tenth over a run. ``draws``: calls of a score with randomness at an iterate.
    """

    title = "Adversarial Examples Are Not Easily Detected: Bypassing Ten Detection Methods"
    year = 2017
    url = "https://arxiv.org/abs/1705.07263"

    constants: Sequence[float] = (1.0, 10.0, 100.0)
    confidence: float = 0.1
    step_size: float | None = None
    draws: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "confidence", least=0)
        whole(self, "draws", least=1)
        if self.step_size is not None:
            number(self, "step_size", above=0)
        good = isinstance(self.constants, Sequence) and len(self.constants) > 0 and not isinstance(self.constants, str)
        if not (good and all(isinstance(c, int | float) and 0 < c < float("inf") for c in self.constants)):
            raise UserError(f"constants of {type(self).__name__} are {self.constants!r}; give numbers above 0.")

    def _run(self, problem: Problem) -> None:
        for constant in self.constants:
            for restart in range(self.restarts):
                start = problem.images
                if restart:
                    start = within(start, self.epsilon, self.norm, problem.generator)
                self._descend(problem, start, constant)

    def _descend(self, problem: Problem, x: torch.Tensor, constant: float) -> None:
        size = self.step_size or 2.5 * self.epsilon / self.steps
        first = torch.zeros_like(x, dtype=torch.float64)  # squares of small gradients would vanish in float32
        second = first
        for step in range(1, self.steps + 1):
            gradient = torch.nan_to_num(self._gradient(problem, x, constant), nan=0.0, posinf=0.0, neginf=0.0).double()
            first = DECAY * first + (1 - DECAY) * gradient
            second = SQUARES_DECAY * second + (1 - SQUARES_DECAY) * gradient**2
            mean, square = first / (1 - DECAY**step), second / (1 - SQUARES_DECAY**step)
            way = mean / (square.sqrt() + TINY)
            # Adam's values are at most about 1, like signs; in an L2 ball only the direction is kept.
            way = way if self.norm == "Linf" else stride(way, "L2", "L2")
            move = size * (1 - 0.9 * (step - 1) / self.steps)
            x = project(x - move * way, problem.images, self.epsilon, self.norm)
        last_look(problem, x, self.draws)

    def _gradient(self, problem: Problem, x: torch.Tensor, constant: float) -> torch.Tensor:
        """Of the whole objective, through net and score, each by itself: a NaN of one does not reach the other."""
        x = x.detach().requires_grad_()
        logits = problem.net(x)
        number = calls(problem, self.draws)
        scores = torch.stack([problem.smooth(x) for _ in range(number)])
        score = scores.mean(0)
        problem.best.offer(x, logits, score)
        held_logits = logits.detach().requires_grad_()
        held_score = score.detach().double().requires_grad_()
        loss = self._loss(problem, held_logits, held_score)
        by_logits, by_score = torch.autograd.grad(loss.sum(), (held_logits, held_score))
        through_net = gradient_of((logits * by_logits).sum(1), x)
        lowered = -gradient_of(score, x)
        problem.best.moved_by(lowered)
        weight = by_score.view(-1, *(1,) * (x.ndim - 1)).to(x.dtype)
        through_score = torch.where(weight != 0, -weight * lowered, 0.0)
        whole_loss = constant * (through_net + torch.nan_to_num(through_score, nan=0.0, posinf=0.0, neginf=0.0))
        change = x.detach() - problem.images
        per_value = change[0].numel() if self.norm == "Linf" else 1
        return whole_loss + 2 * change / (per_value * self.epsilon**2)

    def _loss(self, problem: Problem, logits: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
        """``max(max(G_y, G_N) - max_{i other than y, N} G_i + confidence, 0)``, ``(N,)``."""
        d = (score - problem.tau) / max(problem.score.spread, 1e-12)
        # A score that is not a number leaves the net's part as it is, and an infinite one does not make it NaN.
        alarm = extra_logit(logits, d.nan_to_num(nan=-1.0, posinf=1e30, neginf=-1e30))
        # G_y less the largest other, and G_N less the largest other; the shift goes from both.
        mistaken = margin_of(logits, problem.labels).double()
        shifted = logits.double() - logits.double().amin(1, keepdim=True)
        other = shifted.scatter(1, problem.labels.unsqueeze(1), -torch.inf).amax(1)
        behind = torch.maximum(-mistaken, alarm - other)
        return (behind / max(problem.score.margin_spread, 1e-12) + self.confidence).clamp_min(0)


def extra_logit(logits: torch.Tensor, alarm: torch.Tensor) -> torch.Tensor:
    """``G_N = (d + 1) max_i G_i`` ``(N,)``, for ``d`` ``(N,)``: the largest of all exactly where ``d > 0``, unless all
    logits are equal."""
    shifted = logits.double() - logits.double().amin(1, keepdim=True)
    return (alarm + 1) * shifted.amax(1)
