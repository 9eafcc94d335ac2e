"""Features of images through one class's subnet at a time, without the work that its gates make unnecessary.

Many images through one subnet need neither a gate per sample nor a copy per class: the un-gated part is computed once
per image (`prefix`), and a removed channel is not computed at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from ..bench.core.arrays import ClassGates
from ..bench.models.classifier import Classifier, fastest, laid, layout, per_channel, pool
from ..bench.models.passes import told, uncounted
from .chain import Chain, Convolution, Gate, Tap
from .frozen import frozen_copy
from .gated import Gated
from .tree import Tree

#: Pooled features of hidden images ``(N, ...)`` through one subnet: tap -> ``(N, channels)``.
Subnet = Callable[[torch.Tensor], dict[str, torch.Tensor]]


def class_subnets(classifier: Classifier, gates: ClassGates, taps: Sequence[str]) -> CutSubnets | GatedSubnets:
    """The subnets of all classes, read at ``taps``, none of which may come before the stage of the first gate.

    They are cut to their active channels if the net is a chain of convolutions between first gate and last tap;
    otherwise (shortcuts of a ResNet) they are gated as a whole. They compute the same as the classifier in evaluation
    mode under the gates, up to rounding; later changes to the classifier do not affect them.
    """
    stop = 1 + max(classifier.stage_of(tap) for tap in taps)
    local = {path: gate.to(classifier.mean) for path, gate in gates.items() if classifier.stage_of(path) < stop}
    # Layers beyond the last tap are not copied: the heads of old ImageNet nets take half a gigabyte.
    up_to_tap = Classifier(
        nn.Sequential(OrderedDict((name, classifier.net._modules[name]) for name in classifier.stages[:stop])),
        mean=classifier.mean.flatten().tolist(),
        std=classifier.std.flatten().tolist(),
        taps=taps,
        gate_positions={"gated": tuple(local)},
        classes=classifier.classes,
        shape=classifier.shape,
    )
    up_to_tap.made_by = classifier.made_by
    # A tapped convolution keeps its BatchNorm too, since the tap lies between the two.
    net = frozen_copy(up_to_tap, (*local, *taps)).to(classifier.mean)
    chain = Chain.of(net, local, taps)
    if chain is None:
        return GatedSubnets(net, local, taps)
    uncounted(net)
    return CutSubnets(net, local, chain, classifier)


class GatedSubnets:
    """Subnets of any net: the whole net, in the two steps of `Gated`, under one row of gates."""

    def __init__(self, net: Classifier, gates: ClassGates, taps: Sequence[str]) -> None:
        self._gated, self._gates = Gated(net, gates, taps), gates

    def prefix(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the un-gated stages, or the images themselves if the first stage is gated inside."""
        return self._gated.prefix(images)[0]

    def of(self, label: int) -> Subnet:
        """The subnet of class ``label``, applied to the output of `prefix`."""
        row = {path: gate[label : label + 1] for path, gate in self._gates.items()}
        return lambda hidden: {tap: pool(output) for tap, output in self._gated.rest(hidden, row)[1].items()}

    def each(self, hidden: torch.Tensor, labels: Sequence[int]) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        """Features of the same images through the subnets of ``labels``, one label after the other."""
        return ((label, self.of(label)(hidden)) for label in labels)


class CutSubnets:
    """Subnets of a chain, each as small as its gates allow. A pass through one counts as one of ``whole``."""

    def __init__(self, net: Classifier, gates: ClassGates, chain: Chain, whole: Classifier) -> None:
        self._net, self._gates, self._chain, self._whole = net, gates, chain, whole

    def prefix(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the module that the first gate sits on, not yet gated."""
        x = (images - self._net.mean) / self._net.std
        x = laid(x, layout(self._net))
        if len(self._net.stages) > 1:  # of a net of one stage the rest alone is a pass
            told(self._whole, len(x))
        for module in self._chain.prefix:
            x = module(x)
        return x

    def of(self, label: int) -> Subnet:
        """The subnet of class ``label``, applied to the output of `prefix`. Features of removed channels are 0."""
        steps, last = list(self._cut(label)), len(self._net.stages) - 1

        def subnet(hidden: torch.Tensor) -> dict[str, torch.Tensor]:
            seen: dict[str, torch.Tensor] = {}
            x = hidden
            told(self._whole, len(x), last)
            for step in steps:
                if isinstance(step, tuple):
                    tap, kept = step
                    pooled = pool(x)
                    seen[tap.path] = pooled.new_zeros(len(x), tap.channels).index_copy_(1, kept, pooled)
                else:
                    x = step(x)
            return seen

        return subnet

    def each(self, hidden: torch.Tensor, labels: Sequence[int]) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        """Features of the same images through the subnets of ``labels``, in an order that lets them share work."""
        for label, features in Tree(self._chain, self._gates).features(hidden, labels):
            told(self._whole, len(hidden), len(self._net.stages) - 1)
            yield label, features

    def _cut(self, label: int) -> Iterator[Callable[[torch.Tensor], torch.Tensor] | tuple[Tap, torch.Tensor]]:
        first = next(iter(self._gates.values()))
        kept = torch.empty(0, dtype=torch.int64, device=first.device)
        for step in self._chain.steps:
            if isinstance(step, Tap):
                yield step, kept
            elif isinstance(step, nn.ReLU):
                yield F.relu_  # in place, since nothing else holds the input: taps and gates copy
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
    """Sorted indices of the channels that a gate ``(channels,)`` keeps, and their factors.

    If none is active the first is kept, with factor 0: a convolution needs at least one channel.
    """
    kept = gate.nonzero().flatten() if bool(gate.any()) else torch.zeros(1, dtype=torch.int64, device=gate.device)
    return kept, gate[kept]


def select(kept: torch.Tensor, factor: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x[:, kept] * per_channel(factor, x)


def move(scale: torch.Tensor, shift: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x * per_channel(scale, x) + per_channel(shift, x)


def convolve(like: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    weight = laid(weight, fastest(weight.device))
    return lambda x: F.conv2d(x, weight, bias, like.stride, like.padding, like.dilation)
