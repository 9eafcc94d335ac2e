"""LID's terms one by one: against loops, and against LID."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.views import View
from subnetbench.detectors.lid import Lid, lid_mle
from subnetbench.detectors.multilid import MultiLid, growth


def test_three_distances_by_hand() -> None:
    np.testing.assert_allclose(growth(np.array([[1.0, 2.0, 4.0]])), [[-math.log(4), -math.log(2)]])


def test_its_sum_is_lids(rng: np.random.Generator) -> None:
    distances = np.sort(rng.uniform(0.1, 2, size=(40, 20)), axis=1)
    np.testing.assert_allclose(-20 / growth(distances).sum(1), lid_mle(distances), rtol=1e-12)


def test_a_distance_of_zero_is_bounded() -> None:
    terms = growth(np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 3.0, 3.0]]))
    np.testing.assert_allclose(terms, [[math.log(1e-7), -math.log(2)], [0, 0], [0, 0]])


@pytest.mark.parametrize("k", [2, 20])
def test_columns_equal_a_scalar_loop_tap_by_tap(k: int, train_view: View, test_view: View) -> None:
    detector = MultiLid(k=k).fit(train_view)
    measured = detector.characteristics(test_view)
    drawn = np.sort(np.random.default_rng(0).permutation(len(train_view))[:100])
    taps = train_view.classifier.taps
    assert measured.shape == (len(test_view), len(taps) * (k - 1))
    for t, tap in enumerate(taps):
        cloud = train_view.features(tap)[drawn].astype(np.float64)
        for i in range(0, len(test_view), 11):
            nearest = sorted(cdist(test_view.features(tap)[i : i + 1].astype(np.float64), cloud)[0])[:k]
            for j in range(k - 1):
                assert measured[i, t * (k - 1) + j] == pytest.approx(math.log(nearest[j] / nearest[-1]), abs=1e-9)
    assert "random forest" in detector.notes


def test_its_batch_is_lids(train_view: View, test_view: View) -> None:
    terms = MultiLid(k=20).fit(train_view).characteristics(test_view).reshape(len(test_view), -1, 19)
    np.testing.assert_allclose(-20 / terms.sum(2), Lid(k=20).fit(train_view).characteristics(test_view), rtol=1e-9)


@pytest.mark.parametrize(("name", "value"), [("k", 1), ("seed", -1), ("batch_size", 10)])
def test_a_bad_parameter_is_one_sentence(name: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"multilid: .*{name}"):
        MultiLid(**{name: value})
