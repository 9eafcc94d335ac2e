"""A net that a library builds by name, as a `Classifier` of the data set's images."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..core.errors import UserError, reason_of
from ..core.parameters import whole
from .classifier import Classifier, evaluating

Shape = tuple[int, int, int]
Triple = tuple[float, float, float]

#: Parameters of a net by name that are about its weights, not about its architecture.
ABOUT_WEIGHTS = ("weights", "rows", "head")

#: Most taps of a net whose stages are all of one resolution, such as a transformer's blocks.
MOST_TAPS = 6


class Fitted(nn.Module):
    """A net of colour images, for images of another size or without colour.

    ``side``: images are resized to it bilinearly. Grey is repeated in three channels.
    """

    def __init__(self, net: nn.Module, side: int | None, *, grey: bool) -> None:
        super().__init__()
        self.resize = nn.Upsample(size=(side, side), mode="bilinear", align_corners=False) if side else nn.Identity()
        self.net = net
        self.grey = grey

    def forward(self, x: torch.Tensor) -> Any:
        return self.net(self.resize(x.expand(-1, 3, -1, -1) if self.grey else x))

    def extra_repr(self) -> str:
        return "grey" if self.grey else ""


def classifier_of(
    net: nn.Module,
    name: str,
    *,
    classes: int,
    shape: Shape,
    mean: Sequence[float],
    std: Sequence[float],
    side: int | None,
    taps: Sequence[str] | None,
    channels: int = 3,
) -> Classifier:
    """The net, of ``channels`` input channels, in evaluation mode; ``taps`` are paths in it, None: found by a pass."""
    if side is not None:
        whole(name, "side", side, 1, most=2048)
    if shape[0] not in (channels, 1):
        raise UserError(f"{name} takes images of {channels} channels and these have {shape[0]}; choose another model.")
    out_of_place(net)
    inside = side is not None or shape[0] != channels
    module = Fitted(net, side, grey=shape[0] != channels) if inside else net
    classifier = Classifier.wrap(
        module.eval(),
        taps=None if taps is None else [f"net.{tap}" if inside else tap for tap in taps],
        classes=classes,
        shape=shape,
        mean=_per_channel(mean, shape[0]),
        std=_per_channel(std, shape[0]),
    )
    # Without it the net's source still counts, file by file, and channels may lie last, which is half as fast again.
    if _takes_channels_last(classifier):
        classifier.made_by = ""
    return classifier


def _takes_channels_last(classifier: Classifier) -> bool:
    """Whether a pass succeeds on images with channels last; ``view`` in a net's own code may refuse them."""
    images = torch.zeros(2, *classifier.shape).contiguous(memory_format=torch.channels_last)
    try:
        with torch.no_grad(), evaluating(classifier):
            classifier.net(images)
    except RuntimeError:
        return False
    return True


def _per_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """A constant of each channel; their mean for images of another number of channels."""
    return tuple(values) if len(values) == channels else (sum(values) / len(values),) * channels


def out_of_place(net: nn.Module) -> None:
    """Let no activation overwrite the output before it, which may be tapped."""
    module: Any
    for module in net.modules():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False


def spread(taps: Sequence[str]) -> list[str]:
    """At most `MOST_TAPS` of a net's stages, else four at a quarter, a half, three quarters and the end."""
    if len(taps) <= MOST_TAPS:
        return list(taps)
    return [taps[(quarter * len(taps)) // 4 - 1] for quarter in (1, 2, 3, 4)]


def built(build: Callable[..., Any], name: str, *arguments: Any, **parameters: Any) -> nn.Module:
    """What a library's constructor gives. Its own errors are about the parameters that a suite passes on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about defaults of the library's own
            net: nn.Module = build(*arguments, **parameters)
    except Exception as error:  # a library's, about arguments that it got from the suite
        raise UserError(
            f"model.parameters: {name} cannot be built with them ({reason_of(error, typed=True)}); correct them."
        ) from None
    return net


def architecture_only(name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The same net without its weights: no tag of timm's, nothing that reads or downloads a file."""
    bare = name.partition(".")[0] if name.startswith("timm/") else name
    return bare, {key: value for key, value in parameters.items() if key not in ABOUT_WEIGHTS}
