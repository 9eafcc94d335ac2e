"""A net that is no classifier of the data is refused in one sentence that names the model and what it gave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import models
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.dry import refuse_further_logits, refuse_unfit
from torch import nn

IMAGES = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Then(nn.Module):
    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def built(*last: nn.Module, out: int = 10, classes: int = 10, channels: int = 1) -> Classifier:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, out), *last)
    constants = {"mean": (0.0,) * channels, "std": (1.0,) * channels}
    shape = (channels, 8, 8)
    return Classifier(net, **constants, taps=("1",), gate_positions={}, classes=classes, shape=shape)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (lambda: built(Then(lambda x: (x, x))), "gives a tuple for two images; it must give a tensor of logits"),
        (lambda: built(Then(lambda x: {"logits": x})), "gives a dict for two images"),
        (lambda: built(out=1), r"of shape \(2, 1\) for two images; it must give float32 logits of shape \(2, 10\)"),
        (lambda: built(Then(lambda x: x[:1])), r"of shape \(1, 10\) for two images"),
        (lambda: built(Then(lambda x: x.double())), "gives float64 of shape"),
        (lambda: built(out=11, classes=11), "has 11 classes and the data have 10"),
        (lambda: nn.Sequential(nn.Flatten()), "gives a Sequential and not a Classifier"),
        (lambda: None, "gives None and not a Classifier"),
        (lambda: built().bfloat16(), "in bfloat16; give a net in float32"),
        (lambda: built().double(), "in float64; give a net in float32"),
        (lambda: built(channels=3), "made for images of 8 x 8 pixels with 3 channels and the data have"),
        (lambda: built(Then(lambda x: x.view(3, -1))), "cannot take two images of 8 x 8 pixels with 1 channel"),
    ],
)
def test_a_net_that_is_no_classifier_of_the_data_is_refused(net: Callable[[], Any], words: str) -> None:
    with pytest.raises(UserError, match=f"^The model 'theirs' .*{words}"):
        refuse_unfit(net(), "theirs", 10, IMAGES)


def test_a_tap_must_be_a_tensor_of_both_images() -> None:
    net = built()
    net.net.insert(1, Then(lambda x: (x, x)))
    net.net.insert(2, Then(lambda x: x[0]))
    with pytest.raises(UserError, match="gives a tuple at its tap '1'"):
        refuse_unfit(net, "theirs", 10, IMAGES)


def test_images_too_small_for_the_net_are_one_sentence() -> None:
    net = models.get("digits-cnn")(shape=(1, 3, 3))
    with pytest.raises(UserError, match="'digits-cnn' cannot take two images of 3 x 3 pixels"):
        refuse_unfit(net, "digits-cnn", 10, IMAGES[..., :3, :3])


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("name", ["digits-cnn", "wide7", "resnet18", "alexnet64", "vgg64", "bottleneck64"])
def test_nets_of_ours_take_images_with_any_number_of_channels(name: str, channels: int) -> None:
    net = models.get(name)(classes=4, shape=(channels, 64, 64))
    refuse_unfit(net, name, 4, torch.zeros(2, channels, 64, 64))
    if channels == 3:
        assert net.mean.unique().numel() == (3 if name != "digits-cnn" else 1)


class Others(nn.Module):
    """One more logit: the largest of two that the data have no class for."""

    further_logits = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[:, :10], x[:, 10:].amax(1, keepdim=True)], 1)


def test_a_logit_for_none_of_the_classes_is_for_boxes_alone() -> None:
    net = built(Others(), out=12)
    refuse_unfit(net, "mine", 10, IMAGES)
    refuse_further_logits(built(), "mine")
    with pytest.raises(UserError, match="'mine' has a logit for what is none of the data's 10 classes"):
        refuse_further_logits(net, "mine")
