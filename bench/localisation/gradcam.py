"""The layer whose map Grad-CAM uses, and that map with its channels second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..core.errors import UserError
from ..models.probe import positions
from ..models.stage import STAGE
from ..models.trace import Output
from .net import AttributionNet


def gradcam_layer(net: AttributionNet, given: str | None = None) -> str:
    """The layer whose map Grad-CAM uses: ``given``, or the last layer with a map from the last convolution on.

    That is the last module with a map ``(N, C, H, W)``, or ``(N, H, W, C)`` in a wrapped net, of more than one pixel,
    before the pool to a fixed size: pool5 in VGG-16 and AlexNet (relu5 if pool5 leaves one pixel) and layer4, the input
    of avgpool, in ResNet-50. Modules that are called twice in a pass do not count.

    Raises UserError if there is no such layer, or if tokens follow it, as in a ViT: it is then no last map of features.
    """
    if given is not None:
        return _named(net, given)
    outputs, calls = net.sketch.outputs, net.sketch.calls
    spatial = [len(output.shape) == 4 and _positions(net, output) > 1 for output in outputs]
    convolutions = [i for i, output in enumerate(outputs) if spatial[i] and issubclass(output.kind, nn.Conv2d)]
    if not convolutions:
        raise UserError(
            "Grad-CAM needs a convolution and this net has none with a map of more than one pixel; "
            "name a layer in parameters.layer or leave the method out."
        )
    last = -1
    for i in range(convolutions[-1], len(outputs)):
        if spatial[i] and issubclass(outputs[i].kind, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            break
        if spatial[i] and calls[outputs[i].path] == 1:
            last = i
    if last < 0:
        raise UserError(
            "Grad-CAM finds no layer of its own: every module from the last convolution on runs more than "
            "once; name one in parameters.layer."
        )
    layer = outputs[last].path
    if any(len(output.shape) == 3 and _positions(net, output) > 1 for output in outputs[last + 1 :]):
        raise UserError(
            f"Grad-CAM needs maps, and this net computes with tokens behind its last map, {layer!r}; leave the method "
            "out, or name a layer in parameters.layer."
        )
    return layer


def _named(net: AttributionNet, given: str) -> str:
    outputs, calls = {output.path: output for output in net.sketch.outputs}, net.sketch.calls
    path = given if given in outputs else f"{STAGE}.module.{given}"  # in a wrapped net, the path in the net itself
    output = outputs.get(path)
    if output is not None and calls[path] == 1 and len(output.shape) == 4:
        return path
    if output is None:
        reason = "is no module that runs"
    elif calls[path] > 1:
        reason = f"runs {calls[path]} times"
    else:
        reason = f"gives no map but {output.shape[1:]} an image"
    stages = ", ".join(name for name, _ in net.net.named_children())
    raise UserError(f"Grad-CAM's layer {given!r} {reason} in this net; name another one (stages: {stages}).")


def _positions(net: AttributionNet, output: Output) -> int:
    return positions(output.shape, net.channel_axis(output.path))


@contextmanager
def map_of(net: AttributionNet, path: str) -> Iterator[nn.Module]:
    """A module whose output, while the body runs, is the map ``(N, C, H, W)`` that the module at ``path`` gives."""
    layer, axis, view = net.at(path), net.channel_axis(path), nn.Identity()
    if axis == 1:
        yield layer
        return

    def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        seen: torch.Tensor = view(output.movedim(axis, 1))
        return seen.movedim(1, axis)

    handle = layer.register_forward_hook(hook)
    try:
        yield view
    finally:
        handle.remove()
