"""Credibility by scalar loops, and its edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.views import View
from subnetbench.detectors.dknn import Dknn, p_values
from subnetbench.detectors.neighbours import Split


def disagreeing(features: dict[str, np.ndarray], point: dict[str, np.ndarray], labels: np.ndarray, k: int) -> list[int]:
    """alpha of all ten classes, from scipy's distances."""
    votes = [0] * 10
    for tap, cloud in features.items():
        distances = cdist(point[tap][None].astype(np.float64), cloud.astype(np.float64), "cosine")[0]
        for i in np.argsort(distances, kind="stable")[:k]:
            for c in range(10):
                votes[c] += int(labels[i] != c)
    return votes


@pytest.mark.parametrize("k", [10, 75])
def test_both_columns_equal_scalar_loops(k: int, train_view: View, test_view: View) -> None:
    measured = Dknn(k=k, columns="both").fit(train_view).characteristics(test_view)
    split, labels = Split.of(train_view, 0), train_view.labels
    assert labels is not None
    taps = train_view.classifier.taps
    cloud = {tap: train_view.features(tap)[split.indexed] for tap in taps}
    calibration = []
    for i in split.calibration:
        point = {tap: train_view.features(tap)[i] for tap in taps}
        calibration.append(disagreeing(cloud, point, labels[split.indexed], k)[labels[i]])
    for i in range(0, len(test_view), 7):
        alphas = disagreeing(cloud, {t: test_view.features(t)[i] for t in taps}, labels[split.indexed], k)
        p = sorted(sum(a >= alpha for a in calibration) / len(calibration) for alpha in alphas)
        assert measured[i].tolist() == pytest.approx([1 - p[-1], p[-2]], abs=1e-12)


def test_a_p_value_counts_ties_as_at_least_as_large() -> None:
    p = p_values(np.array([[0, 1, 2, 9, 10]]), np.array([0, 1, 1, 9]))
    assert p.tolist() == [[1.0, 0.75, 0.25, 0.25, 0.0]]


def test_one_column_is_the_first_of_both(train_view: View, test_view: View) -> None:
    one, both = (Dknn(columns=c).fit(train_view).characteristics(test_view) for c in ("credibility", "both"))
    assert one.shape == (len(test_view), 1)
    np.testing.assert_array_equal(one[:, 0], both[:, 0])


@pytest.mark.parametrize(("name", "value"), [("k", 0), ("metric", "l3"), ("columns", "all"), ("seed", -1)])
def test_a_bad_parameter_is_one_sentence(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"dknn: {name}"):
        Dknn(**{name: value})  # type: ignore[arg-type]
