"""A net as a chain of convolutions, if it is one: such a net can be cut to the channels that a gate keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..bench.core.arrays import ClassGates
from ..bench.models.classifier import Classifier

#: Modules that work on each channel alone, keep a channel of zeros at zero and commute with a factor >= 0. (Dropout
#: does nothing in evaluation mode.)
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
    """A convolution with its BatchNorm folded in; ``gate``: path of the first gate that its outputs reach, if any."""

    weight: torch.Tensor
    bias: torch.Tensor
    like: nn.Conv2d
    gate: str | None = None


@dataclass
class Affine:
    """``scale * x + shift`` per channel: a BatchNorm that could not be folded."""

    scale: torch.Tensor
    shift: torch.Tensor
    gate: str | None = None


@dataclass(frozen=True)
class Gate:
    """A gate whose channels have all been computed already, for example by the prefix."""

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
        """None if the net is not a plain chain there, or if a gate is below 0, which does not commute with a ReLU."""
        modules, ends = leaves(net.net)
        if any(path not in ends for path in (*gates, *taps)) or any(bool((gate < 0).any()) for gate in gates.values()):
            return None
        gate_at = {ends[path]: path for path in gates}
        tap_at: dict[int, list[str]] = {}
        for tap in taps:
            tap_at.setdefault(ends[tap], []).append(tap)
        first, last = min(gate_at), max(tap_at)
        # Two gates or an inner tap at one output: the order of hooks matters, and the general way respects it.
        inner = any(tap.startswith(f"{gate_at[at]}.") for at in gate_at for tap in tap_at.get(at, ()))
        if len(gate_at) < len(gates) or inner or min(tap_at) < first:
            return None
        builder = ChainBuilder(gates[gate_at[first]].shape[1])
        for at in range(first, last + 1):
            if at > first and not builder.add(modules[at]):
                return None
            if at in gate_at and not builder.gate(gate_at[at]):
                return None
            builder.tap(tap_at.get(at, ()))
        return cls(modules[: first + 1], builder.steps)


class ChainBuilder:
    """Collects a chain's steps; ``add`` and ``gate`` return whether it is still a chain."""

    def __init__(self, channels: int) -> None:
        self.steps: list[Step] = []
        self._channels = channels
        self._open: list[
            Convolution | Affine
        ] = []  # steps that the next gate can cut: their output has not been read yet
        self._foldable = self._gated = False

    def add(self, module: nn.Module) -> bool:
        if type(module) is nn.Conv2d and module.groups == 1 and module.padding_mode == "zeros":
            bias = module.weight.new_zeros(module.out_channels) if module.bias is None else module.bias
            step = Convolution(module.weight, bias, module)
            self.steps.append(step)
            self._open, self._channels, self._foldable, self._gated = [step], module.out_channels, True, False
            return True
        if type(module) is nn.BatchNorm2d:
            # After a gate it would move a removed channel away from zero.
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
            # A max pool may lie between: a sign would make it a minimum, so signs, and the shift, stay behind it.
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
    """Modules in the order in which they run, sequences flattened, and the position of the last module of each path."""
    modules: list[nn.Module] = []
    ends: dict[str, int] = {}

    def walk(parent: nn.Sequential, prefix: str) -> None:
        for name, module in parent._modules.items():  # named_children omits a module that occurs twice
            assert module is not None
            if type(module) is nn.Sequential:
                walk(module, f"{prefix}{name}.")
            else:
                modules.append(module)
            ends[f"{prefix}{name}"] = len(modules) - 1

    walk(net, "")
    return modules, ends
