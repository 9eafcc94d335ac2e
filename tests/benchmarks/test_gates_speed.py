"""What one pass for all classes and a shared prefix are worth, each against its opposite in the same run, and what
learning costs beside bare gradients.

Compare within a group; `passes_per_second` is in the benchmark's extra information. Nothing is asserted about time.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.models.cifar import wide7
from subnetbench.bench.models.classifier import layout
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


@pytest.mark.parametrize("batch_size", [20, 64])
def test_a_pass_in_bare_gradients(benchmark: Any, batch_size: int) -> None:
    """Passes a second of learning as a share of bare gradients a second, both of the stages behind the first gate.

    A bare gradient is a pass forward and back of the cross-entropy; those stages are all that learning runs.
    """
    own, rounds = (2, 1) if benchmark.disabled else (batch_size // 2, 3)
    torch.manual_seed(0)  # weights as drawn: time does not depend on them
    net = wide7().eval().requires_grad_(False)
    gated = GatedNet(net.to(memory_format=layout(net)), net.gated_paths("units"))
    pixels = np.random.default_rng(0).integers(0, 256, (10 * own, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(10 * own) % 10
    options = GateOptions(epochs=1, batch_size=batch_size)
    images = Images(gated, Split(pixels, labels), options.prefix_mib)
    pools = [np.flatnonzero(labels == label) for label in range(10)]
    hidden, target = images.hidden(np.arange(min(100, 10 * own))), torch.from_numpy(labels[:100])
    taken: dict[str, list[float]] = {"bare": [], "learn": []}

    def one_of_each() -> None:
        began, x = time.perf_counter(), hidden.clone().requires_grad_()
        torch.autograd.grad(torch.nn.functional.cross_entropy(gated.logits(x), target, reduction="sum"), x)
        middle = time.perf_counter()
        learn(gated, images, pools, range(10), Calibration.none(10), options)
        taken["bare"].append((middle - began) / len(hidden))
        taken["learn"].append((time.perf_counter() - middle) / (20 * own))

    benchmark.group = f"gates, wide7, units: {batch_size} images a class and step, in bare gradients"
    benchmark.pedantic(one_of_each, rounds=rounds)
    if benchmark.stats:
        benchmark.extra_info["share of bare gradients a second"] = round(min(taken["bare"]) / min(taken["learn"]), 2)
