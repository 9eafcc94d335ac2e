"""A net read as a chain of convolutions, where it is one: what can be cut to the channels that a gate leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..bench.core.arrays import ClassGates
from ..bench.models.classifier import Classifier

#: Modules that work on each channel alone, keep a channel of zeros at zero and let a factor >= 0 through. (Dropout does
#: nothing in evaluation mode.)
CHANNELWISE = (
    nn.ReLU,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
)


@dataclass
class Convolution:
    """With the BatchNorm after it folded in; ``gate`` is the path of the gate that its outputs reach first, if any."""

    weight: torch.Tensor
    bias: torch.Tensor
    like: nn.Conv2d
    gate: str | None = None


@dataclass
class Affine:
    """``scale * x + shift`` a channel: a BatchNorm that could not be folded."""

    scale: torch.Tensor
    shift: torch.Tensor
    gate: str | None = None


@dataclass(frozen=True)
class Gate:
    """A gate whose channels were all computed before, by the prefix for example."""

    path: str


@dataclass(frozen=True)
class Tap:
    path: str
    channels: int


Step = Convolution | Affine | Gate | Tap | nn.Module


@dataclass(frozen=True)
class Chain:
    """Modules up to the first gate, and the steps from there to the last tap."""

    prefix: list[nn.Module]
    steps: list[Step]

    @classmethod
    def of(cls, net: Classifier, gates: ClassGates, taps: Sequence[str]) -> Chain | None:
        """None where the net is no plain chain there, or a gate is below 0, which does not pass a ReLU."""
        modules, ends = leaves(net.net)
        if any(path not in ends for path in (*gates, *taps)) or any(bool((gate < 0).any()) for gate in gates.values()):
            return None
        gate_at = {ends[path]: path for path in gates}
        tap_at: dict[int, list[str]] = {}
        for tap in taps:
            tap_at.setdefault(ends[tap], []).append(tap)
        first, last = min(gate_at), max(tap_at)
        # Two gates or an inner tap at one output: the order of hooks decides, and the general way keeps to it.
        inner = any(tap.startswith(f"{gate_at[at]}.") for at in gate_at for tap in tap_at.get(at, ()))
        if len(gate_at) < len(gates) or inner or min(tap_at) < first:
            return None
        width = net.channels([gate_at[first]])[gate_at[first]]
        builder = ChainBuilder(width)
        for at in range(first, last + 1):
            if at > first and not builder.add(modules[at]):
                return None
            if at in gate_at and not builder.gate(gate_at[at]):
                return None
            builder.tap(tap_at.get(at, ()))
        return cls(modules[: first + 1], builder.steps)


class ChainBuilder:
    """Collects a chain's steps; ``add`` and ``gate`` say whether it still is one."""

    def __init__(self, channels: int) -> None:
        self.steps: list[Step] = []
        self._channels = channels
        self._open: list[Convolution | Affine] = []  # what the next gate can cut: nobody has read it yet
        self._foldable = self._gated = False

    def add(self, module: nn.Module) -> bool:
        if type(module) is nn.Conv2d and module.groups == 1 and module.padding_mode == "zeros":
            bias = module.weight.new_zeros(module.out_channels) if module.bias is None else module.bias
            step = Convolution(module.weight, bias, module)
            self.steps.append(step)
            self._open, self._channels, self._foldable, self._gated = [step], module.out_channels, True, False
            return True
        if type(module) is nn.BatchNorm2d:
            # After a gate it would lift a removed channel off zero.
            return not self._gated and module.running_mean is not None and self._normalise(module)
        if type(module) in CHANNELWISE:
            self._foldable &= isinstance(module, nn.MaxPool2d | nn.Identity | nn.Dropout | nn.Dropout2d)
            if not isinstance(module, nn.Identity | nn.Dropout | nn.Dropout2d):
                self.steps.append(module)
            return True
        return False

    def _normalise(self, norm: nn.BatchNorm2d) -> bool:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
        shift = -norm.running_mean * scale + (0 if norm.bias is None else norm.bias)
        if self._foldable:
            convolution = next(step for step in reversed(self.steps) if isinstance(step, Convolution))
            convolution.weight = convolution.weight * scale.abs().view(-1, 1, 1, 1)
            convolution.bias = convolution.bias * scale.abs()
            # A maximum lies between: a sign would make it a minimum, so signs stay behind it, and the shift with them.
            if bool((scale >= 0).all()):
                convolution.bias = convolution.bias + shift
                return True
            scale = scale.sign()
        self._foldable = False
        affine = Affine(scale, shift)
        self.steps.append(affine)
        if self._open:
            self._open.append(affine)
        return True

    def gate(self, path: str) -> bool:
        if self._gated:
            return False
        for step in self._open:
            step.gate = path
        if not self._open:
            self.steps.append(Gate(path))
        self._open, self._gated, self._foldable = [], True, False
        return True

    def tap(self, paths: Sequence[str]) -> None:
        if paths:
            self.steps += [Tap(path, self._channels) for path in paths]
            self._open, self._foldable = [], False


def leaves(net: nn.Sequential) -> tuple[list[nn.Module], dict[str, int]]:
    """Modules in the order in which they run, sequences opened up; and the place of the last module of each path."""
    modules: list[nn.Module] = []
    ends: dict[str, int] = {}

    def walk(parent: nn.Sequential, prefix: str) -> None:
        for name, module in parent._modules.items():  # named_children leaves out one that comes twice
            assert module is not None
            if type(module) is nn.Sequential:
                walk(module, f"{prefix}{name}.")
            else:
                modules.append(module)
            ends[f"{prefix}{name}"] = len(modules) - 1

    walk(net, "")
    return modules, ends
