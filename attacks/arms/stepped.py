"""What arms that take steps of a fixed size have in common: their parameters, starts and restarts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ...bench.core.errors import UserError
from ..base import number, whole
from .aims import Aim, aims
from .contract import Arm, Norm, Problem
from .geometry import project, stride, within
from .gradients import Seen, last_look, see

#: What was seen at an iterate, and which images have met the aim -> where to go, ``(N, C, H, W)``.
Direction = Callable[[Seen, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Stepped(Arm):
    """Projected gradient steps, without an early stop; every iterate is looked at, the last one included.

    ``step``: steps by sign (``Linf``) or by direction (``L2``), scaled as `stride` says; None: as the ball's norm.
    ``step_size``: in units of the ball's norm; it falls to a tenth over a run. None: ``epsilon`` / 4: with steps that
    stay large, iterates jump to and fro between both aims. ``targeted``: towards the likeliest wrong class, on restarts
    towards other ones. The first run starts at the image, further ones uniformly in the ball. ``draws``: calls of a
    score with randomness at an iterate.
    """

    step: Norm | None = None
    step_size: float | None = None
    targeted: bool = False
    draws: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, "draws", least=1)
        if self.step_size is not None:
            number(self, "step_size", above=0)
        if self.step not in (None, "Linf", "L2"):
            raise UserError(f"step of {type(self).__name__} is {self.step!r}; give Linf, L2 or nothing.")
        if not isinstance(self.targeted, bool):
            raise UserError(f"targeted of {type(self).__name__} is {self.targeted!r}; give true or false.")

    @abstractmethod
    def _directions(self) -> Sequence[Direction]:
        """Each gets all restarts."""

    def _run(self, problem: Problem) -> None:
        for direction in self._directions():
            self._rounds(problem, direction)

    def _met(self, problem: Problem, aim: Aim, seen: Seen) -> torch.Tensor:
        return aim.margin(seen.logits) > 0

    def _rounds(self, problem: Problem, direction: Direction) -> None:
        """All restarts, each of ``steps`` steps."""
        first = self.step_size or self.epsilon / 4
        step: Norm = self.step or self.norm
        for restart, aim in enumerate(aims(problem, self.restarts, targeted=self.targeted)):
            x = problem.images
            if restart:
                x = within(x, self.epsilon, self.norm, problem.generator)
            for step_number in range(self.steps):
                size = first * (1 - 0.9 * step_number / max(1, self.steps - 1))
                seen = see(problem, x, aim.raised, self.draws)
                way = direction(seen, self._met(problem, aim, seen))
                x = project(x + size * stride(way, step, self.norm), problem.images, self.epsilon, self.norm)
            last_look(problem, x, self.draws)
