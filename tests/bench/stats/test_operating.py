"""Thresholds at a share of false alarms: the exact definition, too few images, and the coverage of the intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from subnetbench.bench.detection.points import derived_points, points
from subnetbench.bench.stats.operating import (
    RATES,
    calibration_error,
    enough,
    rate_above,
    smallest,
    threshold,
    widened,
)
from subnetbench.bench.stats.splits import Design, Estimate

HALVES = Design(0.5, 2)


def by_trying(scores: list[float], allowed: int) -> float:
    """The smallest threshold among all scores and one below them; between two scores nothing changes."""
    return min(t for t in scores if sum(s > t for s in scores) <= allowed)


@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=40), st.data())
def test_tau_is_the_smallest_threshold_that_a_share_is_above_ties_included(scores, data):
    allowed = data.draw(st.integers(0, len(scores) - 1))
    tau = smallest(np.array(scores), allowed)
    assert tau == by_trying(scores, allowed)
    assert np.sum(np.array(scores) > np.nextafter(tau, -np.inf)) > allowed  # nothing smaller would do


@pytest.mark.parametrize(("count", "rate"), [(100, 1), (20, 5), (199, 1), (399, 5), (1000, 10), (700, 1)])
def test_a_share_is_counted_in_whole_images(count, rate):
    scores = np.random.default_rng(0).permutation(count).astype(float)
    tau = threshold(scores, rate)
    assert tau is not None
    assert np.sum(scores > tau.value) == count * rate // 100
    assert tau.lower <= tau.value <= tau.higher


@pytest.mark.parametrize(
    ("count", "missing"), [(0, RATES), (9, RATES), (10, (1, 5)), (19, (1, 5)), (99, (1,)), (100, ())]
)
def test_too_few_images_give_no_threshold(count, missing):
    scores = np.arange(float(count))
    assert tuple(rate for rate in RATES if threshold(scores, rate) is None) == missing
    assert tuple(rate for rate in RATES if not enough(count, rate)) == missing


def test_the_threshold_of_one_value_has_nothing_above_it_and_no_error():
    tau = threshold(np.zeros(100), 5)
    assert tau is not None
    assert rate_above(np.zeros(50), tau.value) == 0
    assert calibration_error(np.zeros(50), tau) == 0


def test_infinite_scores_have_a_place():
    scores = np.r_[np.full(10, np.inf), np.zeros(90)]
    tau = threshold(scores, 5)
    assert tau is not None
    assert tau.value == np.inf
    assert rate_above(np.array([np.inf, 1.0]), tau.value) == 0


def test_the_error_of_the_calibration_is_that_of_drawing_it_again():
    rng = np.random.default_rng(1)
    rates, errors = [], []
    evaluated = rng.normal(size=200_000)
    for _ in range(300):
        tau = threshold(rng.normal(size=500), 5)
        assert tau is not None
        rates.append(rate_above(evaluated, tau.value))
        errors.append(calibration_error(evaluated, tau))
    assert np.mean(errors) == pytest.approx(np.std(rates), rel=0.15)


def test_the_calibration_widens_a_mean_by_its_whole_error():
    assert widened(Estimate(0.1, 0.01, 7), 0.2) == Estimate(0.1, pytest.approx(0.05), 7)


def simulated(rng: np.random.Generator, images: int, calibration: int, splits: int) -> dict[str, float]:
    """The rates of a detector without a fit, on halves that take turns, as a cell states them."""
    base = rng.normal(size=images)
    clean, moved = base + rng.normal(size=images), base + rng.normal(size=images) + 2
    further = rng.normal(size=calibration) * np.sqrt(2)
    kinds, places = [], [(-1, split) for split in range(splits)]
    for split in range(splits):
        if split % 2 == 0:
            order = rng.permutation(images)
        half = np.sort(order[images // 2 :] if split % 2 == 0 else order[: images // 2])
        kinds.append(
            {
                "adversarial": (half, moved[half]),
                "clean": (half, clean[half]),
                "calibration": (images + np.arange(calibration), further),
            }
        )
    cell = points(places, kinds)
    return derived_points(cell | {"images": images}, places, HALVES, 0.95)


@pytest.mark.parametrize(("images", "calibration"), [(200, 1000), (400, 200), (100, 100)])
def test_intervals_at_a_fixed_rate_cover(images, calibration):
    rng = np.random.default_rng(2)
    found = [simulated(rng, images, calibration, 10) for _ in range(150)]
    taus = np.array([smallest(rng.normal(size=calibration), calibration * 5 // 100) for _ in range(1000)])
    truth = {"fpr5": stats.norm.sf(taus).mean(), "tpr5": stats.norm.sf(taus - np.sqrt(2)).mean()}
    for name, value in truth.items():
        covered = np.mean([figures[f"{name}_low"] <= value <= figures[f"{name}_high"] for figures in found])
        assert 0.9 <= covered <= 0.99, (name, covered)
