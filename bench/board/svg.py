"""Paths of curves and histograms for inline SVG."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..core.arrays import Float64
from ..detection.scores import BINS, Histogram

#: Sizes of the pictures in SVG units; the x of a ROC curve is the root of the false-positive rate.
ROC_SIDE, BAR_WIDTH, HISTOGRAM_HEIGHT = 200, 4, 60

#: Heights are rounded to a fifth and to half a unit, a third of a pixel and half of one.
ROC_STEPS, BAR_STEPS = 5, 2


def roc_path(curve: Float64) -> str:
    """A curve on `scores.GRID`, whose root is evenly spaced; points within a level stretch are omitted.

    Each point is given by its distance from the one before: such numbers repeat, so a packed page is far smaller.
    """
    heights = _steps(ROC_SIDE * (1 - curve), ROC_STEPS)
    step = ROC_SIDE / (len(curve) - 1)
    last = len(heights) - 1
    bends = (i for i in range(1, last) if not heights[i - 1] == heights[i] == heights[i + 1])
    moves = (f"{step * (i - h):g} {(heights[i] - heights[h]) / ROC_STEPS:g}" for h, i in pairwise([0, *bends, last]))
    return f"M0 {heights[0] / ROC_STEPS:g}l{' '.join(moves)}"


def bars_paths(bars: Histogram) -> tuple[str, str]:
    """Outlines of the clean and the adversarial histogram; heights are roots of shares, so that tails show."""
    most = max(float(bars.negative.max()), float(bars.positive.max()))
    return _outline(bars.negative, most), _outline(bars.positive, most)


def _outline(shares: Float64, most: float) -> str:
    tops = [BAR_STEPS * HISTOGRAM_HEIGHT, *_steps(HISTOGRAM_HEIGHT * (1 - np.sqrt(shares / most)), BAR_STEPS)]
    stairs = "".join(f"v{(top - last) / BAR_STEPS:g}h{BAR_WIDTH}" for last, top in pairwise(tops))
    return f"M0 {HISTOGRAM_HEIGHT}{stairs}V{HISTOGRAM_HEIGHT}Z"


def _steps(lengths: Float64, parts: int) -> list[int]:
    """Lengths in whole parts of an SVG unit: sums of their differences are exact."""
    steps: list[int] = np.round(parts * lengths).astype(int).tolist()
    return steps


WIDTH = BAR_WIDTH * BINS
