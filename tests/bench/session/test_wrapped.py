"""Detectors, subnets and saliency on wrapped nets of many shapes, from the images to numbers for each."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.core import registry
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.localisation.net import attribution_net
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.views import View
from subnetbench.subnets.extract import extract
from subnetbench.subnets.gates import GateOptions
from torch import nn

from ..models.tiny_nets import SHAPE, made
from .conftest import Place

NETS = ("resnet", "mobile", "dense", "functional", "excited", "vit", "timm-vit", "swin", "mlp")
HEADLESS = ("excited",)
DETECTORS: dict[str, dict[str, Any]] = {
    "kd-pu": {"passes": 4},
    "lid": {"k": 5, "batch_size": 20},
    "mahalanobis": {"magnitude": 0.01},
    "subnet-mahalanobis": {"magnitude": 0.01},
    "energy": {},
    "ood-vim": {},
}


@cache
def split(seed: int, count: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, *SHAPE[1:], SHAPE[0], generator=generator) * 255
    return Split(images.to(torch.uint8).numpy(), np.arange(count) % 10)


@cache
def learned(name: str) -> tuple[Classifier, dict[str, torch.Tensor]]:
    net = Classifier.wrap(made(name), classes=10, shape=SHAPE).eval().requires_grad_(False)
    options = GateOptions(epochs=1, batch_size=8, learning_rate=0.3, allow_collapsed=True, tau=1.0)
    return net, extract(net, split(0, 40), options).gates


@pytest.mark.parametrize("name", NETS)
def test_detectors_score_images_on_a_wrapped_net(name: str) -> None:
    net, gates = learned(name)
    train = View(net, split(0, 40).tensor(), key="train", labels=split(0, 40).labels, gates={"learned": gates})
    test = View(net, split(1, 6).tensor(), key="test", gates={"learned": gates})
    for detector, parameters in DETECTORS.items():
        one = registry.detectors.get(detector)(**parameters)
        if name in HEADLESS and detector in ("kd-pu", "ood-vim"):
            with pytest.raises(UserError, match="logits are not the output of a linear layer"):
                one.fit(train)
            continue
        numbers = one.fit(train).characteristics(test)
        assert numbers.shape[0] == 6
        assert np.isfinite(numbers).all()
        assert (numbers.std(0) > 0).all()


@pytest.mark.parametrize("name", NETS)
def test_saliency_maps_of_a_wrapped_nets_subnet(name: str) -> None:
    net, gates = learned(name)
    images = split(1, 6).tensor()
    for row in ({}, {path: gate[1] for path, gate in gates.items()}):
        attribution = attribution_net(net, row)
        with torch.no_grad():
            expected = net.observe(images, (), {path: gate[None] for path, gate in row.items()})[0]
            torch.testing.assert_close(attribution(attribution.normalise(images)), expected, atol=1e-4, rtol=1e-4)
        for method in ("saliency", "grad-cam"):
            one = registry.saliency.get(method)()
            if method == "grad-cam" and name in ("vit", "timm-vit", "mlp"):
                with pytest.raises(UserError, match=r"Grad-CAM needs (maps|a convolution)"):
                    one(attribution, images, torch.arange(6), ids=torch.arange(6), seed=0)
                continue
            heat = one(attribution, images, torch.arange(6), ids=torch.arange(6), seed=0)
            assert heat.shape == (6, *SHAPE[1:])
            assert bool(torch.isfinite(heat).all())
            assert bool(heat.any())


class Tokens(nn.Module):
    """A transformer for digits: patches of 2 x 2 pixels, two blocks, a mean over tokens."""

    def __init__(self, *, head: bool = True) -> None:
        super().__init__()
        self.patches, self.place = nn.Conv2d(1, 16, 2, 2), nn.Parameter(torch.zeros(16, 16))
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(16, 2, 32, 0.0, "gelu", batch_first=True) for _ in range(2))
        )
        self.last = nn.Linear(16, 10) if head else nn.Conv1d(16, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.patches(x).flatten(2).transpose(1, 2) + self.place)
        return self.last(x.mean(1)) if isinstance(self.last, nn.Linear) else self.last(x.transpose(1, 2)).mean(2)


@pytest.mark.parametrize("head", [True, False])
def test_a_suite_runs_on_a_transformer_from_a_notebook(place: Place, head: bool) -> None:
    torch.manual_seed(0)
    frame = place.run(
        model=Tokens(head=head).eval(), detectors=["kd-pu", "energy"], output=place.folder / f"out-{head}"
    )
    made_rows = set(frame.dropna(subset=["auroc"])["detector"])
    assert {"max-softmax", "energy"} <= made_rows
    (entry,) = (place.folder / f"out-{head}").rglob("kd-pu.json")
    assert ("last linear layer" in entry.read_text(encoding="utf-8")) is head  # its note on dropout, once fitted
