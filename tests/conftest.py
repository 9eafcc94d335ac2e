"""One small trained classifier for the whole session; nothing else that costs time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, settings
from subnetbench.bench.core.home import DATA, STORE
from subnetbench.bench.data.builtin import digits
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.harness.train import Recipe, train
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier

# Tests are many small computations: threads cost more than they give, and sums over threads may differ by a bit.
torch.set_num_threads(1)

# A busy machine is no fault of what is tested: no test is a stopwatch.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=int, default=0, metavar="N", help="try N new random changes of every kind of file")


@pytest.fixture(scope="session", autouse=True)
def no_folders_of_the_developer() -> Iterator[None]:
    """What a developer has set names a store and data of other work: tests neither read nor fill them."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in (STORE, DATA):
            patch.delenv(variable, raising=False)
        yield


DIGITS_RECIPE = Recipe(epochs=8, batch_size=50, learning_rate=0.1, flip=False, shift=1)


@dataclass(frozen=True)
class TrainedDigits:
    classifier: Classifier
    dataset: Dataset
    metadata: dict[str, str]


@pytest.fixture(scope="session")
def trained_digits() -> TrainedDigits:
    """digits-cnn after eight epochs on digits, about three seconds. Shared: leave its weights and mode as they are."""
    dataset = digits()
    classifier = digits_cnn()
    metadata = train(classifier, dataset, DIGITS_RECIPE, device=torch.device("cpu"))
    return TrainedDigits(classifier.requires_grad_(False).eval(), dataset, metadata)
