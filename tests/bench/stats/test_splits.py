"""Means over splits of one set of images: placements, what images contribute, intervals, tests, and their coverage."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from subnetbench.bench.stats.metrics import auroc
from subnetbench.bench.stats.splits import (
    Design,
    Estimate,
    Evaluated,
    Replicates,
    advantages,
    difference_test,
    estimate,
    placements,
    share_interval,
)

HALVES = Design(0.5, 2)


@pytest.mark.parametrize("ties", ["half", "pessimistic"])
def test_placements_are_shares_of_the_other_side_and_their_mean_is_the_auroc(ties):
    rng = np.random.default_rng(0)
    positive, negative = np.round(rng.normal(1, 1, 30), 1), np.round(rng.normal(0, 1, 50), 1)
    win = (positive[:, None] > negative) + (0.5 if ties == "half" else 0.0) * (positive[:, None] == negative)
    up, down = placements(positive, negative, ties)
    assert up == pytest.approx(win.mean(1))
    assert down == pytest.approx(win.mean(0))
    assert up.mean() == pytest.approx(auroc(positive, negative, ties=ties))
    assert down.mean() == pytest.approx(auroc(positive, negative, ties=ties))


def test_the_advantage_of_images_is_what_they_gain_where_others_are_fitted_on():
    rng = np.random.default_rng(1)
    images = np.arange(400)
    clean, moved = rng.normal(0, 1, 400), rng.normal(1, 1, 400)
    moved[:200] += 0.5  # the first half is easier
    halves = [images[200:], images[:200]]
    found = advantages([Evaluated(half, moved[half], half, clean[half]) for half in halves])
    # Split 0 evaluates the second half and was fitted on the first. Each AUROC is of one half alone, whose own mean is
    # taken off: with two halves nothing is left to compare; a third split over all images tells them apart.
    assert found == pytest.approx([0, 0], abs=1e-12)
    whole = Evaluated(images, moved, images, clean)
    found = advantages([Evaluated(half, moved[half], half, clean[half]) for half in halves] + [whole])
    assert found[0] > 0.02
    assert found[0] == pytest.approx(-found[1])
    assert found[2] == 0  # it evaluates every image, so it was fitted on none


def test_noisy_images_count_as_much_as_their_share_of_the_negatives():
    rng = np.random.default_rng(2)
    images = np.arange(50)
    clean, moved = rng.normal(0, 1, 50), rng.normal(1, 1, 50)
    once = [Evaluated(half, moved[half], half, clean[half]) for half in (images[:30], images[20:])]
    twice = [
        Evaluated(s.positive_images, s.positive, np.tile(s.negative_images, 2), np.tile(s.negative, 2)) for s in once
    ]
    assert advantages(twice) == pytest.approx(advantages(once))


def over(values: list[float], own: list[float] | None = None) -> Replicates:
    places = tuple((0, split) for split in range(len(values)))
    return Replicates(places, np.array(values), np.array(own if own is not None else [0.0] * len(values)))


def test_halves_that_differ_give_the_variance_by_hand():
    # Two halvings that differ by .02 and .04: the variance of the mean is the mean of (.01^2, .02^2).
    found = estimate(over([0.81, 0.79, 0.82, 0.78]), HALVES)
    assert found.value == pytest.approx(0.8)
    assert (found.variance, found.freedom) == (pytest.approx((1e-4 + 4e-4) / 2), 2)


def test_tenths_that_take_turns_give_the_variance_of_their_mean():
    rng = np.random.default_rng(3)
    values = rng.normal(0.9, 0.02, 10)
    found = estimate(over(list(values)), Design(0.1, 10))
    assert found.variance == pytest.approx(values.var(ddof=1) / 10)
    assert found.freedom == 9


def test_splits_drawn_one_by_one_are_corrected_for_the_images_that_they_share():
    rng = np.random.default_rng(4)
    values = rng.normal(0.9, 0.02, 5)
    found = estimate(over(list(values)), Design(0.4))
    assert found.variance == pytest.approx((0.4 / 0.6 + 1 / 5) * values.var(ddof=1))


def test_sets_of_gates_that_disagree_widen_and_have_few_degrees_of_freedom():
    places = tuple((gate, split) for gate in range(3) for split in range(4))
    values = np.array([0.80, 0.79, 0.81, 0.80] * 3)
    same = estimate(Replicates(places, values, np.zeros(12)), HALVES)
    apart = estimate(Replicates(places, values + np.repeat([0.0, 0.1, 0.2], 4), np.zeros(12)), HALVES)
    assert apart.variance == pytest.approx(same.variance + 0.1**2 / 3)
    assert 2 <= apart.freedom < 2.1
    assert same.freedom == 2


def test_one_split_alone_says_nothing_about_its_error():
    found = estimate(over([0.9]), HALVES)
    assert share_interval(found, 100) == (0.0, 1.0)
    test = difference_test(found, 100)
    assert (test.low, test.high, test.p) == (-1.0, 1.0, 1.0)


@pytest.mark.parametrize("images", [5, 10, 100, 1000, 10_000])
def test_a_perfect_auroc_has_a_lower_end_that_nears_1_with_the_images(images):
    low, high = share_interval(Estimate(1.0, 0.0, 15), images)
    exact = float(stats.beta.ppf(0.025, images, 1))  # Clopper and Pearson: all of n
    assert high == 1
    assert low < exact
    assert 1 - low < 1.4 * (1 - exact)
    assert share_interval(Estimate(0.0, 0.0, 15), images) == (0.0, pytest.approx(1 - low))


@given(
    st.floats(0, 1), st.floats(0, 0.05), st.floats(1, 100), st.integers(1, 10_000), st.sampled_from([0.8, 0.95, 0.99])
)
def test_an_interval_holds_its_value_and_stays_within_0_and_1(value, variance, freedom, images, level):
    low, high = share_interval(Estimate(value, variance, freedom), images, level)
    assert 0 <= low <= value <= high <= 1


def test_detectors_without_a_difference_are_not_told_apart_and_clear_ones_are():
    assert difference_test(Estimate(0.0, 0.0, 15), 500).p == 1
    assert difference_test(Estimate(0.0, 0.0, 15), 500).low == pytest.approx(-0.003, abs=5e-4)
    assert difference_test(Estimate(0.05, 1e-4, 15), 500).p < 0.001
    assert difference_test(Estimate(0.05, 1e-4, 15), 10_000).p == pytest.approx(2 * stats.t.sf(5, 15), rel=0.05)


def simulation() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "intervals.py"
    spec = importlib.util.spec_from_file_location("coverage_simulation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("fit", [0.0, 1.0, 5.0, 15.0])
@pytest.mark.parametrize(
    ("shape", "splits", "blocks"), [("normal", 30, 2), ("exponential", 30, 2), ("exponential", 10, 10)]
)
def test_intervals_cover_and_verdicts_keep_their_level(fit, shape, splits, blocks):
    """1,000 data sets without a difference; the bounds are .93 and .97 and two standard errors beyond them."""
    covered, different = simulation().rates(fit, shape, datasets=1000, images=200, splits=splits, blocks=blocks)
    assert 0.91 <= covered <= 0.985
    assert different <= 0.0075


def test_luck_of_the_fit_makes_no_verdicts():
    covered, different = simulation().rates(0.0, "exponential", luck=15, datasets=300, images=100, splits=30)
    assert covered >= 0.95
    assert different == 0
