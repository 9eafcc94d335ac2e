"""The estimator, its reference batches, and the trap in how the authors pick them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.views import View
from subnetbench.detectors.lid import Lid, lid_mle

from .conformance import fresh


def scalar_lid(distances: list[float], k: int) -> float:
    nearest = sorted(distances)[:k]
    return -1 / (sum(math.log(r / nearest[-1]) for r in nearest) / k)


def test_three_distances_by_hand() -> None:
    """r = 1, 2, 4: the mean of log(r / 4) is -(log 4 + log 2) / 3 = -log 2."""
    assert lid_mle(np.array([[1.0, 2.0, 4.0]]))[0] == pytest.approx(1 / math.log(2), rel=1e-12)


def test_the_estimate_is_the_dimension_of_uniform_data(rng: np.random.Generator) -> None:
    for dimension in (2, 8):
        cloud, points = rng.normal(size=(20_000, dimension)), rng.normal(size=(200, dimension)) * 0.3
        distances = np.sort(cdist(points, cloud), 1)[:, :100]
        assert lid_mle(distances).mean() == pytest.approx(dimension, rel=0.1)


def test_degenerate_distances_give_finite_numbers() -> None:
    found = lid_mle(np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0 + 1e-12]]))
    assert found[:2].tolist() == [0, 0]
    np.testing.assert_allclose(found[2:], 1e7)


@pytest.mark.parametrize("k", [10, 20, 90])
def test_train_reference_equals_a_scalar_loop(k: int, train_view: View, test_view: View) -> None:
    found = Lid(k=k, seed=4).fit(train_view).characteristics(test_view)
    chosen = np.random.default_rng(4).permutation(len(train_view))[:100]
    for column, tap in enumerate(train_view.classifier.taps):
        batch = train_view.features(tap)[chosen].astype(np.float64)
        for i in range(0, len(test_view), 11):
            point = test_view.features(tap)[i].astype(np.float64)
            distances = [math.sqrt(sum((a - b) ** 2 for a, b in zip(point, row, strict=True))) for row in batch]
            assert found[i, column] == pytest.approx(scalar_lid(distances, k), rel=1e-5)


def test_parents_reference_equals_a_scalar_loop_and_the_last_batch_is_whole(
    net: Classifier, dataset: Dataset, train_view: View, rng: np.random.Generator
) -> None:
    """Batches of 100 in file order, sorted distances 1..k of the same batch of originals (traps 13 and 14)."""
    clean = dataset.test.tensor(slice(0, 250))
    noisy = (clean + 0.1 * (2 * (clean > 0.5).float() - 1) * 0.5).clamp(0, 1)
    parents = View(net, clean, key="clean")
    view = View(net, noisy, key="noisy", parents=parents)
    found = Lid(k=20, reference="parents").fit(train_view).characteristics(view)
    assert np.isfinite(found).all()
    assert len(found) == 250
    for i, batch in ((3, slice(0, 100)), (150, slice(100, 200)), (240, slice(150, 250))):
        for column, tap in enumerate(net.taps):
            distances = np.sort(np.linalg.norm(parents.features(tap)[batch] - view.features(tap)[i], axis=1))[1:]
            assert found[i, column] == pytest.approx(scalar_lid(distances.tolist(), 20), rel=1e-4)


def test_dropping_the_original_only_for_clean_images_detects_pure_noise() -> None:
    """Trap 13: an image's clean original is its nearest neighbour, and keeping it gives the image away.

    Points that are moved by noise far smaller than their distances are not detectable; the slice that the authors
    apply to all alike finds nothing, an independent reference finds nothing, and the seemingly right version, that
    drops index 0 only for the clean images' distance to themselves, finds everything.
    """
    rng = np.random.default_rng(0)
    k, clean_auc = 20, {"lee": [], "naive": [], "independent": []}
    for _ in range(20):
        clean, other = rng.normal(size=(100, 32)), rng.normal(size=(100, 32))
        noisy = clean + 0.01 * rng.normal(size=clean.shape)
        labels = np.repeat([0, 1], 100)
        own, moved = np.sort(cdist(clean, clean), 1), np.sort(cdist(noisy, clean), 1)

        def auc(one: np.ndarray, two: np.ndarray, labels: np.ndarray = labels) -> float:
            return float(roc_auc_score(labels, np.concatenate([lid_mle(one), lid_mle(two)])))

        clean_auc["lee"].append(auc(own[:, 1 : k + 1], moved[:, 1 : k + 1]))
        naive = auc(own[:, 1 : k + 1], moved[:, :k])
        clean_auc["naive"].append(max(naive, 1 - naive))
        independent = np.sort(cdist(clean, other), 1)[:, :k], np.sort(cdist(noisy, other), 1)[:, :k]
        clean_auc["independent"].append(auc(*independent))
    assert np.mean(clean_auc["lee"]) == pytest.approx(0.5, abs=0.02)
    assert np.mean(clean_auc["independent"]) == pytest.approx(0.5, abs=0.02)
    assert np.mean(clean_auc["naive"]) > 0.99


def test_the_detector_itself_does_not_detect_pure_noise(net: Classifier, dataset: Dataset, train_view: View) -> None:
    clean = dataset.test.tensor(slice(0, 400))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = (clean + 1e-4 * noise).clamp(0, 1)
    parents = View(net, clean, key="clean")
    parents.parents = View(net, clean, key="clean")
    for reference in ("parents", "train"):
        detector = Lid(reference=reference).fit(train_view)
        one, two = (detector.characteristics(v) for v in (parents, View(net, noisy, key="noisy", parents=parents)))
        for column in range(len(net.taps)):
            auc = roc_auc_score(np.repeat([0, 1], 400), np.concatenate([one[:, column], two[:, column]]))
            assert auc == pytest.approx(0.5, abs=0.05)


def test_all_k_share_one_sorted_distance_matrix(
    train_view: View, test_view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("scipy.spatial.distance.cdist", lambda a, b: (calls.append(1), cdist(a, b))[1])
    for candidate in Lid.candidates:
        Lid(**candidate).fit(train_view).characteristics(test_view)
    assert len(calls) == len(train_view.classifier.taps)


def test_mistakes_are_said_in_one_sentence(
    net: Classifier, dataset: Dataset, train_view: View, test_view: View
) -> None:
    with pytest.raises(UserError, match="k must be below batch_size"):
        Lid(k=100)
    with pytest.raises(UserError, match=r"needs 100 training images .* there are 50"):
        Lid().fit(View(net, dataset.train.tensor(slice(0, 50)), key="few"))
    with pytest.raises(UserError, match="only the protocol lee2018 gives"):
        Lid(reference="parents").fit(train_view).characteristics(test_view)
    small = fresh(test_view, slice(0, 9))
    small.parents = fresh(test_view, slice(0, 9))
    with pytest.raises(UserError, match="the view has 9 images"):
        Lid(reference="parents", k=10).fit(train_view).characteristics(small)
