"""Fits against samples of known shape, and the features against a computation in loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import View
from subnetbench.detectors.nss import NaturalSceneStatistics, asymmetric, normalised, statistics, symmetric


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0, 4.0])
def test_a_generalised_gaussian_is_found_by_its_moments(rng: np.random.Generator, shape: float) -> None:
    sample = stats.gennorm.rvs(shape, scale=0.3, size=(2, 100_000), random_state=rng)
    fit = symmetric(sample)
    np.testing.assert_allclose(fit[:, 0], shape, rtol=0.05)
    np.testing.assert_allclose(fit[:, 1], stats.gennorm.var(shape, scale=0.3), rtol=0.03)


def test_the_sides_of_an_asymmetric_one_are_told_apart(rng: np.random.Generator) -> None:
    """Half-normals of deviation 1 on the left and 2 on the right, in the shares that their density gives them."""
    size = 200_000
    right = rng.random(size) < 2 / 3
    sample = np.abs(rng.standard_normal(size)) * np.where(right, 2.0, -1.0)
    shape, mean, low, high = asymmetric(sample[None])[0]
    assert shape == pytest.approx(2, rel=0.03)
    assert mean == pytest.approx((2 - 1) * math.sqrt(2 / math.pi), rel=0.03)
    assert (low, high) == (pytest.approx(1, rel=0.03), pytest.approx(4, rel=0.03))


def test_coefficients_are_those_of_a_window_in_loops(rng: np.random.Generator) -> None:
    grey = rng.random((1, 12, 11))
    window = np.array([math.exp(-((k * 6 / 7) ** 2) / 2) for k in range(-3, 4)])
    window = np.outer(window, window) / window.sum() ** 2
    padded = np.pad(grey[0], 3, mode="edge")
    got = normalised(grey)[0]
    for row, column in [(0, 0), (5, 5), (11, 10), (2, 9)]:
        patch = padded[row : row + 7, column : column + 7]
        mean = float((window * patch).sum())
        deviation = math.sqrt(abs(float((window * patch**2).sum()) - mean**2))
        assert got[row, column] == pytest.approx((grey[0, row, column] - mean) / (deviation + 1 / 255), rel=1e-9)


def test_products_are_of_the_four_neighbours(rng: np.random.Generator) -> None:
    grey = rng.random((1, 9, 8))
    coefficients, row = normalised(grey)[0], statistics(grey)[0]
    for index, (down, right) in enumerate([(0, 1), (1, 0), (1, 1), (1, -1)]):
        products = [
            coefficients[i, j] * coefficients[i + down, j + right]
            for i in range(9)
            for j in range(8)
            if i + down < 9 and 0 <= j + right < 8
        ]
        negative, positive = [p for p in products if p < 0], [p for p in products if p >= 0]
        squares = [sum(p * p for p in side) / len(side) for side in (negative, positive)]
        np.testing.assert_allclose(row[2 + 4 * index + 2 : 2 + 4 * index + 4], squares, rtol=1e-9)


def test_flat_images_have_finite_statistics(test_view: View) -> None:
    flat = View(test_view.classifier, torch.full((2, 1, 8, 8), 0.5), key="flat")
    assert np.isfinite(NaturalSceneStatistics().fit(flat).characteristics(flat)).all()


def test_no_net_is_asked_and_each_scale_has_18_columns(test_view: View) -> None:
    with counted(test_view.classifier) as passes:
        assert NaturalSceneStatistics().fit(test_view).characteristics(test_view).shape[1] == 18
        assert NaturalSceneStatistics(scales=2).fit(test_view).characteristics(test_view).shape[1] == 36
    assert passes.forward == 0


def test_images_that_are_too_small_are_one_sentence(test_view: View) -> None:
    small = View(test_view.classifier, torch.zeros(1, 1, 6, 6), key="small")
    with pytest.raises(UserError, match="nss: images of 6 pixels are too small; 2 scales take 8"):
        NaturalSceneStatistics(scales=2).fit(small)
