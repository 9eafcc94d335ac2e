"""The small trained net and a few digits for all tests of attacks."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest
import torch
from subnetbench.bench.models.classifier import Classifier


class Digits(NamedTuple):
    classifier: Classifier
    images: torch.Tensor
    labels: torch.Tensor


@pytest.fixture(scope="session")
def digits(trained_digits: Any) -> Digits:
    """A copy of the small trained net, whose weights take gradients, and 24 images that it classifies correctly."""
    classifier, test = copy.deepcopy(trained_digits.classifier).requires_grad_(True), trained_digits.dataset.test
    images, labels = test.tensor(), torch.from_numpy(test.labels)
    with torch.no_grad():
        right = classifier(images).argmax(1) == labels
    return Digits(classifier, images[right][:24], labels[right][:24])
