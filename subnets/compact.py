"""Features of images through one class's subnet at a time, with the work that its gates take away left out.

Many images through one subnet need neither a gate a sample nor a copy a class: what no gate changes is computed once
an image (`prefix`), and a removed channel is not computed at all.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ..bench.core.arrays import ClassGates
from ..bench.models.classifier import Classifier, pool
from .chain import Chain, Convolution, Gate, Tap
from .frozen import fold_batchnorm

#: Pooled features of hidden images ``(N, ...)`` through one subnet: tap -> ``(N, channels)``.
Subnet = Callable[[torch.Tensor], dict[str, torch.Tensor]]


def class_subnets(classifier: Classifier, gates: ClassGates, taps: Sequence[str]) -> CutSubnets | GatedSubnets:
    """The subnets of all classes, read at ``taps``, none of which may come before the stage of the first gate.

    Cut to their active channels where the net is a chain of convolutions between first gate and last tap; where it is
    not (shortcuts of a ResNet), gated as a whole. They compute what the classifier computes in evaluation mode under
    the gates, up to rounding; later changes to the classifier do not reach them.
    """
    stop = 1 + max(classifier.stage_of(tap) for tap in taps)
    local = {path: gate.to(classifier.mean) for path, gate in gates.items() if classifier.stage_of(path) < stop}
    # No copy of what lies beyond the last tap: heads of old ImageNet nets are half a gigabyte.
    stages = OrderedDict(list(classifier.net.named_children())[:stop])
    net = (
        Classifier(
            copy.deepcopy(nn.Sequential(stages)),
            mean=classifier.mean.flatten().tolist(),
            std=classifier.std.flatten().tolist(),
            taps=taps,
            gate_positions={"gated": tuple(local)},
            classes=classifier.classes,
            shape=classifier.shape,
        )
        .to(classifier.mean)
        .eval()
        .requires_grad_(False)
    )
    # A tapped convolution keeps its BatchNorm too: the tap lies between the two.
    fold_batchnorm(net.net, (*local, *taps))
    net.to(memory_format=torch.channels_last)
    chain = Chain.of(net, local, taps)
    return GatedSubnets(net, local, taps) if chain is None else CutSubnets(net, local, chain)


class GatedSubnets:
    """Subnets of any net: all of it, under one row of gates."""

    def __init__(self, net: Classifier, gates: ClassGates, taps: Sequence[str]) -> None:
        self._net, self._gates = net, gates
        first = min(net.stage_of(path) for path in gates)
        name = [name for name, _ in net.net.named_children()][first]
        # A gate on the output of a whole stage is not inside it: then that stage belongs to the prefix too.
        at_end = name in gates and not any(path.startswith(f"{name}.") for path in (*gates, *taps))
        self._gate_on_prefix = name if at_end else None
        self._tap_on_prefix = at_end and name in taps
        self._start = first + at_end
        self._taps = [tap for tap in taps if not at_end or tap != name]

    def prefix(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the un-gated stages, or the images themselves where the first stage is gated inside."""
        return self._net.advance(images, 0, self._start) if self._start else images

    def of(self, label: int) -> Subnet:
        """The subnet of class ``label``, from what `prefix` gives."""
        rows = {path: gate[label : label + 1] for path, gate in self._gates.items() if path != self._gate_on_prefix}

        def subnet(hidden: torch.Tensor) -> dict[str, torch.Tensor]:
            seen: dict[str, torch.Tensor] = {}
            if self._gate_on_prefix is not None:
                hidden = hidden * per_channel(self._gates[self._gate_on_prefix][label], hidden)
                if self._tap_on_prefix:
                    seen[self._gate_on_prefix] = hidden
            if self._taps:
                seen |= self._net.observe(hidden, self._taps, rows, self._start)[1]
            return {tap: pool(output) for tap, output in seen.items()}

        return subnet


class CutSubnets:
    """Subnets of a chain, each as small as its gates make it."""

    def __init__(self, net: Classifier, gates: ClassGates, chain: Chain) -> None:
        self._net, self._gates, self._chain = net, gates, chain

    def prefix(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the module that the first gate sits on, not yet gated."""
        x = (images - self._net.mean) / self._net.std
        x = x.contiguous(memory_format=torch.channels_last)
        for module in self._chain.prefix:
            x = module(x)
        return x

    def of(self, label: int) -> Subnet:
        """The subnet of class ``label``, from what `prefix` gives. Features of removed channels are 0."""
        steps = list(self._cut(label))

        def subnet(hidden: torch.Tensor) -> dict[str, torch.Tensor]:
            seen: dict[str, torch.Tensor] = {}
            x = hidden
            for step in steps:
                if isinstance(step, tuple):
                    tap, kept = step
                    found = pool(x)
                    seen[tap.path] = found.new_zeros(len(x), tap.channels).index_copy_(1, kept, found)
                else:
                    x = step(x)
            return seen

        return subnet

    def _cut(self, label: int) -> Iterator[Callable[[torch.Tensor], torch.Tensor] | tuple[Tap, torch.Tensor]]:
        first = next(iter(self._gates.values()))
        kept = torch.empty(0, dtype=torch.int64, device=first.device)
        for step in self._chain.steps:
            if isinstance(step, Tap):
                yield step, kept
            elif isinstance(step, nn.ReLU):
                yield F.relu_  # nobody else holds what came before: taps and gates copy
            elif isinstance(step, nn.Module):
                yield step
            elif isinstance(step, Gate):
                kept, factor = active(self._gates[step.path][label])
                yield select(kept, factor)
            elif isinstance(step, Convolution):
                inputs = kept
                if step.gate is None:
                    kept = torch.arange(len(step.weight), device=first.device)
                    yield convolve(step.like, step.weight[:, inputs], step.bias)
                else:
                    kept, factor = active(self._gates[step.gate][label])
                    weight = step.weight[kept][:, inputs] * factor.view(-1, 1, 1, 1)
                    yield convolve(step.like, weight, step.bias[kept] * factor)
            else:
                shift = step.shift if step.gate is None else step.shift * self._gates[step.gate][label]
                yield move(step.scale[kept], shift[kept])


def active(gate: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of the channels that are kept of a gate ``(channels,)``, sorted, and their factors.

    Where none is active the first is kept, with factor 0: a convolution of no channels is no convolution.
    """
    kept = gate.nonzero().flatten() if bool(gate.any()) else torch.zeros(1, dtype=torch.int64, device=gate.device)
    return kept, gate[kept]


def per_channel(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """``(channels,)`` in the shape in which it multiplies ``x`` ``(N, channels, ...)``."""
    return values.view(-1, *(1,) * (x.ndim - 2))


def select(kept: torch.Tensor, factor: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x[:, kept] * per_channel(factor, x)


def move(scale: torch.Tensor, shift: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x * per_channel(scale, x) + per_channel(shift, x)


def convolve(like: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    weight = weight.contiguous(memory_format=torch.channels_last)
    return lambda x: F.conv2d(x, weight, bias, like.stride, like.padding, like.dilation)
