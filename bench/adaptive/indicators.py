"""Six indicators that an attack failed and not the defence won (Pintor et al. 2022), read from what an arm returned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...attacks.arms.best import Found, margin_of
from ...attacks.arms.contract import Arm, Net, Score
from ...attacks.base import attacking
from .binarise import accepts

#: An indicator is flagged above this share of the images.
MOST = 0.05
#: An image has no gradient where fewer of an arm's steps than this share had one.
USEFUL = 0.5
#: Size of the noise, in pixels of [0, 1], and the largest change of the score that it may make, in `Score.spread`.
NOISE, CHANGE = 1e-6, 1e-2
#: The last steps of a search, and a rise of the objective in them, in standard deviations, that is more than rounding.
LAST, RISE = 10, 1e-2


@dataclass(frozen=True)
class Indicator:
    """Share of the images to which it applies; None where it could not be measured, or there were no images."""

    share: float | None

    @property
    def flagged(self) -> bool:
        return self.share is not None and self.share > MOST


@dataclass(frozen=True)
class Indicators:
    """Signs that an arm failed; each is a share of the images.

    ``gradients_unavailable``: fewer than half of the steps had a finite gradient that is not 0, or the detector's own
    is none at the clean or the returned image. ``unstable``: the returned image's outcome or score changes when it is
    evaluated again, or under noise of 1e-6. ``silent_success``: an iterate succeeded by the score that the arm
    saw; the returned image does not, by the exact one. ``incomplete``: not solved, and the best objective still rose in
    the last 10 steps. ``transfer_failure``: the returned image succeeds by the smooth score and not by the exact one.
    ``unbounded_failure``: not solved by the same arm without a bound.
    """

    gradients_unavailable: Indicator
    unstable: Indicator
    silent_success: Indicator
    incomplete: Indicator
    transfer_failure: Indicator
    unbounded_failure: Indicator

    @property
    def flagged(self) -> tuple[str, ...]:
        """Names of the indicators above `MOST`, in their order."""
        return tuple(name for name, indicator in vars(self).items() if indicator.flagged)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: by name, ``share`` and ``flagged``."""
        return {name: {"share": one.share, "flagged": one.flagged} for name, one in vars(self).items()}


def indicators(
    net: Net,
    score: Score,
    tau: float,
    images: torch.Tensor,
    labels: torch.Tensor,
    found: Found,
    *,
    generator: torch.Generator,
    unbounded: Callable[[], Found] | None = None,
) -> Indicators:
    """The indicators of an arm that returned ``found`` for the clean ``images`` ``(N, C, H, W)``.

    ``unbounded`` runs the same arm without a bound (`without_bound`); left out, that indicator is None. Cost, besides
    it: five passes of net and score, two of them with a gradient.
    """
    count = len(images)
    if not count:
        return Indicators(*(Indicator(None) for _ in range(6)))
    with attacking(net):  # type: ignore[arg-type]  # a proof's net is a module too
        returned = found.images.detach()
        blind = found.gradients.cpu() < USEFUL
        if score.smooth is not None:
            blind |= _gradient_is_none(score, images) | _gradient_is_none(score, returned)
        with torch.no_grad():
            solved = _succeeds(net, score, tau, returned, labels)
            shaken = _unstable(net, score, tau, returned, labels, generator)
            smooth = None if score.smooth is None else _succeeds_smoothly(net, score, tau, returned, labels)
    free = None
    if unbounded is not None:
        far = unbounded().images.detach()
        with attacking(net), torch.no_grad():  # type: ignore[arg-type]
            free = ~_succeeds(net, score, tau, far, labels)
    return Indicators(
        gradients_unavailable=_share(blind),
        unstable=_share(shaken),
        silent_success=_share(found.ever.cpu() & ~solved),
        incomplete=_share(_still_rising(found.course).cpu() & ~solved),
        transfer_failure=Indicator(None) if smooth is None else _share(smooth & ~solved),
        unbounded_failure=Indicator(None) if free is None else _share(free),
    )


def without_bound(arm: Arm, images: torch.Tensor) -> Arm:
    """The same arm with the whole box in its ball: epsilon 1 in L-inf, the box's diagonal in L2."""
    return replace(arm, epsilon=1.0 if arm.norm == "Linf" else float(images[0].numel()) ** 0.5)


def _share(images: torch.Tensor) -> Indicator:
    return Indicator(int(images.sum()) / len(images))


def _succeeds(net: Net, score: Score, tau: float, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Where the net is wrong and the exact score accepts, ``(N,)``."""
    return _wrong(net, images, labels) & accepts(score, tau, images)


def _succeeds_smoothly(net: Net, score: Score, tau: float, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    assert score.smooth is not None
    return _wrong(net, images, labels) & (score.smooth(images).double() <= tau).cpu()


def _wrong(net: Net, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (margin_of(net(images), labels) > 0).cpu()


def _gradient_is_none(score: Score, images: torch.Tensor) -> torch.Tensor:
    """Where the detector's own gradient is 0 or not finite, ``(N,)``."""
    assert score.smooth is not None
    x = images.detach().clone().requires_grad_(True)
    value = score.smooth(x).sum()
    if not value.requires_grad:
        return torch.ones(len(images), dtype=torch.bool)
    (gradient,) = torch.autograd.grad(value, x, allow_unused=True)
    if gradient is None:
        return torch.ones(len(images), dtype=torch.bool)
    flat = gradient.flatten(1)
    return (~torch.isfinite(flat).all(1) | (flat == 0).all(1)).cpu()


def _unstable(
    net: Net, score: Score, tau: float, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Where evaluating again, or noise, changes the outcome or the score, ``(N,)``."""
    signs = torch.randint(0, 2, images.shape, generator=generator) * 2 - 1
    noisy = (images + NOISE * signs.to(images)).clamp(0, 1)
    trials = []
    for trial in (images, images, noisy):
        value = score.exact(trial).detach().double().cpu()
        trials.append((_wrong(net, trial, labels) & (value <= tau), value))
    (outcome, value), *others = trials
    changed = torch.zeros(len(images), dtype=torch.bool)
    for again, new in others:
        same = (new == value) | ((new - value).abs() <= CHANGE * score.spread) | (new.isnan() & value.isnan())
        changed |= (again != outcome) | ~same
    return changed


def _still_rising(course: torch.Tensor) -> torch.Tensor:
    """Where the best objective of ``course`` ``(steps, N)`` rose in the last steps, ``(N,)``."""
    last, earlier = course[-1], course[max(len(course) - 1 - LAST, 0)]
    return (last > earlier) & ~(last - earlier <= RISE)
