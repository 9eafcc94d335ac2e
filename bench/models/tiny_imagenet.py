"""AlexNet-, VGG- and ResNet-50-shaped nets for images of 64 pixels, which a CPU trains in minutes.

Each keeps its family's plan (the order of convolutions, pools and fully connected layers, the shortcut of the
bottleneck) but none of its sizes: fewer and narrower layers, smaller strides, BatchNorm in all. A result on one of them
is a result on a net of that shape, not on the net of that name.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from ..core.errors import UserError
from ..core.parameters import whole
from ..core.registry import register_model
from .cifar import WIDEST, Residual, conv_unit, per_colour
from .classifier import Classifier
from .torchvision import MEAN, STD, Shape


def _classifier(
    stages: OrderedDict[str, nn.Module], units: Sequence[str], blocks: Sequence[str], classes: int, shape: Shape
) -> Classifier:
    positions = {"units": tuple(units), "stages": tuple(blocks), "late": tuple(units[-3:])}
    return Classifier(
        nn.Sequential(stages),
        mean=per_colour(MEAN, shape),
        std=per_colour(STD, shape),
        taps=blocks,
        gate_positions=positions,
        classes=classes,
        shape=shape,
    )


def _check_widths(model: str, widths: Sequence[int], count: int) -> None:
    if len(widths) != count:
        raise UserError(f"{model}: widths lists {len(widths)} numbers of channels; it must list {count}.")
    for width in widths:
        whole(model, "widths", width, 1, most=WIDEST)


def _wide_unit(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


@register_model("alexnet64")
def alexnet64(*, classes: int = 30, shape: Shape = (3, 64, 64), hidden: int = 512) -> Classifier:
    """AlexNet's plan at 64 pixels: five convolutions, three pools, two hidden fully connected layers with dropout."""
    whole("alexnet64", "hidden", hidden, 1, most=WIDEST)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["conv1"], stages["pool1"] = _wide_unit(shape[0], 48, 5, stride=2), nn.MaxPool2d(2)
    stages["conv2"], stages["pool2"] = _wide_unit(48, 96, 5), nn.MaxPool2d(2)
    stages["conv3"], stages["conv4"], stages["conv5"] = conv_unit(96, 160), conv_unit(160, 160), conv_unit(160, 128)
    stages["pool5"], stages["pool"], stages["flatten"] = nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    for index, inputs in ((6, 128 * 16), (7, hidden)):
        stages[f"drop{index}"], stages[f"fc{index}"] = nn.Dropout(), nn.Linear(inputs, hidden)
        stages[f"relu{index}"] = nn.ReLU()
    stages["head"] = nn.Linear(hidden, classes)
    units = tuple(f"conv{index}" for index in range(1, 6))
    return _classifier(stages, units, ("conv1", "conv2", "conv5"), classes, shape)


@register_model("vgg64")
def vgg64(
    *, classes: int = 30, shape: Shape = (3, 64, 64), widths: Sequence[int] = (24, 48, 96, 160), hidden: int = 256
) -> Classifier:
    """VGG's plan at 64 pixels: blocks of 3x3 convolutions, a pool after each, one hidden fully connected layer."""
    _check_widths("vgg64", widths, 4)
    whole("vgg64", "hidden", hidden, 1, most=WIDEST)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    inputs, units, blocks = shape[0], [], []
    for block, (width, depth) in enumerate(zip(widths, (1, 1, 2, 2), strict=True), start=1):
        for place in range(1, depth + 1):
            name = f"conv{block}_{place}"
            stages[name], inputs = conv_unit(inputs, width), width
            units.append(name)
        blocks.append(name)
        stages[f"pool{block}"] = nn.MaxPool2d(2)
    stages["pool"], stages["flatten"] = nn.AdaptiveAvgPool2d(4), nn.Flatten()
    stages["fc"], stages["relu"], stages["drop"] = nn.Linear(inputs * 16, hidden), nn.ReLU(), nn.Dropout()
    stages["head"] = nn.Linear(hidden, classes)
    return _classifier(stages, units, blocks, classes, shape)


class Bottleneck(Residual):
    """1x1, 3x3 and 1x1 convolutions with a shortcut (He et al. 2016, figure 5), post-ReLU output; no ReLU is shared."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        super().__init__(body, inputs, outputs, stride)


@register_model("bottleneck64")
def bottleneck64(
    *, classes: int = 30, shape: Shape = (3, 64, 64), widths: Sequence[int] = (32, 64, 112), depth: int = 2
) -> Classifier:
    """ResNet-50's plan at 64 pixels: a strided stem, stages of bottlenecks (expansion 4), global average pool."""
    _check_widths("bottleneck64", widths, 3)
    whole("bottleneck64", "depth", depth, 1, most=100)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = _wide_unit(shape[0], 32, 5, stride=2)
    stages["stem_pool"] = nn.MaxPool2d(2)
    inputs, units, blocks = 32, ["stem"], []
    for stage, width in enumerate(widths, start=1):
        name = f"layer{stage}"
        body = []
        for place in range(depth):
            body.append(Bottleneck(inputs, width, 4 * width, 2 if place == 0 and stage > 1 else 1))
            inputs = 4 * width
            units.append(f"{name}.{place}")
        stages[name] = nn.Sequential(*body)
        blocks.append(name)
    stages["pool"], stages["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    stages["head"] = nn.Linear(inputs, classes)
    return _classifier(stages, units, blocks, classes, shape)
