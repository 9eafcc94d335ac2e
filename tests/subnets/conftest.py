"""Subnets of the small digits net, learned once; and the same net in float64 for claims of equality."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.models.classifier import Classifier
from subnetbench.subnets.extract import Extraction, extract
from subnetbench.subnets.gates import GateOptions

#: Enough steps on 80 images a class for gates to reach 0.
DIGITS = GateOptions(batch_size=16, gamma=0.1)


@pytest.fixture(scope="session")
def net(trained_digits: Any) -> Classifier:
    classifier: Classifier = trained_digits.classifier
    return classifier


@pytest.fixture(scope="session")
def net64(net: Classifier) -> Classifier:
    return copy.deepcopy(net).double()


@pytest.fixture(scope="session")
def images(trained_digits: Any) -> Split:
    split: Split = trained_digits.dataset.train
    return split


@pytest.fixture(scope="session")
def extraction(net: Classifier, images: Split) -> Extraction:
    return extract(net, images, DIGITS)
