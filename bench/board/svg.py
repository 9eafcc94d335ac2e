"""Numbers as a page's marks: paths of curves and histograms for inline SVG, percent, order."""

from __future__ import annotations

import numpy as np

from ..core.arrays import Float64
from ..detection.scores import BINS, Histogram

#: Sides of the pictures in SVG units; a ROC curve's x is the root of the false-positive rate.
ROC_SIDE, BAR_WIDTH, HISTOGRAM_HEIGHT = 200, 4, 60


def roc_path(curve: Float64) -> str:
    """A curve on `board_scores.GRID`, whose root is evenly spaced; points on a level stretch are left out."""
    heights = np.round(ROC_SIDE * (1 - curve), 1)
    step = ROC_SIDE / (len(curve) - 1)
    inner = np.flatnonzero((heights[1:-1] != heights[:-2]) | (heights[1:-1] != heights[2:])) + 1
    return "M" + "L".join(f"{step * i:g} {heights[i]:g}" for i in (0, *inner, len(curve) - 1))


def bars_paths(found: Histogram) -> tuple[str, str]:
    """Outlines of the clean and the adversarial images' histogram; heights are roots of shares, so that tails show."""
    most = max(float(found.negative.max()), float(found.positive.max()))
    return _outline(found.negative, most), _outline(found.positive, most)


def _outline(shares: Float64, most: float) -> str:
    tops = np.round(HISTOGRAM_HEIGHT * (1 - np.sqrt(shares / most)), 1)
    stairs = "".join(f"V{top:g}H{BAR_WIDTH * (i + 1)}" for i, top in enumerate(tops))
    return f"M0 {HISTOGRAM_HEIGHT}{stairs}V{HISTOGRAM_HEIGHT}Z"


WIDTH = BAR_WIDTH * BINS
