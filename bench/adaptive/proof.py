"""What a binarisation test showed: how many of its problems an attack solved, and how many chance did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from .entry import FEWEST

#: Passed: the arms solve at least this share of the problems, and random points at most that share.
ENOUGH, MOST_BY_CHANCE = 0.95, 0.05

Verdict = Literal["passed", "failed", "not tested"]


@dataclass(frozen=True)
class Proof:
    """A binarisation test on ``N`` images; all tensors are ``(N,)``, bool.

    ``set_up``: the image has a head and a boundary point; all shares are of these images. ``solved``: by arm, where its
    image is undetected and of the other class. ``drawn``: where one of ``draws`` random points is. ``failures``: how
    many images were not set up, by reason. ``inverted``: detected took the place of undetected.
    """

    set_up: torch.Tensor
    solved: Mapping[str, torch.Tensor]
    drawn: torch.Tensor
    failures: Mapping[str, int]
    inner: int
    draws: int
    inverted: bool

    @property
    def images(self) -> int:
        return len(self.set_up)

    @property
    def tested(self) -> int:
        """Images set up."""
        return int(self.set_up.sum())

    @property
    def by_any(self) -> torch.Tensor:
        """Where at least one arm succeeds, ``(N,)``."""
        return torch.stack([torch.zeros_like(self.set_up), *self.solved.values()]).any(0)

    @property
    def asr(self) -> float | None:
        """Share of the images set up that any arm solves; None without any."""
        return self._share(self.by_any)

    @property
    def random_asr(self) -> float | None:
        """Share of the images set up that random points solve; None without any."""
        return self._share(self.drawn)

    @property
    def verdict(self) -> Verdict:
        """ "not tested" where fewer than `FEWEST` images were set up, however these went."""
        asr, random_asr = self.asr, self.random_asr
        if self.tested < FEWEST or asr is None or random_asr is None:
            return "not tested"
        return "passed" if asr >= ENOUGH and random_asr <= MOST_BY_CHANCE else "failed"

    @property
    def passed(self) -> bool:
        return self.verdict == "passed"

    def as_dict(self) -> dict[str, Any]:
        """Counts and shares for JSON."""
        return {
            "inverted": self.inverted,
            "images": self.images,
            "set_up": self.tested,
            "set_up_failed": dict(self.failures),
            "asr": self.asr,
            "asr_by_arm": {name: self._share(solved) for name, solved in self.solved.items()},
            "random_asr": self.random_asr,
            "inner": self.inner,
            "draws": self.draws,
            "verdict": self.verdict,
        }

    def _share(self, solved: torch.Tensor) -> float | None:
        return int((solved & self.set_up).sum()) / self.tested if self.tested else None
