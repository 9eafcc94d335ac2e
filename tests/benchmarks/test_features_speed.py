"""Features of all taps: one pass for all of them, as a View makes it, beside one pass a tap.

Run with ``pytest tests/benchmarks --benchmark-only``; "OPS" times 200 is images a second. Nothing is asserted about
time, but the number of passes is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.core.memory import keep_freed_memory
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.data.builtin import digits
from subnetbench.bench.models.cifar import digits_cnn, resnet34, wide7
from subnetbench.bench.models.classifier import Classifier, layout, pool
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import View

IMAGES = 200
NETS: dict[str, Callable[[], Classifier]] = {"digits-cnn": digits_cnn, "wide7": wide7}


@pytest.fixture(scope="module", params=list(NETS))
def seen(request: pytest.FixtureRequest) -> tuple[Classifier, torch.Tensor]:
    """Weights as drawn and noise for images: time does not depend on them."""
    torch.manual_seed(0)
    net = NETS[request.param]().eval()
    return net, torch.rand(IMAGES, *net.shape, generator=torch.Generator().manual_seed(0))


def one_pass(net: Classifier, images: torch.Tensor) -> dict[str, np.ndarray]:
    view = View(net, images, key="images", batch_size=IMAGES)
    return {tap: view.features(tap) for tap in net.taps}


def a_pass_a_tap(net: Classifier, images: torch.Tensor) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        return {tap: pool(net.observe(images, (tap,))[1][tap]).numpy() for tap in net.taps}


@pytest.mark.parametrize("way", [one_pass, a_pass_a_tap])
def test_features(benchmark: Any, seen: tuple[Classifier, torch.Tensor], way: Callable[..., Any]) -> None:
    net, images = seen
    benchmark.group = f"features of all {len(net.taps)} taps, {IMAGES} images of {tuple(net.shape)}"
    found = benchmark.pedantic(way, args=(net, images), rounds=3, warmup_rounds=1)
    assert set(found) == set(net.taps)
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["images a second"] = round(IMAGES / benchmark.stats.stats.min)


@pytest.mark.parametrize("net", [wide7, resnet34])
def test_features_in_bare_forwards(benchmark: Any, net: Callable[[], Classifier]) -> None:
    """Images a second with the features of all taps as a share of those of the bare net, in processor time.

    Both run in turn, so that whatever else the machine does is in both.
    """
    keep_freed_memory()  # as every command does
    torch.manual_seed(0)
    model = net().eval().requires_grad_(False)
    model = model.to(memory_format=layout(model))
    images = torch.rand(2 if benchmark.disabled else 100, *model.shape)
    taken: dict[str, list[float]] = {"bare": [], "features": []}

    def one_of_each() -> None:
        began = time.process_time()
        with torch.no_grad():
            model(images)
        middle = time.process_time()
        one_pass(model, images)
        taken["bare"].append(middle - began)
        taken["features"].append(time.process_time() - middle)

    benchmark.group = f"features of all {len(model.taps)} taps of {net.__name__}, in bare forwards"
    benchmark.pedantic(one_of_each, rounds=1 if benchmark.disabled else 6, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["share of the bare net's speed"] = round(min(taken["bare"]) / min(taken["features"]), 3)


def test_both_ways_give_the_same_features(seen: tuple[Classifier, torch.Tensor]) -> None:
    together, apart = one_pass(*seen), a_pass_a_tap(*seen)
    for tap in seen[0].taps:
        np.testing.assert_allclose(together[tap], apart[tap], rtol=1e-5, atol=1e-6)


def test_one_pass_serves_all_detectors_that_need_features_only() -> None:
    data = digits()
    torch.manual_seed(0)
    net = digits_cnn().eval()
    train = View(net, data.train.tensor(), key="train", labels=data.train.labels)
    test = View(net, data.test.tensor(), key="test")
    with counted(net) as passes:
        for name in ("mahalanobis", "mahalanobis-predicted", "lid", "energy", "max-softmax"):
            assert len(detectors.get(name)().fit(train).characteristics(test)) == len(test)
    assert (passes.forward, passes.backward) == (len(train) + len(test), 0)
