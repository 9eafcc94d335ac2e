"""Paths of pictures: relative moves, and every point where the figure is, but for the rounding of a screen."""

from __future__ import annotations

import re

import numpy as np
from subnetbench.bench.board.svg import (
    BAR_STEPS,
    BAR_WIDTH,
    HISTOGRAM_HEIGHT,
    ROC_SIDE,
    ROC_STEPS,
    bars_paths,
    roc_path,
)
from subnetbench.bench.detection.scores import BINS, GRID, Histogram


def test_a_curve_of_relative_moves_passes_through_every_point():
    rng = np.random.default_rng(0)
    for curve in (np.sort(rng.random(len(GRID))), np.ones(len(GRID)), np.linspace(0, 1, len(GRID)) ** 0.1):
        start, _, moves = roc_path(curve).removeprefix("M0 ").partition("l")
        steps = np.array(moves.split(), float).reshape(-1, 2)
        points = np.cumsum([[0, float(start)], *steps], axis=0)
        across = np.arange(len(GRID)) * ROC_SIDE / (len(GRID) - 1)
        assert points[-1, 0] == ROC_SIDE
        drawn = np.interp(across, points[:, 0], points[:, 1])
        np.testing.assert_allclose(drawn, ROC_SIDE * (1 - curve), atol=0.5 / ROC_STEPS + 1e-6)
    assert len(roc_path(np.ones(len(GRID))).split()) == 3  # a level stretch is one line


def test_bars_are_as_high_as_the_root_of_their_share():
    shares = np.random.default_rng(1).random(BINS)
    path, _ = bars_paths(Histogram(0.0, 1.0, shares, shares / 2))
    drops = [float(drop) for drop in re.findall(rf"v(\S+?)h{BAR_WIDTH}", path)]
    heights = -np.cumsum(drops)
    wanted = HISTOGRAM_HEIGHT * np.sqrt(shares / shares.max())
    np.testing.assert_allclose(heights, wanted, atol=0.5 / BAR_STEPS + 1e-6)
