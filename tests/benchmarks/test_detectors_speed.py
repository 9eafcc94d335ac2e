"""Seconds of each detector on digits, beside the plain way where there is one. Nothing is asserted about time.

Run with ``pytest tests/benchmarks --benchmark-only``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import KernelDensity
from subnetbench.bench.core.arrays import ClassGates
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.data.builtin import digits
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.views import View
from subnetbench.detectors.kd_pu import References
from subnetbench.detectors.lid import lid_mle

DATA = digits()


@pytest.fixture(scope="module")
def net() -> Classifier:
    """Weights as drawn: time does not depend on them."""
    torch.manual_seed(0)
    return digits_cnn().eval()


@pytest.fixture(scope="module")
def gates(net: Classifier) -> ClassGates:
    generator = torch.Generator().manual_seed(0)
    channels = net.channels(net.gated_paths("late"))
    return {path: (torch.rand(10, n, generator=generator) < 0.8).float() for path, n in channels.items()}


#: Not the rows of another library, some of which want a trained net.
OURS = [name for name in detectors if not name.startswith("ood-")]


def views(net: Classifier, gates: ClassGates) -> tuple[View, View]:
    """New views each time, since a view remembers; the full net's pass is done, as in a run."""
    train = View(net, DATA.train.tensor(), key="train", labels=DATA.train.labels, gates={"learned": gates})
    test = View(net, DATA.test.tensor(), key="test")
    train.features("conv1")
    test.features("conv1")
    return train, test


@pytest.mark.parametrize("name", OURS)
@pytest.mark.benchmark(group="fit")
def test_fit(benchmark: Any, name: str, net: Classifier, gates: ClassGates) -> None:
    def setup() -> tuple[tuple[View], dict[str, Any]]:
        return (views(net, gates)[0],), {}

    benchmark.pedantic(lambda train: detectors.get(name)().fit(train), setup=setup, rounds=3)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.benchmark(group="score 899 images")
def test_score(benchmark: Any, name: str, net: Classifier, gates: ClassGates) -> None:
    def setup() -> tuple[tuple[Any, View], dict[str, Any]]:
        train, test = views(net, gates)
        return (detectors.get(name)().fit(train), test), {}

    benchmark.pedantic(lambda detector, test: detector.characteristics(test), setup=setup, rounds=3)


@pytest.mark.parametrize("name", ["mahalanobis", "subnet-mahalanobis", "lid", "kd-pu"])
@pytest.mark.benchmark(group="score 899 images with every candidate")
def test_all_candidates(benchmark: Any, name: str, net: Classifier, gates: ClassGates) -> None:
    kind = detectors.get(name)

    def score(train: View, test: View) -> None:
        for candidate in kind.candidates:
            kind(**candidate).fit(train).characteristics(test)

    benchmark.pedantic(score, setup=lambda: (views(net, gates), {}), rounds=1)


@pytest.fixture(scope="module")
def cloud() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(1000, 256)), rng.normal(size=(1000, 256))


@pytest.mark.benchmark(group="density of 1,000 points under 1,000 in 256 dimensions")
def test_density_here(benchmark: Any, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    references = References.draw(cloud[0], np.zeros(1000, np.int64), 1, 1000, 0)
    benchmark.pedantic(lambda: references.log_density(cloud[1], np.zeros(1000, np.int64), 1.0), rounds=3)


@pytest.mark.benchmark(group="density of 1,000 points under 1,000 in 256 dimensions")
def test_density_scikit_learn(benchmark: Any, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    kde = KernelDensity(bandwidth=1.0).fit(cloud[0])
    benchmark.pedantic(lambda: kde.score_samples(cloud[1]), rounds=3)


@pytest.mark.benchmark(group="LID of 100 points, all nine k")
def test_lid_here(benchmark: Any, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    def score() -> None:
        distances = np.sort(cdist(cloud[1][:100], cloud[0][:100]), axis=1)
        for k in range(10, 100, 10):
            lid_mle(distances[:, :k])

    benchmark.pedantic(score, rounds=3)


@pytest.mark.benchmark(group="LID of 100 points, all nine k")
def test_lid_naive_loop(benchmark: Any, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    def score() -> None:
        for k in range(10, 100, 10):
            for point in cloud[1][:100]:
                nearest = sorted(float(np.linalg.norm(point - row)) for row in cloud[0][:100])[:k]
                _ = -k / sum(math.log(r / nearest[-1]) for r in nearest)

    benchmark.pedantic(score, rounds=1)
