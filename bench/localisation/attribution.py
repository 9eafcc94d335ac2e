"""Code that all saliency methods share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from captum import attr

from ..core.device import low_precision
from ..core.errors import UserError
from .contract import SaliencyInfo
from .net import AttributionNet

#: Bytes that the outputs of the net's leaf modules may take for an inner batch; beyond, the batch is made smaller.
MEMORY = 2**30


class Attribution:
    """Base of all methods. ``inner_batch``: images per pass, including noisy copies and steps; large batches overflow a
    CPU's caches and need a GPU. ``bf16``: convolutions in bfloat16 if the device has it natively, else ignored."""

    info: ClassVar[SaliencyInfo]

    def __init__(self, *, inner_batch: int = 64, bf16: bool = False) -> None:
        self._parameters: dict[str, Any] = {"inner_batch": self._count("inner_batch", inner_batch, 1), "bf16": bf16}
        self.inner_batch, self.bf16 = inner_batch, bf16

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self._parameters)

    def _count(self, name: str, value: int, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"{self.info.title}: {name} is {value!r}; it must be a whole number of at least {least}.")
        return value

    def __call__(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, *, ids: torch.Tensor, seed: int
    ) -> torch.Tensor:
        """Maps ``(N, H, W)``, float32, >= 0; raises UserError if the method does not work on this net."""
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < net.classes:
            raise UserError(
                f"A map is requested for class {int(targets.max())} and the net has {net.classes} classes, "
                "numbered from 0; correct the labels."
            )
        if not len(images):
            return images.new_zeros(0, *images.shape[2:])
        attributions = self.attributions(net, images, targets, ids, seed)
        return attributions.detach().float().abs().amax(1).contiguous()

    def attributions(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, ids: torch.Tensor, seed: int
    ) -> torch.Tensor:
        """Attributions ``(N, C, H, W)`` before absolute value and maximum, independent for each image."""
        parts = [
            self.of_batch(net, leaf(net, images[piece]), targets[piece])
            for piece in pieces(len(images), self.inner(net))
        ]
        return torch.cat(parts)

    def of_batch(self, net: AttributionNet, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Attributions of one inner batch of normalised images."""
        raise NotImplementedError

    def inner(self, net: AttributionNet) -> int:
        """The number of images per pass."""
        return max(1, min(self.inner_batch, MEMORY // max(1, 4 * net.sketch.cells)))

    @contextmanager
    def captum(self, net: AttributionNet) -> Iterator[None]:
        """captum without its warning about hooks, which it does remove, and in the requested precision."""
        device = net.mean.device
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting backward hooks on ReLU", UserWarning)
            with low_precision(device, self.bf16):
                yield

    def gradient(self, net: AttributionNet, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with self.captum(net):
            gradient: torch.Tensor = attr.Saliency(net).attribute(x, target=targets, abs=False)
        return gradient


def leaf(net: AttributionNet, images: torch.Tensor) -> torch.Tensor:
    """Normalised images that require a gradient."""
    with torch.no_grad():
        x = net.normalise(images)
    return x.requires_grad_()


def pieces(count: int, size: int) -> Iterator[slice]:
    """Slices of nearly equal length, at most ``size``."""
    number = -(-count // size)
    edges = [count * i // number for i in range(number + 1)]
    return (slice(a, b) for a, b in pairwise(edges))


def drawn(seed: int, image: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal numbers determined by a seed and an image's id."""
    state = np.random.SeedSequence((seed % 2**64, image % 2**64)).generate_state(1, np.uint64)[0]
    return torch.randn(shape, generator=torch.Generator().manual_seed(int(state >> np.uint64(1))))
