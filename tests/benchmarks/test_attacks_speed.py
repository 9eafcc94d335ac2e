"""Images a second of each attack through each library; `pytest tests/benchmarks --benchmark-only`. No limit is set."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from subnetbench.attacks.presets import LIBRARIES, build
from subnetbench.attacks.verify import craft
from subnetbench.bench.models.cifar import digits_cnn

#: Weights are untrained: time does not depend on them where all steps are always taken.
COUNT = 8


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", ["fgsm", "bim", "deepfool", "cw"])
def test_speed(benchmark: BenchmarkFixture, name: str, library: str) -> None:
    torch.manual_seed(0)
    classifier = digits_cnn(width=16).eval()
    images = torch.rand(COUNT, 1, 8, 8)
    with torch.no_grad():
        labels = classifier(images).argmax(1)
    attack = build(name, library, "quick", {"steps": 10, "binary_search_steps": 2} if name == "cw" else {})
    craft(attack, classifier, images[:1], labels[:1], seed=0)  # the library's import is not the attack's time
    benchmark.group = name
    benchmark.name = f"{library}/{name}"
    benchmark.pedantic(lambda: craft(attack, classifier, images, labels, seed=0), rounds=3, iterations=1)
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["images_per_second"] = COUNT / benchmark.stats.stats.median
