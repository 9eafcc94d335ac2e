from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from subnetbench.bench.stats import inference as stats
from subnetbench.bench.stats import metrics


def test_every_resample_draws_as_many_images_as_there_are():
    counts = stats.resample_counts(30, 400, np.random.default_rng(0))
    assert counts.shape == (400, 30)
    assert counts.dtype == np.float32
    assert (counts.sum(1) == 30).all()
    assert counts.mean() == 1
    assert counts.var() == pytest.approx(1 - 1 / 30, rel=0.05)  # multinomial, not a permutation


def test_chunks_do_not_change_the_draws(monkeypatch):
    whole = stats.resample_counts(30, 100, np.random.default_rng(3))
    monkeypatch.setattr(stats, "CHUNK", 90)
    assert (stats.resample_counts(30, 100, np.random.default_rng(3)) == whole).all()


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["half", "pessimistic"]), st.booleans())
def test_bootstrap_is_the_auroc_of_the_repeated_scores(seed, ties, rounded):
    rng = np.random.default_rng(seed)
    units = int(rng.integers(1, 12))
    positive, negative = rng.normal(1, 1, rng.integers(1, 20)), rng.normal(0, 1, rng.integers(1, 20))
    if rounded:
        positive, negative = positive.round(), negative.round()
    at, of = rng.integers(0, units, len(positive)), rng.integers(0, units, len(negative))
    counts = stats.resample_counts(units, 25, rng)
    found = stats.bootstrap_auroc(positive, at, negative, of, counts, ties=ties)
    for row, value in zip(counts.astype(int), found, strict=True):
        many, few = np.repeat(positive, row[at]), np.repeat(negative, row[of])
        if len(many) and len(few):
            assert value == metrics.auroc(many, few, ties=ties)
        else:
            assert math.isnan(value)


def test_bootstrap_in_chunks_is_the_bootstrap(monkeypatch):
    rng = np.random.default_rng(0)
    positive, negative, unit = rng.normal(1, 1, 40), rng.normal(0, 1, 40), np.arange(40)
    counts = stats.resample_counts(40, 50, rng)
    whole = stats.bootstrap_auroc(positive, unit, negative, unit, counts)
    monkeypatch.setattr(stats, "CHUNK", 500)
    assert (stats.bootstrap_auroc(positive, unit, negative, unit, counts) == whole).all()


def delong_variance(positive, negative):
    """Variance of the AUROC of independent images after DeLong et al. 1988."""
    parts = []
    for own, other in ((positive, negative), (negative, positive)):
        ordered = np.sort(other)
        placed = np.searchsorted(ordered, own, "left") + np.searchsorted(ordered, own, "right")
        parts.append(float(np.var(placed / (2 * other.size), ddof=1)) / own.size)
    return sum(parts)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_interval_is_as_wide_as_delongs(shift):
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(shift, 1, 400), rng.normal(0, 1, 600)
    counts = stats.resample_counts(1000, 2000, rng)
    samples = stats.bootstrap_auroc(positive, np.arange(400), negative, np.arange(400, 1000), counts)
    low, high = stats.interval(samples)
    assert low < metrics.auroc(positive, negative) < high
    assert (high - low) / (2 * 1.96) == pytest.approx(delong_variance(positive, negative) ** 0.5, rel=0.1)


def test_delong_of_a_hand_example():
    # Components: positives 1, .5 (one of two negatives below); negatives 1, .5.
    assert delong_variance(np.array([3.0, 1.0]), np.array([0.0, 2.0])) == pytest.approx(0.125 / 2 + 0.125 / 2)


def test_drawing_an_images_versions_together_widens_what_they_share():
    # Each adversarial image is its clean one plus a constant: drawn together, most of the noise cancels.
    rng = np.random.default_rng(0)
    clean = rng.normal(0, 1, 300)
    positive, unit = clean + 0.5, np.arange(300)
    counts = stats.resample_counts(300, 1000, rng)
    together = stats.interval(stats.bootstrap_auroc(positive, unit, clean, unit, counts))
    apart_counts = stats.resample_counts(600, 1000, rng)
    apart = stats.interval(stats.bootstrap_auroc(positive, unit, clean, unit + 300, apart_counts))
    assert together[1] - together[0] < 0.6 * (apart[1] - apart[0])


def test_interval_leaves_nan_out():
    samples = np.r_[np.linspace(0, 1, 101), np.full(50, np.nan)]
    assert stats.interval(samples, 0.9) == pytest.approx((0.05, 0.95))
    assert all(math.isnan(end) for end in stats.interval(np.full(3, np.nan)))


@pytest.mark.parametrize("images", [10, 1000])
def test_a_share_of_nothing_or_all_has_the_end_of_clopper_and_pearson(images):
    exact = float(scipy.stats.beta.ppf(0.025, images, 1))
    assert stats.share_interval(np.ones(50), images) == (pytest.approx(exact), 1.0)
    assert stats.share_interval(np.zeros(50), images) == (0.0, pytest.approx(1 - exact))
    assert stats.share_interval(np.linspace(0, 1, 101), images, 0.9) == pytest.approx((0.05, 0.95))


def test_paired_p_never_claims_more_than_the_resamples_hold():
    assert stats.paired_p(np.full(999, 0.1)) == pytest.approx(2 / 1000)
    assert stats.paired_p(np.full(999, -0.1)) == pytest.approx(2 / 1000)
    assert stats.paired_p(np.zeros(999)) == 1.0
    assert stats.paired_p(np.array([])) == 1.0
    assert stats.paired_p(np.r_[np.full(95, 1.0), np.full(4, -1.0), np.nan]) == pytest.approx(2 * 5 / 100)


def test_paired_p_is_uniform_where_there_is_no_difference():
    # Two scorers of equal worth on the same images: about one in ten p-values lies below .1.
    rng = np.random.default_rng(0)
    unit, below = np.arange(150), 0
    for _ in range(200):
        quality = rng.normal(0, 1, (2, 150)) + np.array([[1.0], [0.0]])
        a, b = (quality + rng.normal(0, 1, (2, 150)) for _ in range(2))
        counts = stats.resample_counts(150, 400, rng)
        difference = stats.bootstrap_auroc(a[0], unit, a[1], unit, counts)
        difference -= stats.bootstrap_auroc(b[0], unit, b[1], unit, counts)
        below += stats.paired_p(difference) <= 0.1
    assert 8 <= below <= 34


def test_holm_by_hand():
    # (.01, .04, .03) sorted: .01 * 3, .03 * 2, .04 * 1 -> .03, .06, max(.06, .04).
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert stats.holm([]).shape == (0,)


def test_holm_gives_the_figures_of_rs_p_adjust():
    # p.adjust(c(.01, .02, .03, .04, .05), "holm"), which statsmodels' multipletests(method="holm") gives too.
    assert stats.holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_raw_and_bonferronis(p):
    adjusted = stats.holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-12).all()


def test_verdict_speaks_only_where_the_adjusted_p_allows():
    assert stats.verdict(0.02, 0.01) == "better"
    assert stats.verdict(-0.02, 0.01) == "worse"
    assert stats.verdict(0.02, 0.2) == "not separable"
    assert stats.verdict(0.02, float("nan")) == "not separable"
    assert stats.verdict(0.0, 0.01) == "not separable"
    assert stats.verdict(float("nan"), 0.01) == "not separable"
