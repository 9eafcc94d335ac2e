"""What determines a net's output besides its tensors and its printed structure."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn

from ..core.hashing import source_hash
from ..core.sources import HOME, LIBRARIES, home_of, of_session

#: Modules whose printed form states all that they compute. Others of torch's keep something to themselves: the number
#: of heads of an attention, whether a pool counts its padding.
PRINTED = (
    nn.Sequential,
    nn.ModuleList,
    nn.Conv2d,
    nn.Linear,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.MaxPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Flatten,
    nn.Identity,
)

Unstated = list[list[Any]]


def unstated(net: nn.Module) -> Unstated:
    """For each module of another kind: its path, its class's source, its plain attributes, its unsaved buffers.

    Empty for our own nets: their classes print every constant that they compute with.
    """
    saved = net.state_dict(keep_vars=True).keys()
    sources: dict[type, str] = {}
    found: Unstated = []
    for path, module in net.named_modules():
        kind = type(module)
        if kind not in sources:
            theirs = of_session(kind) or home_of(kind) not in {HOME, *LIBRARIES}
            sources[kind] = source_hash(kind) if theirs else ""
        told = kind in PRINTED or home_of(kind) == HOME
        plain = {} if told else {name: repr(v) for name, v in vars(module).items() if _is_plain(name, v)}
        buffers = {
            name: hashlib.sha256(bytes_of(tensor)).hexdigest()
            for name, tensor in module.named_buffers(recurse=False)
            if (f"{path}.{name}" if path else name) not in saved
        }
        if sources[kind] or plain or buffers:
            found.append([path, sources[kind], plain, buffers])
    return found


def _is_plain(name: str, value: Any) -> bool:
    """Whether an attribute is a number, a text or a tuple, list or dictionary of such."""
    if name == "training" or name.startswith("_"):
        return False
    if isinstance(value, tuple | list):
        return all(_is_plain("", item) for item in value)
    if isinstance(value, dict):
        return all(_is_plain("", item) for pair in value.items() for item in pair)
    return value is None or isinstance(value, bool | int | float | complex | str)


def bytes_of(tensor: torch.Tensor) -> bytes:
    """A tensor's numbers in C order, of any dtype."""
    plain: bytes = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return plain
