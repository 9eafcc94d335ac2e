"""What one pass for all classes and a shared prefix are worth, each against its opposite in the same run.

Compare within a group; `passes_per_second` is in the benchmark's extra information. Nothing is asserted about time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.models.cifar import wide7
from subnetbench.subnets.calibration import Calibration
from subnetbench.subnets.frozen import GatedNet, Images
from subnetbench.subnets.gates import GateOptions
from subnetbench.subnets.learn import learn


def measure(benchmark: Any, net: Any, split: Any, options: GateOptions, chunk: int, own: int) -> None:
    gated = GatedNet(net, net.gated_paths(options.position))
    images = Images(gated, split, options.prefix_mib)
    pools = [np.flatnonzero(split.labels == label)[:own] for label in range(10)]
    passes = 0

    def count(done: int) -> None:
        nonlocal passes
        passes += done

    def all_classes() -> None:
        nonlocal passes
        passes = 0
        for begin in range(0, 10, chunk):
            learn(gated, images, pools, range(begin, begin + chunk), Calibration.none(10), options, count)

    benchmark.pedantic(all_classes, rounds=3, warmup_rounds=1)
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["passes_per_second"] = round(passes / benchmark.stats.stats.min)
    assert passes == 10 * 2 * own


@pytest.mark.benchmark(group="gates, digits-cnn: classes a pass")
@pytest.mark.parametrize("chunk", [10, 1], ids=["all classes in one pass", "one class at a time"])
def test_classes_a_pass(benchmark: Any, trained_digits: Any, chunk: int) -> None:
    options = GateOptions(epochs=1, batch_size=16)
    measure(benchmark, trained_digits.classifier, trained_digits.dataset.train, options, chunk, 40)


@pytest.mark.benchmark(group="gates, wide7, late: prefix")
@pytest.mark.parametrize("prefix_mib", [2048, 0], ids=["shared", "recomputed"])
def test_prefix(benchmark: Any, prefix_mib: int) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    options = GateOptions(epochs=1, batch_size=20, position="late", prefix_mib=prefix_mib)
    measure(benchmark, wide7().eval(), Split(pixels, np.arange(100) % 10), options, 10, 10)
