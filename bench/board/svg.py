"""Paths of curves and histograms for inline SVG."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..core.arrays import Float64
from ..detection.scores import BINS, Histogram

#: Sizes of the pictures in SVG units; the x of a ROC curve is the root of the false-positive rate.
ROC_SIDE, BAR_WIDTH, HISTOGRAM_HEIGHT = 200, 4, 60


def roc_path(curve: Float64) -> str:
    """A curve on `scores.GRID`, whose root is evenly spaced; points within a level stretch are omitted.

    Each point is given by its distance from the one before: such numbers repeat, so a packed page is far smaller.
    """
    heights = _tenths(ROC_SIDE * (1 - curve))
    step = ROC_SIDE / (len(curve) - 1)
    last = len(heights) - 1
    bends = (i for i in range(1, last) if not heights[i - 1] == heights[i] == heights[i + 1])
    moves = (f"{step * (i - h):g} {(heights[i] - heights[h]) / 10:g}" for h, i in pairwise([0, *bends, last]))
    return f"M0 {heights[0] / 10:g}l{' '.join(moves)}"


def bars_paths(bars: Histogram) -> tuple[str, str]:
    """Outlines of the clean and the adversarial histogram; heights are roots of shares, so that tails show."""
    most = max(float(bars.negative.max()), float(bars.positive.max()))
    return _outline(bars.negative, most), _outline(bars.positive, most)


def _outline(shares: Float64, most: float) -> str:
    tops = [10 * HISTOGRAM_HEIGHT, *_tenths(HISTOGRAM_HEIGHT * (1 - np.sqrt(shares / most)))]
    stairs = "".join(f"v{(top - last) / 10:g}h{BAR_WIDTH}" for last, top in pairwise(tops))
    return f"M0 {HISTOGRAM_HEIGHT}{stairs}V{HISTOGRAM_HEIGHT}Z"


def _tenths(lengths: Float64) -> list[int]:
    """Lengths in whole tenths of an SVG unit: sums of their differences are exact."""
    tenths: list[int] = np.round(10 * lengths).astype(int).tolist()
    return tenths


WIDTH = BAR_WIDTH * BINS
