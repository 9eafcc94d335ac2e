"""Attacks through a stand-in: a differentiable regression of the exact score, fitted where the attack is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..base import whole
from .best import margin_of
from .contract import Arm, Problem
from .geometry import project
from .inner import exact, judged, moved, over_blocks, scattered

#: Images ``(N, C, H, W)`` -> logits ``(N, classes)`` and what a regression sees ``(N, F)``, differentiable.
Described = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
#: Such features ``(N, F)`` -> predicted target ``(N,)``, differentiable.
Predicted = Callable[[torch.Tensor], torch.Tensor]

_LEAST = 1e-12
#: Points of one fit at most, which bounds its time; the attack asks for more than that where images are many.
_MOST_POINTS = 4096


@dataclass
class Points:
    """What was asked of the exact score: features ``(n, F)``, targets ``(n,)`` and the images they are versions of.

    The target is ``asinh((s - tau) / sd_s)``: linear about the threshold, which alone decides, and calm where a score
    of what is plainly adversarial is a thousand deviations off.
    """

    problem: Problem
    described: Described
    features: list[torch.Tensor] = field(default_factory=list)
    targets: list[torch.Tensor] = field(default_factory=list)
    sources: list[torch.Tensor] = field(default_factory=list)

    def target(self, score: torch.Tensor) -> torch.Tensor:
        scale = max(self.problem.score.spread, _LEAST)
        return torch.asinh((score.double() - self.problem.tau) / scale).to(self.problem.images.dtype)

    def add(self, features: torch.Tensor, target: torch.Tensor, sources: torch.Tensor) -> None:
        good = torch.isfinite(target) & torch.isfinite(features).all(1)
        self.features.append(features.detach()[good])
        self.targets.append(target[good])
        self.sources.append(sources.to(good.device)[good])

    def judge(self, x: torch.Tensor, regression: Predicted | None = None) -> torch.Tensor:
        """Offer an iterate ``(N, C, H, W)`` with its exact scores, and remember it.

        Returns how much too low the regression is there, ``(N,)``; 0 without one, or where that is no number.
        """
        _, score = judged(self.problem, x)
        target = self.target(score)
        with torch.no_grad():
            _, features = self.described(x)
            self.add(features, target, torch.arange(len(x)))
            if regression is None:
                return torch.zeros_like(target)
            return (target - regression(features)).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)

    def ask_guides(self, guides: torch.Tensor, sources: torch.Tensor) -> None:
        """Ask for ``(M, C, H, W)`` images that are none of the batch's; ``sources`` ``(M,)`` are their numbers."""
        with torch.no_grad():
            features = over_blocks(self.problem, guides, lambda block: self.described(block)[1])
        score = over_blocks(self.problem, guides, lambda block: exact(self.problem, block))
        self.add(features, self.target(score), sources)

    def drawn(self, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features ``(n, F)`` and targets ``(n,)`` of at most `_MOST_POINTS` points, and whether each is held out.

        Held out are all points of a fifth of the images: versions of one image tell too much of each other.
        """
        sources = torch.cat(self.sources)
        chosen = torch.randperm(len(sources), generator=generator)[:_MOST_POINTS].to(sources.device)
        known = torch.unique(sources[chosen])
        held = known[torch.randperm(len(known), generator=generator)[: len(known) // 5].to(known.device)]
        return torch.cat(self.features)[chosen], torch.cat(self.targets)[chosen], torch.isin(sources[chosen], held)


@dataclass(frozen=True, kw_only=True)
class StandIn(Arm):
    """Gradient steps on the net and on a regression of the exact score; only the exact score judges an iterate.

    The regression is fitted on ``guides`` clean training images, on versions of them within the ball (random ones,
    and ones that follow the net's gradient), and on such versions of the attacked images. The steps of a restart fall
    into ``rounds + 1`` parts: the first goes against the net alone, and before each of the others the regression is
    fitted again with all that was asked since. Every ``judge_every`` steps, and at the end of a part, the iterates are
    judged by the exact score, and the regression's error there is taken off for the steps that follow, image by image.

    ``Found.fit`` is the last regression's R^2 on all versions of a fifth of the images, guides and attacked ones, that
    it was not fitted on, in the units of `Points`; for the steps themselves it is then fitted on them too.
    """

    needs_gradient = False
    stands_in = True

    guides: int = 256
    rounds: int = 3
    judge_every: int = 5
    draws: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, "guides", least=1)
        whole(self, "rounds", least=1)
        whole(self, "judge_every", least=1)
        whole(self, "draws", least=0)

    @abstractmethod
    def _described(self, problem: Problem, guides: torch.Tensor, labels: torch.Tensor) -> Described:
        """What the regression sees of an image; ``guides`` are ``(M, C, H, W)``, of the classes ``labels`` ``(M,)``."""

    @abstractmethod
    def _fitted(
        self, features: torch.Tensor, targets: torch.Tensor, generator: torch.Generator, last: Predicted | None
    ) -> Predicted:
        """A regression on features ``(n, F)`` and targets ``(n,)``; ``last`` may be continued on more points."""

    def _run(self, problem: Problem) -> None:
        guides, labels = self._guides(problem)
        points = Points(problem, self._described(problem, guides, labels))
        self._ask_about(points, guides, labels)
        for restart in range(self.restarts):
            x = problem.images
            if restart:
                x = scattered(x, self.epsilon, self.norm, problem.generator)
            first, *later = parts(self.steps, self.rounds + 1)
            x = self._climb(points, x, first, None)
            for steps in later:
                for _ in range(self.draws):
                    points.judge(scattered(problem.images, self.epsilon, self.norm, problem.generator))
                x = self._climb(points, x, steps, self._regression(points))

    def _guides(self, problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
        """At most ``guides`` of the clean training images with their labels, on the attacked images' device."""
        images, labels = problem.score.guides
        chosen = torch.randperm(len(images), generator=problem.generator)[: self.guides].to(images.device)
        to = problem.images.device
        return images[chosen].to(problem.images), labels[chosen.to(labels.device)].clone().to(to)

    def _ask_about(self, points: Points, guides: torch.Tensor, labels: torch.Tensor) -> None:
        """Guides as they are, scattered in their balls, and after three steps each against the net."""
        if not len(guides):
            return
        problem, sources = points.problem, len(points.problem.images) + torch.arange(len(guides))
        points.ask_guides(guides, sources)
        points.ask_guides(scattered(guides, self.epsilon, self.norm, problem.generator), sources)
        x = guides
        for _ in range(3):
            x = project(
                moved(x, _uphill(problem, x, labels), self.epsilon / 2, self.norm), guides, self.epsilon, self.norm
            )
            points.ask_guides(x, sources)

    def _regression(self, points: Points) -> Predicted | None:
        """The next regression, its R^2 noted; None where hardly a score was a number."""
        generator = points.problem.generator
        features, targets, held = points.drawn(generator)
        if int((~held).sum()) < 2:
            return None
        first = self._fitted(features[~held], targets[~held], generator, None)
        with torch.no_grad():
            points.problem.best.fit = explained(first(features[held]), targets[held])
        return self._fitted(features, targets, generator, first)

    def _climb(self, points: Points, x: torch.Tensor, steps: int, regression: Predicted | None) -> torch.Tensor:
        """``steps`` steps from ``x``, of sizes that fall from a quarter of the radius to a fiftieth of it."""
        problem, low = points.problem, points.judge(x, regression)
        for step in range(steps):
            x = x.detach().requires_grad_(True)
            logits, features = points.described(x)
            clear = torch.asinh(margin_of(logits, problem.labels) / max(problem.score.margin_spread, _LEAST))
            worth = clear if regression is None else soft_minimum(clear, -(regression(features) + low))
            (gradient,) = torch.autograd.grad(worth.sum(), x)
            problem.best.moved_by(gradient)
            size = self.epsilon * (0.25 + (0.02 - 0.25) * step / max(steps - 1, 1))
            x = project(moved(x.detach(), gradient, size, self.norm), problem.images, self.epsilon, self.norm)
            if (step + 1) % self.judge_every == 0 or step + 1 == steps:
                low = points.judge(x, regression)
            else:
                problem.best.unjudged()
        return x.detach()


def _uphill(problem: Problem, guides: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Gradient of the net's margin at guides ``(M, C, H, W)``, taken in batches of the attacked images' number."""
    count = len(problem.images)
    places = torch.split(torch.arange(len(guides)), count)
    gradients = []
    for place in places:
        padded = place[torch.arange(count) % len(place)].to(guides.device)
        x = guides[padded].detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(margin_of(problem.net(x), labels[padded]).sum(), x)
        gradients.append(gradient[: len(place)])
    return torch.cat(gradients)


def soft_minimum(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The lesser of both with a gradient of either, so that neither is forgotten while the other is pursued."""
    return -torch.logsumexp(-torch.stack([first, second]), 0)


def parts(steps: int, count: int) -> list[int]:
    """``steps`` in ``count`` parts that differ by at most one, the later ones longer."""
    return [(steps * (part + 1)) // count - (steps * part) // count for part in range(count)]


def explained(predicted: torch.Tensor, truth: torch.Tensor) -> float | None:
    """R^2 of predictions ``(n,)``: 1 is perfect, 0 what the mean does; None where ``truth`` does not vary."""
    truth, predicted = truth.double(), predicted.double()
    total = float((truth - truth.mean()).square().sum()) if len(truth) else 0.0
    return 1 - float((truth - predicted).square().sum()) / total if total > 0 else None
