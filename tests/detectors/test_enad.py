"""The ensemble is its parts, and its third part is scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.svm import OneClassSVM
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.views import View
from subnetbench.detectors.enad import Enad, Machines
from subnetbench.detectors.lid import Lid
from subnetbench.detectors.mahalanobis import Mahalanobis


def test_the_first_columns_are_those_of_lid_and_mahalanobis(train_view: View, test_view: View) -> None:
    measured = Enad(k=10, seed=3).fit(train_view).characteristics(test_view)
    taps = len(train_view.classifier.taps)
    lid = Lid(k=10, seed=3).fit(train_view).characteristics(test_view)
    distances = Mahalanobis().fit(train_view).characteristics(test_view)
    assert measured.shape == (len(test_view), 3 * taps)
    np.testing.assert_array_equal(measured[:, : 2 * taps], np.concatenate([lid, distances], 1))


def test_the_last_columns_equal_scikit_learns_whitened_machines(train_view: View, test_view: View) -> None:
    measured = Enad(nu=0.1, components=8, per_class=10_000).fit(train_view).characteristics(test_view)
    taps, labels = train_view.classifier.taps, train_view.labels
    for column, tap in enumerate(taps):
        train, test = (v.features(tap).astype(np.float64) for v in (train_view, test_view))
        pca = PCA(8, svd_solver="full").fit(train)
        scale = np.sqrt(pca.explained_variance_ * (len(train) - 1) / len(train))
        white = pca.transform(train) / scale
        for c in range(10):
            machine = OneClassSVM(nu=0.1, gamma=1 / 8).fit(white[labels == c])
            rows = test_view.predicted == c
            if rows.any():
                expected = -machine.decision_function(pca.transform(test[rows]) / scale)
                # libsvm stops at a tolerance of 1e-3, and where it stops depends on rounding
                np.testing.assert_allclose(measured[rows, 2 * len(taps) + column], expected, atol=2e-3)


def test_a_dead_channel_is_no_component(rng: np.random.Generator) -> None:
    features = np.concatenate([rng.normal(size=(60, 3)), np.zeros((60, 2))], 1).astype(np.float32)
    labels = np.repeat([0, 1], 30)
    machines = Machines.fit(features, labels, 2, nu=0.1, components=32, per_class=50, seed=0)
    assert machines.basis.shape == (5, 3)
    inside, outside = machines.scores(features, labels), machines.scores(features + np.float32(9), labels)
    assert (inside > 1e-6).mean() < 0.3  # about nu of them are left out
    assert (outside > 0).all()


@pytest.mark.parametrize(("name", "value"), [("nu", 0.0), ("nu", 1.5), ("components", 0), ("per_class", 1)])
def test_a_bad_parameter_is_one_sentence(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"enad: {name}"):
        Enad(**{name: value})  # type: ignore[arg-type]
