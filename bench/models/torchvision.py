"""AlexNet, VGG-16 and ResNet-50 as torchvision builds them, with its weights, for some of ImageNet's classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..core.errors import UserError, reason_of
from ..core.registry import register_model
from ..core.wnids import places
from .classifier import Classifier

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Shape = tuple[int, int, int]

#: The smallest image side that survives the net's pools.
SMALLEST = {"alexnet": 63, "vgg16": 32, "resnet50": 1}


def _net(name: str, weights: str | None, classes: int, rows: Sequence[int | str] | None, shape: Shape) -> Any:
    """torchvision's net; ``rows`` (positions or wnids) keeps some of the thousand logits of a pretrained one."""
    import torchvision.models as zoo

    if shape[0] != 3:
        raise UserError(f"{name} takes colour images, 3 channels; the data set has {shape[0]}: choose another model.")
    if min(shape[1:]) < SMALLEST[name]:
        raise UserError(
            f"{name} takes images of {SMALLEST[name]} pixels or more; these have {min(shape[1:])}: give "
            "another dataset.parameters.size or another model."
        )
    if weights is None:
        return _out_of_place(zoo.get_model(name, weights=None, num_classes=classes))
    enum = zoo.get_model_weights(name)
    if weights not in enum.__members__:
        raise UserError(f"{name} has no weights {weights!r}; torchvision offers {', '.join(enum.__members__)}.")
    chosen = list(range(1000)) if rows is None else _places_or_wnids(rows)
    if len(chosen) != classes or not all(0 <= row < 1000 for row in chosen):
        raise UserError(
            f"{name} with weights has 1000 logits and the data set has {classes} classes; name these classes with "
            "--classes, or list in model.parameters.rows their wnids or positions among ImageNet's sorted thousand "
            "(0 to 999)."
        )
    net = zoo.get_model(name, weights=None)
    net.load_state_dict(fetched(enum[weights]))
    if rows is not None:
        _keep_rows(net, chosen)
    return _out_of_place(net)


def _places_or_wnids(rows: Sequence[int | str]) -> list[int]:
    wnids = [row for row in rows if isinstance(row, str)]
    positions = dict(zip(wnids, places(wnids), strict=True))
    return [positions[row] if isinstance(row, str) else row for row in rows]


def fetched(weights: Any) -> Any:
    """The tensors of one of torchvision's weights, from its cache or downloaded."""
    import torch

    target = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(
            f"The weights {weights} could not be downloaded or read ({reason_of(error)}); with no network, put "
            f"{weights.url} at {target}."
        ) from None


def _keep_rows(net: nn.Module, rows: list[int]) -> None:
    name, head = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Linear)][-1]
    kept = nn.Linear(head.in_features, len(rows))
    kept.load_state_dict({key: value[rows] for key, value in head.state_dict().items()})
    parent, _, leaf = name.rpartition(".")
    setattr(net.get_submodule(parent), leaf, kept)


def _out_of_place(net: nn.Module) -> nn.Module:
    # An in-place ReLU would overwrite the outputs of the taps before it.
    for module in net.modules():
        if isinstance(module, nn.ReLU | nn.Dropout):
            module.inplace = False
    return net


def _plain(net: Any, *, numbered: bool, classes: int, shape: Shape) -> Classifier:
    """AlexNet or VGG as one sequence: conv1, relu1, pool1 ... or, ``numbered`` within blocks, conv1_1, relu1_1 ..."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    block, place, before_pool = 1, 0, []
    for module in net.features:
        if isinstance(module, nn.Conv2d):
            place += 1
        label = f"{block}_{place}" if numbered else f"{place}"
        if isinstance(module, nn.MaxPool2d):
            before_pool.append(f"relu{label}")
            stages[f"pool{block if numbered else place}"] = module
            block, place = (block + 1, 0) if numbered else (block, place)
        else:
            stages[f"{'conv' if isinstance(module, nn.Conv2d) else 'relu'}{label}"] = module
    units = tuple(name for name in stages if name.startswith("relu"))
    stages["pool"], stages["flatten"] = net.avgpool, nn.Flatten()
    for index, module in enumerate(net.classifier):
        stages[f"classifier{index}"] = module
    positions = {"units": units, "stages": tuple(before_pool), "late": units[-3:]}
    taps = tuple(before_pool) if numbered else units
    return Classifier(
        nn.Sequential(stages), mean=MEAN, std=STD, taps=taps, gate_positions=positions, classes=classes, shape=shape
    )


@register_model("alexnet")
def alexnet(
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    rows: Sequence[int | str] | None = None,
) -> Classifier:
    """torchvision's AlexNet (Krizhevsky 2014); ``weights`` names a set of torchvision's, such as "IMAGENET1K_V1"."""
    return _plain(_net("alexnet", weights, classes, rows, shape), numbered=False, classes=classes, shape=shape)


@register_model("vgg16")
def vgg16(
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    rows: Sequence[int | str] | None = None,
) -> Classifier:
    """torchvision's VGG-16 without BatchNorm (Simonyan and Zisserman 2015)."""
    return _plain(_net("vgg16", weights, classes, rows, shape), numbered=True, classes=classes, shape=shape)


@register_model("resnet50")
def resnet50(
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    rows: Sequence[int | str] | None = None,
) -> Classifier:
    """torchvision's ResNet-50 (He et al. 2016); gates follow each bottleneck's last ReLU."""
    net = _net("resnet50", weights, classes, rows, shape)
    stages: OrderedDict[str, nn.Module] = OrderedDict(net.named_children())
    head = stages.popitem()
    stages["flatten"] = nn.Flatten()
    stages.update([head])
    layers = ("layer1", "layer2", "layer3", "layer4")
    units = tuple(f"{layer}.{index}" for layer in layers for index in range(len(getattr(net, layer))))
    positions = {"units": units, "stages": layers, "late": layers[2:]}
    return Classifier(
        nn.Sequential(stages),
        mean=MEAN,
        std=STD,
        taps=("relu", *layers),
        gate_positions=positions,
        classes=classes,
        shape=shape,
    )
