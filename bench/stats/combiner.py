"""The combiner of a detector's columns into one score: a logistic regression over standardised columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.arrays import Floats, Ints
from .logistic import fit_logistic

if TYPE_CHECKING:
    import torch

#: Moderated values end here: of what dwarfs all that was fitted.
MOST = 2.0**100


@dataclass(frozen=True)
class Combiner:
    """Log odds of columns ``(N, K)``, which never saturate into ties: ``(x / 2^power - mean) / deviation @ w + b``.

    They are rounded to float32: far finer than any ranking needs, and half the bytes of stored scores.
    """

    power: Ints
    mean: Floats
    deviation: Floats
    weights: Floats
    intercept: float

    @classmethod
    def fit(cls, values: Floats, target: Ints) -> Combiner:
        """From columns ``(N, K)`` and ``target`` ``(N,)``, 1 for adversarial."""
        # Squares of 1e200 overflow and those of 1e-200 vanish. A power of two changes no bit of what is standardised.
        power = np.frexp(np.abs(values).max(0))[1]
        fitted = _moderate(values, power)
        mean, deviation = fitted.mean(0), fitted.std(0)
        deviation[deviation <= 1e-12 * np.abs(mean)] = 1.0  # a constant column says nothing
        weights, intercept = fit_logistic((fitted - mean) / deviation, target)
        return cls(power, mean, deviation, weights, intercept)

    def __call__(self, values: Floats) -> Floats:
        standard = (_moderate(values, self.power) - self.mean) / self.deviation
        return np.asarray(standard @ self.weights + self.intercept, np.float32).astype(np.float64)

    def tensor(self, values: torch.Tensor) -> torch.Tensor:
        """The same log odds in float64, differentiable in ``values`` ``(N, K)``, not rounded."""
        import torch  # the leaderboard, which reads combiners' figures, starts without it

        def constant(array: Floats) -> torch.Tensor:
            return torch.from_numpy(np.asarray(array, np.float64)).to(values.device)

        scale = constant(np.ldexp(1.0, -self.power))
        moderate = (values.double() * scale).clamp(-MOST, MOST)
        standard = (moderate - constant(self.mean)) / constant(self.deviation)
        return standard @ constant(self.weights) + self.intercept


def _moderate(values: Floats, power: Ints) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(np.ldexp(values, -power), -MOST, MOST))
