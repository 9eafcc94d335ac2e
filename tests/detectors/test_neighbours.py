"""The index finds the true nearest neighbours, in one order, once for everybody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.views import View
from subnetbench.detectors import neighbours
from subnetbench.detectors.dknn import Dknn
from subnetbench.detectors.jtla import Jtla
from subnetbench.detectors.neighbours import Index, Split, placed

from .conformance import fresh


def index_of(features: Any, metric: str = "euclidean") -> Index:
    references = placed(np.asarray(features, np.float32), metric)
    return Index("tap", metric, references, np.zeros(len(references), np.int64), references.mean(0))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_distances_equal_scipy_far_from_the_origin_too(
    metric: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BYTES", 8 * 400 * 7)  # seven rows a block, and a last one that is not full
    cloud, points = (rng.normal(size=(n, 24)).astype(np.float32) + np.float32(30) for n in (400, 50))
    distances, positions = index_of(cloud, metric).nearest(points, 11)
    full = cdist(points.astype(np.float64), cloud.astype(np.float64), metric)
    np.testing.assert_array_equal(positions, np.argsort(full, axis=1)[:, :11])
    np.testing.assert_allclose(distances, np.sort(full, axis=1)[:, :11], rtol=1e-8)


def test_equal_distances_are_in_the_order_of_the_index_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid far from the origin: 4 neighbours at distance 1 and 4 at the root of 2, of which 3 are asked for."""
    grid = np.array([(x, y) for x in range(5) for y in range(5)], np.float32) + 100
    whole = index_of(grid).nearest(grid, 8)[1]
    assert whole[12].tolist() == [12, 7, 11, 13, 17, 6, 8, 16]
    monkeypatch.setattr(neighbours, "BYTES", 1)
    np.testing.assert_array_equal(index_of(grid).nearest(grid, 8)[1], whole)
    np.testing.assert_array_equal(index_of(grid).nearest(grid[::-1].copy(), 3)[1], whole[::-1, :3])


def test_copies_of_one_image_are_all_at_distance_zero_and_ordered() -> None:
    distances, positions = index_of(np.full((300, 6), 1 / 3)).nearest(np.full((2, 6), 1 / 3, np.float32), 5)
    assert positions.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert not distances.any()


def test_a_row_of_zeros_has_no_direction() -> None:
    distances, _ = index_of([[1, 0], [0, 2], [0, 0]], "cosine").nearest(np.zeros((1, 2), np.float32), 3)
    assert distances.tolist() == [[0, 0.5, 0.5]]


def test_the_split_holds_out_a_quarter_and_nothing_lies_in_both(train_view: View) -> None:
    split = Split.of(train_view, 0)
    assert len(split.calibration) == len(train_view) // 4
    assert sorted([*split.indexed, *split.calibration]) == list(range(len(train_view)))
    assert not np.array_equal(split.calibration, Split.of(train_view, 1).calibration)
    np.testing.assert_array_equal(split.calibration, Split.of(fresh(train_view), 0).calibration)


def test_detectors_and_candidates_share_one_search(
    train_view: View, test_view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, searches = fresh(train_view), []
    train.labels = train_view.labels
    nearest = Index.nearest
    monkeypatch.setattr(Index, "nearest", lambda self, f, k: searches.append(len(f)) or nearest(self, f, k))
    for detector in (Dknn(k=10), Dknn(k=75), Jtla(k=25), Jtla(k=75)):
        detector.fit(train).characteristics(test_view)
    taps = len(train.classifier.taps)
    assert sorted(searches) == sorted([len(train) // 4] * taps + [len(test_view)] * taps)


def test_more_neighbours_than_images_is_one_sentence(train_view: View) -> None:
    with pytest.raises(UserError, match="lower k or give more training images"):
        Dknn(k=100_000).fit(train_view)
