"""An image that looks to the net, inside, like a clean one of another class; no gradient of the detector is needed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...bench.core.errors import UserError
from ...bench.core.registry import register_arm
from ..base import number, whole
from .contract import Arm, Norm, Problem
from .geometry import project, stride
from .gradients import calls, gradient_of
from .guides import Guides, nearest_guides


@dataclass(frozen=True, kw_only=True)
class Matching(Arm):
    """Least ``sum_l |phi_l(x') - phi_l(guide)|^2 / var_l`` over parts ``phi_l`` of what the net makes of an image.

    The guide is a clean training image of another class than the label, the nearest to the image in the same distance;
    every restart starts at the image and takes the next one. ``var_l`` is the variance over the first ``guides`` of
    them, summed over the part's values. ``noise``: standard deviation of normal noise on the image, over ``draws``
    draws of which the gradient's mean is taken (expectation over transformation), against detectors that look at an
    image under noise.
    ``step_size`` (None: 2.5 ``epsilon`` / ``steps``) falls to a tenth over a run; ``step`` is as in `stride`.

    Iterates are judged by the smooth score; where there is none, by the exact one every ``look_every`` steps and at the
    end. A score with randomness is asked ``draws`` times. In a proof, where every row has a head of its own, the
    nearest guide is looked for by logits of whatever rows the guides lie in, and then imitated by those of the right
    row.
    """

    needs_gradient = False
    needs_guides = True

    restarts: int = 3
    step: Norm | None = None
    step_size: float | None = None
    guides: int = 1000
    noise: float = 0.0
    draws: int = 1
    look_every: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("guides", "draws", "look_every"):
            whole(self, name, least=1)
        number(self, "noise", least=0)
        if self.step_size is not None:
            number(self, "step_size", above=0)
        if self.step not in (None, "Linf", "L2"):
            raise UserError(f"step of {type(self).__name__} is {self.step!r}; give Linf, L2 or nothing.")

    @abstractmethod
    def _space(self, problem: Problem, x: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """Logits, and the parts that are matched."""

    def _run(self, problem: Problem) -> None:
        guides = nearest_guides(problem, lambda x: self._space(problem, x), self.guides)
        for restart in range(self.restarts):
            self._match(problem, guides, restart)

    def _match(self, problem: Problem, guides: Guides, rank: int) -> None:
        with torch.no_grad():
            wanted = self._space(problem, guides.chosen(rank))[1]
        x, size = problem.images, self.step_size or 2.5 * self.epsilon / self.steps
        for step in range(self.steps):
            if problem.score.smooth is not None or step % self.look_every == 0:
                self._look(problem, x)
            else:
                problem.best.unjudged()
            gradient = self._gradient(problem, x, wanted, guides.variances)
            problem.best.moved_by(gradient)
            move = size * (1 - 0.9 * step / self.steps)
            way = stride(gradient, self.step or self.norm, self.norm)
            x = project(x - move * way, problem.images, self.epsilon, self.norm)
        self._look(problem, x)

    def _look(self, problem: Problem, x: torch.Tensor) -> None:
        scored = problem.score.smooth or problem.score.exact
        with torch.no_grad():
            scores = [scored(x) for _ in range(calls(problem, self.draws))]
            problem.best.offer(x, problem.net(x), torch.stack(scores).double().mean(0))

    def _gradient(
        self, problem: Problem, x: torch.Tensor, wanted: Sequence[torch.Tensor], variances: Sequence[float]
    ) -> torch.Tensor:
        """Of the distance, its mean over draws of noise; all images of a batch share the noise, so that none depends on
        its place among the others."""
        total, draws = torch.zeros_like(x), self.draws if self.noise else 1
        for _ in range(draws):
            seen = x.detach().requires_grad_()
            noise = torch.zeros(())
            if self.noise:
                noise = self.noise * torch.randn(1, *x.shape[1:], generator=problem.generator)
            _, parts = self._space(problem, seen + noise.to(x.device))
            distance = sum(
                ((part - goal).flatten(1) ** 2).sum(1) / variance
                for part, goal, variance in zip(parts, wanted, variances, strict=True)
            )
            assert isinstance(distance, torch.Tensor)
            total += gradient_of(distance, seen) / draws
        return total


@register_arm("feature-matching")
@dataclass(frozen=True, kw_only=True)
class FeatureMatching(Matching):
    """The outputs of all taps, every value of them (Sabour et al. 2016 with one layer)."""

    title = "Adversarial Manipulation of Deep Representations"
    year = 2016
    url = "https://arxiv.org/abs/1511.05122"

    def _space(self, problem: Problem, x: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        logits, seen = problem.net.observe(x, tuple(problem.net.taps))
        return logits, [seen[path] for path in problem.net.taps]


@register_arm("logit-matching")
@dataclass(frozen=True, kw_only=True)
class LogitMatching(Matching):
    """The logits (Tramer et al. 2020, against "The Odds are Odd")."""

    title = "On Adaptive Attacks to Adversarial Example Defenses"
    year = 2020
    url = "https://arxiv.org/abs/2002.08347"

    def _space(self, problem: Problem, x: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        logits = problem.net(x)
        return logits, [logits]
