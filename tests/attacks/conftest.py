"""One small trained classifier and a few digits for all tests of attacks."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from subnetbench.bench.data.load import load
from subnetbench.bench.harness.train import Recipe, train
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier


class Digits(NamedTuple):
    classifier: Classifier
    images: torch.Tensor
    labels: torch.Tensor


@pytest.fixture(scope="session")
def digits() -> Digits:
    """A digits-cnn of about 97% and 24 test images that it names right."""
    dataset = load("digits")
    classifier = digits_cnn(width=16)
    recipe = Recipe(epochs=12, batch_size=100, learning_rate=0.2, flip=False, shift=1)
    train(classifier, dataset, recipe, device=torch.device("cpu"))
    images, labels = dataset.test.tensor(), torch.from_numpy(dataset.test.labels)
    with torch.no_grad():
        right = classifier(images).argmax(1) == labels
    return Digits(classifier, images[right][:24], labels[right][:24])
