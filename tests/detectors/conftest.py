"""The small trained net with gates and views of digits, shared by the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.core.arrays import ClassGates
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.views import View


@pytest.fixture(scope="session")
def dataset(trained_digits: Any) -> Dataset:
    data: Dataset = trained_digits.dataset
    return data


@pytest.fixture(scope="session")
def net(trained_digits: Any) -> Classifier:
    classifier: Classifier = trained_digits.classifier
    return classifier


@pytest.fixture(scope="session")
def gates(net: Classifier) -> ClassGates:
    """Binary gates at three of four units, about 80% active: no one learned them, but they are class-specific."""
    generator = torch.Generator().manual_seed(3)
    channels = net.channels(net.gated_paths("stages"))
    return {path: (torch.rand(net.classes, n, generator=generator) < 0.8).float() for path, n in channels.items()}


@pytest.fixture(scope="session")
def train_view(net: Classifier, dataset: Dataset, gates: ClassGates) -> View:
    return View(net, dataset.train.tensor(), key="train", labels=dataset.train.labels, gates={"learned": gates})


@pytest.fixture
def test_view(net: Classifier, dataset: Dataset) -> View:
    """The first 60 test images and 60 noisy copies; nothing computed yet."""
    clean = dataset.test.tensor(slice(0, 60))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    return View(net, torch.cat([clean, (clean + 0.15 * noise).clamp(0, 1)]), key="test")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
