"""Operating points: thresholds from clean images that neither fit nor evaluate, and the rates beyond them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float64, Floats
from .splits import Estimate

#: Nominal false-positive rates in percent, and the one that intervals and rankings are about.
RATES = (1, 5, 10)
MAIN = 5


@dataclass(frozen=True)
class Threshold:
    """A threshold, and those about one standard error of the calibration's share to either side.

    ``steps``: how many standard errors lie between the two, since they are whole images apart.
    """

    value: float
    higher: float
    lower: float
    steps: float


def smallest(scores: Floats, allowed: int) -> float:
    """The smallest threshold that at most ``allowed`` of the scores are above."""
    if not 0 <= allowed < len(scores):
        raise ValueError(f"{allowed} of {len(scores)} scores cannot be above a threshold that is one of them")
    place = len(scores) - 1 - allowed
    return float(np.partition(np.asarray(scores, np.float64), place)[place])


def fixed_at(calibration: Floats, rate: float) -> float:
    """The smallest threshold with at most a share ``rate`` of the calibration's scores above it."""
    return smallest(calibration, int(np.floor(rate * len(calibration) + 1e-12)))


def redrawn(calibration: Floats, rate: float, resamples: int, generator: np.random.Generator) -> Float64:
    """`fixed_at` of each of so many resamples of the calibration's images, ``(resamples,)``."""
    drawn = generator.integers(0, len(calibration), (resamples, len(calibration)))
    return np.array([fixed_at(calibration[row], rate) for row in drawn])


def enough(count: int, rate: int) -> bool:
    """Whether one of ``count`` images is no more than ``rate`` percent of them."""
    return count * rate >= 100


def threshold(calibration: Floats, rate: int) -> Threshold | None:
    """tau: the smallest threshold with at most ``rate`` percent of the calibration's scores above it.

    None where there are fewer than 100 / ``rate`` of them: then no share but 0 could be told from it.
    """
    count = len(calibration)
    if not enough(count, rate):
        return None
    share = rate / 100
    error = float(np.sqrt(share * (1 - share) / count))
    fewer = max(0, int(np.floor((share - error) * count)))
    more = min(count - 1, int(np.ceil((share + error) * count)))
    at, higher, lower = (smallest(calibration, allowed) for allowed in (count * rate // 100, fewer, more))
    return Threshold(at, higher, lower, (more - fewer) / (error * count))


def rate_above(scores: Floats, at: float) -> float:
    """Share of scores above a threshold."""
    return float(np.count_nonzero(scores > at) / len(scores))


def calibration_error(scores: Floats, at: Threshold) -> float:
    """Standard error of `rate_above` that the calibration images bring with them (delta method).

    The change of the rate over one standard error: half of that between the thresholds one to either side.
    """
    return (rate_above(scores, at.lower) - rate_above(scores, at.higher)) / at.steps


def widened(mean: Estimate, error: float) -> Estimate:
    """A rate's estimate with the calibration's error: all splits share its images, so that it does not average out."""
    return Estimate(mean.value, mean.variance + error**2, mean.freedom)
