from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from subnetbench.bench import UserError
from subnetbench.bench.stats import metrics

# Few distinct values, so that ties are the rule, and wide values, so that they are not.
SCORES = st.one_of(
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=40),
    st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=40),
).map(np.array)


def joined(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.r_[np.ones(len(positive)), np.zeros(len(negative))], np.r_[positive, negative]


@given(SCORES, SCORES)
def test_auroc_and_aupr_are_scikit_learns(positive, negative):
    truth, scores = joined(positive, negative)
    assert metrics.auroc(positive, negative) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert metrics.aupr(positive, negative) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


@given(SCORES, SCORES)
def test_fpr95_and_accuracy_are_read_off_the_roc_curve(positive, negative):
    fpr, tpr, _ = roc_curve(*joined(positive, negative), drop_intermediate=False)
    assert metrics.fpr_at_tpr(positive, negative) == pytest.approx(fpr[tpr >= 0.95 - 1e-12].min())
    assert metrics.detection_accuracy(positive, negative) == pytest.approx(((tpr + 1 - fpr) / 2).max())


def test_fpr_at_tpr_needs_exactly_the_share_asked_for():
    # 57 of 60 is 95%, though .95 * 60 rounds up in floating point: the three hidden images cost nothing.
    positive = np.r_[np.full(57, 2.0), np.zeros(3)]
    assert metrics.fpr_at_tpr(positive, np.full(10, 1.0)) == 0.0
    positive = np.r_[np.full(56, 2.0), np.zeros(4)]
    assert metrics.fpr_at_tpr(positive, np.full(10, 1.0)) == 1.0


def test_pessimistic_ties_count_nothing():
    tied = np.ones(5)
    assert metrics.auroc(tied, tied) == 0.5
    assert metrics.auroc(tied, tied, ties="pessimistic") == 0.0
    assert metrics.auroc(np.array([1.0, 2.0]), np.array([1.0, 0.0]), ties="pessimistic") == 0.75


def test_rounding_scores_lowers_the_pessimistic_auroc_alone():
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(0.8, 1, 2000), rng.normal(0, 1, 2000)
    exact = metrics.auroc(positive, negative)
    assert metrics.auroc(positive, negative, ties="pessimistic") == exact
    assert metrics.auroc(positive.round(), negative.round(), ties="pessimistic") < exact - 0.05
    assert metrics.auroc(positive.round(), negative.round()) == pytest.approx(exact, abs=0.02)


def naive_lee(adversarial: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """The description in words, one threshold after the other: the known images fall first among equals."""
    falls = sorted([(-s, 0) for s in clean] + [(-s, 1) for s in adversarial])
    known, novel = len(clean), len(adversarial)
    points = [(known, novel)]
    for _, is_novel in falls:
        k, n = points[-1]
        points.append((k, n - 1) if is_novel else (k - 1, n))
    curve = [(k / known, n / novel) for k, n in points]
    nearest = min(range(len(curve)), key=lambda i: abs(curve[i][0] - 0.95))
    precision_in = [(1.0, 0.5)] + [(k / known, k / (k + n)) for k, n in points[:-1]] + [(0.0, 0.0)]
    precision_out = [(0.0, 0.0)]
    precision_out += [(1 - n / novel, (novel - n) / (known - k + novel - n)) for k, n in points[1:]] + [(1.0, 0.5)]

    def area(xy: list[tuple[float, float]]) -> float:
        return sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in itertools.pairwise(xy))

    return {
        "tnr95": 1 - curve[nearest][1],
        "auroc": -area([(t, 1 - f) for t, f in curve]),
        "dtacc": max((t + 1 - f) / 2 for t, f in curve),
        "auin": -area(precision_in),
        "auout": area(precision_out),
    }


@given(SCORES, SCORES)
def test_lee_metrics_follow_the_description(positive, negative):
    assert metrics.lee_metrics(positive, negative) == pytest.approx(naive_lee(positive, negative), abs=1e-9)


@given(SCORES, SCORES)
def test_lee_auroc_is_the_pessimistic_one(positive, negative):
    pessimistic = metrics.auroc(positive, negative, ties="pessimistic")
    assert metrics.lee_metrics(positive, negative)["auroc"] == pytest.approx(pessimistic, abs=1e-12)


def test_lee_reads_tnr_at_the_point_nearest_to_95_percent():
    # With 100 known images 95% exists: the five highest clean scores are given up, and what lies above them is found.
    clean = np.arange(100.0)
    assert metrics.lee_metrics(np.array([97.5, 94.5]), clean)["tnr95"] == 0.5
    assert metrics.lee_metrics(np.array([97.5, 95.5]), clean)["tnr95"] == 1.0
    # With three there are TPR 1 and .67 only: 1 is nearer, and its first point is the one where nothing is found yet.
    assert metrics.lee_metrics(np.array([9.0, 1.5]), np.arange(3.0))["tnr95"] == 0.0


@given(SCORES, SCORES)
def test_no_metric_depends_on_the_scale_of_scores_and_order_of_images(positive, negative):
    rounded = [np.round(side, 3) for side in (positive, negative)]  # so that the map below keeps distinct distinct
    mapped = [np.cbrt(side)[::-1] * 3 - 7 for side in rounded]
    assert metrics.summary(*mapped) == pytest.approx(metrics.summary(*rounded), abs=1e-12)


def test_summary_of_a_perfect_detector():
    found = metrics.summary(np.array([2.0, np.inf]), np.array([0.0, -np.inf]))
    assert found == {"auroc": 1.0, "aupr": 1.0, "fpr95": 0.0, "accuracy": 1.0}


@pytest.mark.parametrize(
    "metric", [metrics.auroc, metrics.aupr, metrics.fpr_at_tpr, metrics.detection_accuracy, metrics.lee_metrics]
)
def test_nan_and_nothing_are_refused_in_one_sentence(metric):
    with pytest.raises(UserError, match="1 of 2 adversarial scores are NaN"):
        metric(np.array([1.0, np.nan]), np.array([0.0]))
    with pytest.raises(UserError, match="1 of 1 clean scores are NaN"):
        metric(np.array([1.0]), np.array([np.nan]))
    with pytest.raises(UserError, match="no clean scores"):
        metric(np.array([1.0]), np.array([]))
