"""Paths of curves and histograms for inline SVG."""

from __future__ import annotations

import numpy as np

from ..core.arrays import Float64
from ..detection.scores import BINS, Histogram

#: Sizes of the pictures in SVG units; the x of a ROC curve is the root of the false-positive rate.
ROC_SIDE, BAR_WIDTH, HISTOGRAM_HEIGHT = 200, 4, 60


def roc_path(curve: Float64) -> str:
    """A curve on `scores.GRID`, whose root is evenly spaced; points within a level stretch are omitted."""
    heights = np.round(ROC_SIDE * (1 - curve), 1)
    step = ROC_SIDE / (len(curve) - 1)
    inner = np.flatnonzero((heights[1:-1] != heights[:-2]) | (heights[1:-1] != heights[2:])) + 1
    return "M" + "L".join(f"{step * i:g} {heights[i]:g}" for i in (0, *inner, len(curve) - 1))


def bars_paths(bars: Histogram) -> tuple[str, str]:
    """Outlines of the clean and the adversarial histogram; heights are roots of shares, so that tails show."""
    most = max(float(bars.negative.max()), float(bars.positive.max()))
    return _outline(bars.negative, most), _outline(bars.positive, most)


def _outline(shares: Float64, most: float) -> str:
    tops = np.round(HISTOGRAM_HEIGHT * (1 - np.sqrt(shares / most)), 1)
    stairs = "".join(f"V{top:g}H{BAR_WIDTH * (i + 1)}" for i, top in enumerate(tops))
    return f"M0 {HISTOGRAM_HEIGHT}{stairs}V{HISTOGRAM_HEIGHT}Z"


WIDTH = BAR_WIDTH * BINS
