"""Convolutions without the channels that gates remove."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..bench.models.cifar import Scale
from ..bench.models.trace import Sketch
from .chain import CHANNELWISE, leaves


def cut(net: nn.Sequential, gates: Mapping[str, torch.Tensor], sketch: Sketch) -> dict[str, torch.Tensor]:
    """Remove, in place, the channels that a gate sets to zero if that is simple; path -> channels that are kept.

    Simple means a gate with one convolution before it, one convolution or linear layer after it, and between them only
    layers that work on each channel alone (and, behind the gate, keep zeros at zero, unlike BatchNorm).
    """
    order, ends = leaves(net)
    once = {id(m) for path, m in net.named_modules() if sketch.calls.get(path) == 1}
    gated = {ends[path] for path in gates if path in ends}
    if len(gated) < len(gates) or any(id(module) not in once for module in order) or len(set(order)) < len(order):
        return {}
    kept = {}
    for path, gate in gates.items():
        before, norms = _producer(order, gated, ends[path])
        after = _consumer(order, gated, ends[path])
        if before is None or after is None:
            continue
        keep = gate.nonzero().flatten() if bool(gate.any()) else torch.zeros(1, dtype=torch.int64, device=gate.device)
        before.weight, before.out_channels = nn.Parameter(before.weight[keep], requires_grad=False), len(keep)
        if before.bias is not None:
            before.bias = nn.Parameter(before.bias[keep], requires_grad=False)
        for norm in norms:
            for tensor in [*norm.parameters(), *norm.buffers()]:
                if tensor.ndim:
                    tensor.data = tensor.data[keep]
            norm.num_features = len(keep)
        if isinstance(after, nn.Conv2d):
            after.weight, after.in_channels = nn.Parameter(after.weight[:, keep], requires_grad=False), len(keep)
        else:
            weight = after.weight.view(len(after.weight), len(gate), -1)[:, keep].flatten(1)
            after.weight, after.in_features = nn.Parameter(weight, requires_grad=False), weight.shape[1]
        kept[path] = keep
    return kept


def _producer(order: list[nn.Module], gated: set[int], at: int) -> tuple[nn.Conv2d | None, list[nn.BatchNorm2d]]:
    norms: list[nn.BatchNorm2d] = []
    for place in range(at, -1, -1):
        module = order[place]
        if place != at and place in gated:
            break
        if _plain(module):
            return module, norms  # type: ignore[return-value]
        if type(module) is nn.BatchNorm2d and module.running_mean is not None:
            norms.append(module)
        elif type(module) not in (*CHANNELWISE, Scale):
            break
    return None, []


def _consumer(order: list[nn.Module], gated: set[int], at: int) -> nn.Conv2d | nn.Linear | None:
    flat = False
    for place in range(at + 1, len(order)):
        module = order[place]
        if (_plain(module) and not flat) or (type(module) is nn.Linear and flat):
            return module  # type: ignore[return-value]
        flattens = type(module) is nn.Flatten and module.start_dim == 1
        flat |= flattens
        if place in gated or not (flattens or type(module) in (*CHANNELWISE, Scale)):
            break
    return None


def _plain(module: nn.Module) -> bool:
    return type(module) is nn.Conv2d and module.groups == 1
