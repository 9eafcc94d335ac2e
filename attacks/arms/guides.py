"""Clean images that an attacker imitates: which are nearest, in a space that a net makes of images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from ...bench.core.errors import UserError
from .contract import Problem

#: Images ``(N, C, H, W)`` -> logits, and the parts of the space, each ``(N, ...)``.
Space = Callable[[torch.Tensor], tuple[torch.Tensor, Sequence[torch.Tensor]]]


@dataclass(frozen=True)
class Guides:
    """Guides ``(M, C, H, W)``; per attacked image their places, nearest first, ``(N, M)``, and how many count ``(N,)``;
    and the variance over guides of each part of the space, summed over its values."""

    images: torch.Tensor
    order: torch.Tensor
    count: torch.Tensor
    variances: Sequence[float]

    def chosen(self, rank: int) -> torch.Tensor:
        """For each attacked image the guide of that rank; from the nearest again where it has fewer."""
        place = (rank % self.count).unsqueeze(1)
        return self.images[self.order.gather(1, place).squeeze(1)]


@torch.no_grad()
def nearest_guides(problem: Problem, space: Space, most: int) -> Guides:
    """Of the first ``most`` guides those of another class than an image's label, by ``sum_l |a_l - b_l|^2 / var_l``.

    UserError where an image has no guide of another class.
    """
    images, classes = (part[:most].to(problem.images.device) for part in problem.score.guides)
    allowed = classes.unsqueeze(0) != problem.labels.unsqueeze(1)
    if not bool(allowed.any(1).all()):
        raise UserError(
            "An arm that imitates clean images needs one of another class for each image; "
            f"the {len(images)} guides have none for some. Give it training images of several classes."
        )
    parts = [part.flatten(1).double() for part in space(problem.images)[1]]
    sums, squares = [torch.zeros_like(part[0]) for part in parts], [0.0] * len(parts)
    distances: list[list[torch.Tensor]] = [[] for _ in parts]
    for block, count in blocks(images, len(problem.images)):
        for place, part in enumerate(space(block)[1]):
            flat = part[:count].flatten(1).double()
            sums[place] += flat.sum(0)
            squares[place] += float((flat**2).sum())
            distances[place].append(squared_distances(parts[place], flat))
    total = torch.zeros(len(parts[0]), len(images), dtype=torch.float64, device=images.device)
    variances = []
    for place, blocked in enumerate(distances):
        variance = squares[place] / len(images) - float(((sums[place] / len(images)) ** 2).sum())
        # A part that is the same for all guides, or of a single guide, has no unit: it counts as it is.
        variances.append(variance if variance > 1e-12 * squares[place] / len(images) else 1.0)
        total += torch.cat(blocked, 1) / variances[-1]
    order = total.masked_fill(~allowed, torch.inf).argsort(dim=1, stable=True)
    return Guides(images, order, allowed.sum(1), variances)


def squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``(N, M)`` of ``(N, D)`` and ``(M, D)``."""
    return (a**2).sum(1, keepdim=True) + (b**2).sum(1) - 2 * a @ b.T


def blocks(images: torch.Tensor, size: int) -> Iterator[tuple[torch.Tensor, int]]:
    """Blocks of exactly ``size`` images, as a net may want them, and how many of each are new: the last is filled up
    with images from the start."""
    for start in range(0, len(images), size):
        places = torch.arange(start, start + size, device=images.device)
        yield images[places % len(images)], min(size, len(images) - start)
