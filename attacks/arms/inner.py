"""What arms without a gradient of the detector share: their objective, steps, starts, and queries of other images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from .best import LEAST, distances, margin_of, objective
from .geometry import project
from .guides import blocks

if TYPE_CHECKING:
    from .contract import Norm, Problem


def lengths(change: torch.Tensor) -> torch.Tensor:
    """L2 norm of each image, ``(N, 1, 1, 1)``."""
    size: torch.Tensor = torch.linalg.vector_norm(change.flatten(1), dim=1)
    return size.view(-1, *(1,) * (change.ndim - 1))


def moved(x: torch.Tensor, gradient: torch.Tensor, size: float, norm: Norm) -> torch.Tensor:
    """A step uphill of ``size`` in ``norm``; a gradient that is not finite moves nothing."""
    gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
    if norm == "Linf":
        return x + size * gradient.sign()
    return x + size * gradient / lengths(gradient).clamp_min(LEAST)


def scattered(clean: torch.Tensor, epsilon: float, norm: Norm, generator: torch.Generator) -> torch.Tensor:
    """A random image in the ball of each clean one, at a random share of the radius: far and near ones alike."""
    share = torch.rand(len(clean), *(1,) * (clean.ndim - 1), generator=generator)
    if norm == "Linf":
        change = torch.randint(0, 2, clean.shape, generator=generator) * 2.0 - 1.0
    else:
        change = torch.randn(clean.shape, generator=generator)
        change = change / lengths(change).clamp_min(LEAST)
    return project(clean + (epsilon * share * change).to(clean), clean, epsilon, norm)


def judged(problem: Problem, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Objective of an iterate ``(N, C, H, W)`` and its exact scores, both ``(N,)``; the iterate is offered.

    `best.objective` with the margin of the net and the exact score: above 0 is success.
    """
    with torch.no_grad():
        logits, score = problem.net(x), exact(problem, x)
    problem.best.offer(x, logits, score)
    of = problem.score
    clear, below = distances(margin_of(logits, problem.labels), score, problem.tau, of.spread, of.margin_spread)
    return objective(clear, below), score


def exact(problem: Problem, x: torch.Tensor) -> torch.Tensor:
    """The score that decides, ``(N,)``, on the images' device."""
    with torch.no_grad():
        return problem.score.exact(x.detach()).detach().to(x.device)


def over_blocks(problem: Problem, images: torch.Tensor, asked: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """What ``asked`` gives for ``images`` of any number, ``(M, ...)``, asked in blocks of the batch's size."""
    return torch.cat([asked(block)[:count] for block, count in blocks(images, len(problem.images))])
