"""Nets for small images: digits, CIFAR, SVHN."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from ..core.parameters import whole
from ..core.registry import register_model
from .classifier import Classifier

#: Most channels of a layer that a suite may ask for: a slip such as 100000000 would fill the memory.
WIDEST = 8192


def conv_unit(inputs: int, outputs: int, *, downsample: bool = False) -> nn.Sequential:
    """3x3 convolution, optional 2x2 max-pool, BatchNorm, ReLU: the unit that a gate follows."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
    if downsample:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU())


CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # Lee et al. 2018, for all three data sets


def per_colour(values: tuple[float, float, float], shape: tuple[int, int, int]) -> tuple[float, ...]:
    """A constant of each colour for colour images; else the mean of the three, for each channel."""
    return values if shape[0] == 3 else (sum(values) / 3,) * shape[0]


@register_model("digits-cnn")
def digits_cnn(*, classes: int = 10, shape: tuple[int, int, int] = (1, 8, 8), width: int = 32) -> Classifier:
    """Four 3x3 convolutions for 8x8 digits: 0.1 M parameters, seconds to train."""
    whole("digits-cnn", "width", width, 1, most=WIDEST)
    units = [conv_unit(shape[0], width), conv_unit(width, width), conv_unit(width, 2 * width, downsample=True)]
    units.append(conv_unit(2 * width, 2 * width, downsample=True))
    names = ("conv1", "conv2", "conv3", "conv4")
    net = nn.Sequential(OrderedDict(zip(names, units, strict=True)))
    net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.Linear(2 * width, classes))
    positions = {"units": names, "stages": ("conv2", "conv3", "conv4"), "late": ("conv3", "conv4")}
    return Classifier(
        net,
        mean=(0.3,) * shape[0],
        std=(0.35,) * shape[0],
        taps=names,
        gate_positions=positions,
        classes=classes,
        shape=shape,
    )


class Scale(nn.Module):
    """A constant factor: before a linear layer it makes the layer learn more slowly than the rest of the net."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


@register_model("wide7")
def wide7(
    *, classes: int = 10, shape: tuple[int, int, int] = (3, 32, 32), widths: tuple[int, int, int] = (64, 128, 256)
) -> Classifier:
    """A fast wide net for CPUs: 2x2 stem and three blocks of two 3x3 convolutions (after Jordan 2024, "airbench").

    Wide enough to keep a class when a third of its channels is gated away, and 65 M multiply-adds per image.
    """
    for width in widths:
        whole("wide7", "widths", width, 1, most=WIDEST)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = nn.Sequential(nn.Conv2d(shape[0], 24, 2), nn.BatchNorm2d(24), nn.ReLU())
    inputs = 24
    for index, width in enumerate(widths, start=1):
        stages[f"conv{index}a"] = conv_unit(inputs, width, downsample=True)
        stages[f"conv{index}b"] = conv_unit(width, width)
        inputs = width
    stages["pool"] = nn.AdaptiveMaxPool2d(1)
    stages["flatten"] = nn.Flatten()
    stages["scale"] = Scale(1 / 9)  # maximum-pooled features are large: without it the head drowns the rest in noise
    stages["head"] = nn.Linear(inputs, classes)
    units = tuple(name for name in stages if name.startswith("conv"))
    blocks = tuple(name for name in units if name.endswith("b"))
    return Classifier(
        nn.Sequential(stages),
        mean=per_colour(CIFAR_MEAN, shape),
        std=per_colour(CIFAR_STD, shape),
        taps=("stem", *blocks),
        gate_positions={"units": units, "stages": blocks, "late": units[2:]},
        classes=classes,
        shape=shape,
    )


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))`` (He et al. 2016); the shortcut is a 1x1 convolution where shapes differ."""

    def __init__(self, body: nn.Sequential, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = body
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


class BasicBlock(Residual):
    """Two 3x3 convolutions with a shortcut, post-ReLU output."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        super().__init__(body, inputs, outputs, stride)


def cifar_resnet(
    depths: tuple[int, int, int, int], classes: int, shape: tuple[int, int, int], width: int
) -> Classifier:
    """ResNet with a 3x3 stem and four stages; taps as in Lee et al. 2018: the post-ReLU stem and the stages' ends."""
    whole("a CIFAR ResNet", "width", width, 1, most=WIDEST // 8)  # the last stage has eight times as many channels
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = nn.Sequential(nn.Conv2d(shape[0], width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    inputs = width
    for index, depth in enumerate(depths, start=1):
        outputs = width * 2 ** (index - 1)
        blocks = [
            BasicBlock(inputs if i == 0 else outputs, outputs, 2 if i == 0 and index > 1 else 1) for i in range(depth)
        ]
        stages[f"layer{index}"] = nn.Sequential(*blocks)
        inputs = outputs
    stages["pool"] = nn.AdaptiveAvgPool2d(1)
    stages["flatten"] = nn.Flatten()
    stages["head"] = nn.Linear(inputs, classes)
    layers = tuple(name for name in stages if name.startswith("layer"))
    units = tuple(f"{name}.{i}" for name, depth in zip(layers, depths, strict=True) for i in range(depth))
    positions = {"units": ("stem", *units), "stages": layers, "late": layers[2:]}
    return Classifier(
        nn.Sequential(stages),
        mean=per_colour(CIFAR_MEAN, shape),
        std=per_colour(CIFAR_STD, shape),
        taps=("stem", *layers),
        gate_positions=positions,
        classes=classes,
        shape=shape,
    )


@register_model("resnet18")
def resnet18(*, classes: int = 10, shape: tuple[int, int, int] = (3, 32, 32), width: int = 64) -> Classifier:
    """CIFAR ResNet-18."""
    return cifar_resnet((2, 2, 2, 2), classes, shape, width)


@register_model("resnet34")
def resnet34(*, classes: int = 10, shape: tuple[int, int, int] = (3, 32, 32), width: int = 64) -> Classifier:
    """CIFAR ResNet-34, the net of Lee et al. 2018 and of Table 2."""
    return cifar_resnet((3, 4, 6, 3), classes, shape, width)
