"""One weighted sum of both gradients, over a sweep of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from ...bench.core.errors import UserError
from ...bench.core.registry import register_arm
from .contract import Norm
from .geometry import unit
from .gradients import Seen
from .stepped import Direction, Stepped

#: Nine weights from 1e-2 to 1e2, evenly on a logarithmic scale.
LAMBDAS = tuple(10 ** (power / 2) for power in range(-4, 5))


@register_arm("lambda-sweep")
@dataclass(frozen=True, kw_only=True)
class LambdaSweep(Stepped):
    """``g = g_c / |g_c| + lambda g_d / |g_d|`` for each image, ``steps`` steps for every lambda (Carlini and Wagner
    2017 and Tramer et al. 2020 weigh both losses); the best of all is kept.

    Steps are by direction also in an L-infinity ball, where a sign leaves of every lambda but two things: which of the
    gradients is larger, value by value.
    """

    title = "On Adaptive Attacks to Adversarial Example Defenses"
    year = 2020
    url = "https://arxiv.org/abs/2002.08347"

    step: Norm | None = "L2"
    lambdas: Sequence[float] = LAMBDAS

    def __post_init__(self) -> None:
        super().__post_init__()
        good = isinstance(self.lambdas, Sequence) and len(self.lambdas) > 0 and not isinstance(self.lambdas, str)
        if not (good and all(isinstance(one, int | float) and 0 <= one < math.inf for one in self.lambdas)):
            raise UserError(f"lambdas of {type(self).__name__} are {self.lambdas!r}; give numbers of at least 0.")

    def _directions(self) -> Sequence[Direction]:
        return [partial(weighted, weight) for weight in self.lambdas]


def weighted(weight: float, seen: Seen, met: torch.Tensor) -> torch.Tensor:
    """The sum, whether an image has met the aim or not."""
    return unit(seen.classifier) + weight * unit(seen.detector)
