"""Mahalanobis, LID and KD give the figures of the code released with their papers, on features of real images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from subnetbench.detectors.kd_pu import References
from subnetbench.detectors.lid import Lid
from subnetbench.detectors.mahalanobis import Gaussians, Mahalanobis

HERE = Path(__file__).parent
KINDS = ("clean", "adversarial", "noisy")


class Seen:
    """A view whose features were made elsewhere."""

    def __init__(self, features: Mapping[str, np.ndarray], labels: np.ndarray, parents: Seen | None = None) -> None:
        self._features, self.labels, self.parents = features, labels, parents
        self.predicted = labels
        self.classifier = SimpleNamespace(taps=tuple(features), classes=10)

    def __len__(self) -> int:
        return len(self.labels)

    def features(self, tap: str) -> np.ndarray:
        return self._features[tap]

    def memo(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        return compute()


@pytest.fixture(scope="module")
def mahalanobis() -> Mapping[str, np.ndarray]:
    return dict(np.load(HERE / "mahalanobis.npz"))


def layers(golden: Mapping[str, np.ndarray], name: str, labels: np.ndarray) -> Seen:
    return Seen({f"layer{i}": golden[f"{name}_{i}"] for i in (0, 1)}, labels)


def test_means_and_the_tied_precision_are_those_of_lees_code(mahalanobis: Mapping[str, np.ndarray]) -> None:
    for i in (0, 1):
        found = Gaussians.fit(mahalanobis[f"train_features_{i}"], mahalanobis["train_labels"], 10)
        np.testing.assert_allclose(found.means, mahalanobis[f"expected_means_{i}"], rtol=0, atol=1e-12)
        expected = mahalanobis[f"expected_precision_{i}"]
        np.testing.assert_allclose(found.precision, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_mahalanobis_is_minus_the_score_of_lees_code(mahalanobis: Mapping[str, np.ndarray], kind: str) -> None:
    detector = Mahalanobis().fit(layers(mahalanobis, "train_features", mahalanobis["train_labels"]))
    found = detector.characteristics(layers(mahalanobis, f"{kind}_features", mahalanobis["test_labels"]))
    np.testing.assert_allclose(-found, mahalanobis[f"expected_score_{kind}"], rtol=1e-10)
    np.testing.assert_allclose(-found, mahalanobis[f"expected_score_{kind}_float32"], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_lid_with_the_batch_as_reference_is_that_of_the_released_code(kind: str) -> None:
    golden = np.load(HERE / "lid.npz")
    images = layers(golden, kind, golden["test_labels"])
    images.parents = layers(golden, "clean", golden["test_labels"])
    for k, expected in zip(golden["k"], golden[f"expected_{kind}"], strict=True):
        found = Lid(k=int(k), reference="parents").fit(images).characteristics(images)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_kernel_density_is_that_of_the_released_code(kind: str) -> None:
    golden = np.load(HERE / "kd.npz")
    references = References.draw(golden["train_features"], golden["train_labels"], 10, 1000, seed=0)
    for bandwidth, expected in zip(golden["bandwidth"], golden[f"expected_{kind}"], strict=True):
        found = references.log_density(golden[f"{kind}_features"], golden[f"{kind}_predicted"], float(bandwidth))
        np.testing.assert_allclose(found, expected, rtol=1e-10)
