"""Maps a second by each method and net, beside captum called image by image on the classifier as it is.

Run with ``pytest tests/benchmarks/test_saliency_speed.py --benchmark-only``; each row names its images a second. The
two ways share the method's parameters, so their ratio is the layer's own: batches, folded BatchNorm, memory layout, and
for a subnet the channels that are not computed. Nothing is asserted about time, but that both give the same maps is.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from captum import attr
from subnetbench.bench.core import registry
from subnetbench.bench.localisation.attribution import drawn
from subnetbench.bench.localisation.net import attribution_net
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.tiny_imagenet import alexnet64, bottleneck64, vgg64
from torch import nn

IMAGES, STEPS, SAMPLES = 16, 10, 10
NETS: dict[str, Callable[[], Classifier]] = {"alexnet64": alexnet64, "vgg64": vgg64, "bottleneck64": bottleneck64}
METHODS = ("saliency", "deconv", "guided-bp", "grad-cam", "int-grad", "smooth-grad", "input-x-gradient")
LAYERS = {"alexnet64": "pool5", "vgg64": "pool4", "bottleneck64": "layer3"}
OPTIONS: dict[str, dict[str, int]] = {"int-grad": {"steps": STEPS}, "smooth-grad": {"samples": SAMPLES}}


@pytest.fixture(scope="module", params=list(NETS))
def named(request: pytest.FixtureRequest) -> tuple[str, Classifier]:
    """Weights as drawn and noise for images: time does not depend on them."""
    torch.manual_seed(0)
    return request.param, NETS[request.param]().eval()


def problem(classifier: Classifier) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(IMAGES, *classifier.shape, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(IMAGES) % classifier.classes


def half(classifier: Classifier) -> dict[str, torch.Tensor]:
    """Gates of which half are 0."""
    channels = classifier.channels(classifier.gated_paths("units"))
    return {path: (torch.arange(count) % 2).float() for path, count in channels.items()}


def ours(method: str, name: str, classifier: Classifier, row: dict[str, torch.Tensor] | None) -> Callable[[], Any]:
    net, (images, targets) = attribution_net(classifier, row), problem(classifier)
    call = registry.saliency.get(method)(**OPTIONS.get(method, {}))
    # A fresh tensor each round: a remembered gradient would not be computed.
    return lambda: call(net, images.clone(), targets, ids=torch.arange(IMAGES), seed=0)


def image_by_image(
    method: str, name: str, classifier: Classifier, row: dict[str, torch.Tensor] | None
) -> Callable[[], Any]:
    assert row is None
    net, (images, targets) = copy.deepcopy(classifier), problem(classifier)
    stages: nn.Sequential = net.net.requires_grad_(False)
    layer = stages.get_submodule(LAYERS[name])
    normalised = ((images - net.mean) / net.std).split(1)

    def one(index: int) -> torch.Tensor:
        x, target = normalised[index].clone().requires_grad_(), int(targets[index])
        if method == "int-grad":
            return attr.IntegratedGradients(stages).attribute(x, target=target, n_steps=STEPS, method="riemann_right")
        if method == "smooth-grad":
            spread = 0.15 * (x.detach().max() - x.detach().min())
            found = []
            for noise in drawn(0, index, (SAMPLES, *x.shape[1:])):
                noisy = (x.detach() + spread * noise).requires_grad_()
                found.append(attr.Saliency(stages).attribute(noisy, target=target).square())
            return torch.stack(found).mean(0)
        if method == "grad-cam":
            found_at = attr.LayerGradCam(stages, layer).attribute(x, target=target, relu_attributions=True)
            return F.interpolate(found_at.detach(), x.shape[2:], mode="bilinear", align_corners=False)
        rule = {
            "saliency": attr.Saliency,
            "deconv": attr.Deconvolution,
            "guided-bp": attr.GuidedBackprop,
            "input-x-gradient": attr.InputXGradient,
        }[method]
        return rule(stages).attribute(x, target=target)

    def maps() -> torch.Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.cat([one(index).detach().abs().amax(1) for index in range(IMAGES)])

    return maps


@pytest.mark.parametrize("way", ["batched", "a subnet, batched", "image by image"])
@pytest.mark.parametrize("method", METHODS)
def test_maps(benchmark: Any, named: tuple[str, Classifier], method: str, way: str) -> None:
    name, classifier = named
    benchmark.group = f"{name}, {method}: {IMAGES} images of {tuple(classifier.shape)}"
    make = image_by_image if way == "image by image" else ours
    maps = make(method, name, classifier, half(classifier) if "subnet" in way else None)
    found = benchmark.pedantic(maps, rounds=3, warmup_rounds=1)
    assert found.shape == (IMAGES, *classifier.shape[1:])
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["images a second"] = round(IMAGES / benchmark.stats.stats.min, 1)


@pytest.mark.parametrize("method", METHODS)
def test_both_ways_give_the_same_maps(named: tuple[str, Classifier], method: str) -> None:
    name, classifier = named
    together, apart = (make(method, name, classifier, None)() for make in (ours, image_by_image))
    # Up to rounding, which decides which of two near equal pixels wins a pool.
    assert torch.corrcoef(torch.stack([together.flatten(), apart.flatten()]))[0, 1] > 0.999
