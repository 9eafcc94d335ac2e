"""Square Attack: random squares at the corners of the ball, kept where they do no harm. No gradient of anything."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...bench.core.errors import UserError
from ...bench.core.registry import register_arm
from ..base import number
from .contract import Arm, Problem
from .geometry import project
from .inner import judged

#: Shares of the budget after which the squares' area is halved (section 3.2 of the paper: 10, 50, ... of 10,000).
_HALVED_AT = (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8)


@register_arm("square")
@dataclass(frozen=True, kw_only=True)
class Square(Arm):
    """Random search in L-infinity (Andriushchenko et al. 2020, algorithms 1 and 2) on the margin of net and detector.

    Each restart asks for the net and the exact score of all images ``steps`` times, and for nothing else. It starts
    at vertical stripes of one pixel; then a square at a random place takes ``x +- epsilon``, one sign a channel, and is
    kept where ``min(m / sd_m, (tau - s) / sd_s)`` does not fall. (The paper asks that it rise,
    which on a score with stairs it rarely does.) ``share``: the squares' area to begin with, as a share of the image.
    """

    title = "Square Attack: A Query-Efficient Black-Box Adversarial Attack via Random Search"
    year = 2020
    url = "https://arxiv.org/abs/1912.00049"
    needs_gradient = False
    stands_in = True

    steps: int = 1000
    share: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        number(self, "share", above=0, most=1)
        if self.norm != "Linf":
            raise UserError(f"norm of {type(self).__name__} is {self.norm!r}; its squares are of Linf, so give Linf.")

    def _run(self, problem: Problem) -> None:
        for _ in range(self.restarts):
            self._search(problem)

    def _search(self, problem: Problem) -> None:
        clean, draw = problem.images, problem.generator
        count, channels, height, width = clean.shape
        stripes = self._corner(clean, _signs((count, channels, 1, width), draw))
        x, (worth, _) = stripes, judged(problem, stripes)
        for query in range(1, self.steps):
            side = side_at(query / self.steps, self.share, height, width)
            window = _windows(count, side, height, width, draw).to(clean.device)
            trial = torch.where(window, self._corner(clean, _signs((count, channels, 1, 1), draw)), x)
            new, _ = judged(problem, trial)
            better = new >= worth
            x = torch.where(better.view(-1, 1, 1, 1), trial, x)
            worth = torch.where(better, new, worth)

    def _corner(self, clean: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
        return project(clean + self.epsilon * signs.to(clean), clean, self.epsilon, self.norm)


def side_at(passed: float, share: float, height: int, width: int) -> int:
    """Side of the squares, in pixels, when ``passed`` of the budget is used up; it halves in area eight times."""
    halvings = sum(passed > at for at in _HALVED_AT)
    side = math.sqrt(share * height * width / 2**halvings)
    return min(max(round(side), 1), height, width)


def _signs(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.randint(0, 2, shape, generator=generator) * 2.0 - 1.0


def _windows(count: int, side: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Where each image's square lies: ``(count, 1, height, width)``, uniform over the places in the image."""
    top = torch.randint(0, height - side + 1, (count, 1, 1, 1), generator=generator)
    left = torch.randint(0, width - side + 1, (count, 1, 1, 1), generator=generator)
    row, column = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    return (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
