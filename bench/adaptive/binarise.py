"""The binarisation test: whether an attack finds an undetected adversarial image where one exists for certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ...attacks.arms.contract import Arm, Norm, Score
from ..core.errors import UserError
from ..models.classifier import PENULTIMATE, Classifier, evaluating
from .balls import allowed, inside, reaches, surface
from .heads import BinarisedNet, Head, head_between
from .proof import Proof

#: Share of epsilon in which the inner points lie.
INNER = 0.95
#: Where a head's boundary lies between the innermost points and the boundary point: close to it, or chance wins.
CLOSENESS = 0.99
#: Points of the surface that are tried for an image until the detector accepts one.
TRIES = 100
#: Points of one image in one pass.
BATCH = 500
#: Just below 0, and still a normal number in float32, in which arms compare scores.
BELOW_ZERO = -(2.0**-126)


def binarise(
    classifier: Classifier,
    score: Score,
    tau: float,
    images: torch.Tensor,
    *,
    epsilon: float,
    norm: Norm = "Linf",
    arms: Mapping[str, Arm],
    inner: int = 999,
    draws: int = 200,
    inverted: bool = False,
    generator: torch.Generator,
) -> Proof:
    """The binarisation test (Zimmermann et al. 2022, section 4) of ``arms`` on ``images`` ``(N, C, H, W)`` in [0, 1].

    For each image ``x``, which the detector accepts: ``inner`` points uniform within 0.95 ``epsilon``, and one boundary
    point at distance ``epsilon`` that the detector accepts. A head on penultimate features that has the inner points
    and ``x`` in class 0 and the boundary point in class 1 replaces the last layer, and the same arms start from ``x``.
    The detector, its score and ``tau`` stay, so an undetected adversarial image exists: the boundary point.

    ``inverted``: the boundary point is one that *is* detected, and so must be what the arms find: whether they can
    steer the detector at all. ``draws``: random points, half uniform in the ball and half on its surface: the control.
    Solved is what head and exact score say of an image within the ball, whatever an arm believes.

    Leave out arms that match the features or logits of a training image of another class: the guides' classes mean
    nothing to heads of two, so arms get all guides as class 0. Every arm gets a generator of its own, seeded from
    ``generator`` in the order of ``arms``. No images give an empty proof. UserError for a budget, a count or an arm
    that does not fit. Cost: ``inner + draws`` passes and a linear system for each image, and the arms.
    """
    _check(epsilon, norm, arms, inner, draws)
    images = images.detach().clone()
    test = _Test(classifier, *(negated(score, tau) if inverted else (score, tau)), epsilon, norm)
    with evaluating(classifier), torch.inference_mode(False), torch.no_grad():
        clean = accepts(score, tau, images)
        points, there = test.boundary(images, clean, generator)
        heads = [
            test.head(image, point, inner, generator) if good else None
            for image, point, good in zip(images, points, there.tolist(), strict=True)
        ]
        heads = test.confirmed(heads, images, points)
        set_up = torch.tensor([head is not None for head in heads], dtype=torch.bool)
        kept, start = [head for head in heads if head is not None], images[set_up]
        drawn = test.by_chance(kept, start, draws, generator)
    solved: dict[str, torch.Tensor] = {}
    for name, arm in arms.items():
        if solved and bool(torch.stack([*solved.values()]).any(0).all()):
            break  # nothing is left for this arm and those after it
        seed = int(torch.randint(2**62, (), generator=generator))
        solved[name] = test.by_arm(kept, start, arm, torch.Generator().manual_seed(seed))
    failures = {
        "clean image not accepted": int((~clean).sum()),
        "no boundary point": int((clean & ~there).sum()),
        "not separable": int(there.sum() - set_up.sum()),
    }
    by_arm = {name: _at(set_up, one) for name, one in solved.items()}
    return Proof(set_up, by_arm, _at(set_up, drawn), failures, inner, draws, inverted)


@dataclass(frozen=True)
class _Test:
    """Net, detector and ball; ``score`` and ``tau`` are negated for the inverted form."""

    classifier: Classifier
    score: Score
    tau: float
    epsilon: float
    norm: Norm

    def boundary(
        self, images: torch.Tensor, wanted: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A point on the surface for each image, and where one was found that the detector accepts, ``(N,)``."""
        points, there = images.clone(), torch.zeros(len(images), dtype=torch.bool)
        for _ in range(TRIES):
            missing = wanted & ~there
            if not missing.any():
                break
            trial = surface(images, self.epsilon, self.norm, generator)
            good = missing & reaches(trial, images, self.epsilon, self.norm).cpu()
            good &= accepts(self.score, self.tau, trial)
            points[good], there = trial[good], there | good
        return points, there

    def head(self, image: torch.Tensor, point: torch.Tensor, inner: int, generator: torch.Generator) -> Head | None:
        """The head of one image, which is in the net's own units: at ``image`` it is as sure as the net is there."""
        around = inside(image.expand(inner, *image.shape), INNER * self.epsilon, self.norm, generator)
        ends = torch.stack([image, point])
        logits, seen = self.classifier.observe(ends, (PENULTIMATE,))
        start, boundary = seen[PENULTIMATE]
        first, second = logits[0].topk(2).values
        parts = torch.split(around, BATCH)
        features = [self.classifier.observe(part, (PENULTIMATE,))[1][PENULTIMATE] for part in parts]
        margin = max(float(first - second), self.score.margin_spread, 1e-3)
        return head_between(start, torch.cat(features), boundary, margin=margin, closeness=CLOSENESS)

    def confirmed(self, heads: Sequence[Head | None], images: torch.Tensor, points: torch.Tensor) -> list[Head | None]:
        """The heads that, together in one net, have their image in class 0 and their boundary point in class 1."""
        chosen = [i for i, head in enumerate(heads) if head is not None]
        if not chosen:
            return list(heads)
        net = BinarisedNet(self.classifier, [head for head in heads if head is not None])
        good = ~is_one(net(images[chosen])) & is_one(net(points[chosen]))
        right = {i for i, fine in zip(chosen, good.tolist(), strict=True) if fine}
        return [head if i in right else None for i, head in enumerate(heads)]

    def by_chance(
        self, heads: Sequence[Head], images: torch.Tensor, draws: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Where one of ``draws`` random points is a solution, ``(N,)``."""
        solved = torch.zeros(len(images), dtype=torch.bool)
        net = BinarisedNet(self.classifier, heads)
        for draw in range(draws if heads else 0):
            where = surface if draw % 2 else inside
            trial = where(images, self.epsilon, self.norm, generator)
            solved |= self.solves(net, trial, images)
        return solved

    def by_arm(self, heads: Sequence[Head], images: torch.Tensor, arm: Arm, generator: torch.Generator) -> torch.Tensor:
        """Where the image that an arm returns is a solution, ``(N,)``."""
        if not heads:
            return torch.zeros(0, dtype=torch.bool)
        net = BinarisedNet(self.classifier, heads)
        labels = torch.zeros(len(images), dtype=torch.long, device=images.device)
        guides, _ = self.score.guides
        # An arm may ask the net about them, which has no classes but its two: the inner points' is the natural one.
        score = replace(self.score, guides=(guides, torch.zeros(len(guides), dtype=torch.long, device=guides.device)))
        found = arm(net, score, self.tau, images, labels, generator=generator)
        with evaluating(self.classifier), torch.inference_mode(False), torch.no_grad():
            return self.solves(net, found.images.detach(), images)

    def solves(self, net: BinarisedNet, points: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Where a point is of class 1, accepted by the exact score, and in ball and box, ``(N,)``."""
        solved = is_one(net(points)) & allowed(points, images, self.epsilon, self.norm).cpu()
        return solved & accepts(self.score, self.tau, points) if solved.any() else solved


def negated(score: Score, tau: float) -> tuple[Score, float]:
    """A score and a threshold that accept exactly what ``score`` and ``tau`` detect: ``tau - s``, and just below 0.

    A tie is accepted by the original and so not here: ``-s <= -tau`` would accept it in both.
    """
    smooth = score.smooth

    def exact(images: torch.Tensor) -> torch.Tensor:
        return tau - score.exact(images).double()

    def differentiable(images: torch.Tensor) -> torch.Tensor:
        assert smooth is not None
        return tau - smooth(images).double()

    return replace(score, exact=exact, smooth=None if smooth is None else differentiable), BELOW_ZERO


def accepts(score: Score, tau: float, images: torch.Tensor) -> torch.Tensor:
    """Where the detector accepts an image, ``(N,)`` on the CPU; a score that is not a number is not accepted."""
    if not len(images):
        return torch.zeros(0, dtype=torch.bool)
    return (score.exact(images).detach().double() <= tau).cpu()


def is_one(logits: torch.Tensor) -> torch.Tensor:
    """Where two logits say class 1, ``(N,)`` on the CPU; a tie does not."""
    return (logits[:, 1] > logits[:, 0]).cpu()


def _at(set_up: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Values of the images set up, in the places of all images."""
    placed = torch.zeros_like(set_up)
    placed[set_up] = values
    return placed


def _check(epsilon: float, norm: str, arms: Mapping[str, Arm], inner: int, draws: int) -> None:
    """UserError for what a proof cannot be made with."""
    if norm not in ("Linf", "L2"):
        raise UserError(f"The norm of a proof is {norm!r}; give Linf or L2.")
    most = 1 if norm == "Linf" else float("inf")
    if not (0 < epsilon <= most and epsilon < float("inf")):
        raise UserError(f"The epsilon of a proof is {epsilon!r}; give a number above 0{', at most 1' * (most == 1)}.")
    for name, count, least in (("inner", inner, 1), ("draws", draws, 1)):
        if not isinstance(count, int) or isinstance(count, bool) or count < least:
            raise UserError(f"{name} of a proof is {count!r}; give a whole number of at least {least}.")
    for name, arm in arms.items():
        if (arm.epsilon, arm.norm) != (epsilon, norm):
            raise UserError(
                f"The arm {name!r} is for epsilon {arm.epsilon:g} in {arm.norm} and its proof for {epsilon:g} in "
                f"{norm}; give both the same."
            )
