"""The subnets of many classes on the same images, as a tree: what their gates leave equal is computed once.

Gates of early layers are much alike: most keep all channels or all but a few. So classes stay together until a gate
tells them apart, and even then a convolution of all channels, less that of the few that a class removes, is cheaper
than one of all that it keeps. One branch is followed to its end before the next begins, so that memory grows with the
depth of the net and not with the number of classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ..bench.core.arrays import ClassGates
from ..bench.models.classifier import fastest, laid, per_channel, pool
from .chain import Affine, Chain, Convolution, Gate, Tap

#: What reading, subtracting and writing one output costs, in multiply-adds; and picking one input out of its channels.
SUBTRACT, PICK = 150, 30


@dataclass(frozen=True)
class Pooled:
    """Pooled outputs ``(N, len(channels))`` at a tap before the gate ``pending``, for all classes that share them."""

    tap: Tap
    values: torch.Tensor
    channels: torch.Tensor
    pending: str | None


@dataclass(frozen=True)
class Branch:
    """Activations ``x`` of some ``channels`` of a layer, equal for ``labels`` up to the gate ``pending``, which is
    still to be applied; ``fresh``: nothing else holds ``x``. ``seen`` are the taps on the way here."""

    x: torch.Tensor
    channels: torch.Tensor
    labels: torch.Tensor
    pending: str | None = None
    fresh: bool = False
    seen: tuple[Pooled, ...] = ()


@dataclass(frozen=True)
class Twig:
    """Classes of a branch with one row of gates: ``factor`` of each input, and the outputs that any of them needs."""

    labels: torch.Tensor
    factor: torch.Tensor
    outputs: torch.Tensor

    def saved(self, area: int) -> int:
        """Multiply-adds saved at each place by subtracting what is removed from a convolution of all channels, with a
        kernel of ``area`` values."""
        return len(self.outputs) * (area * (self.kept - self.changed) - SUBTRACT)

    @property
    def kept(self) -> int:
        return int((self.factor != 0).sum())

    @property
    def changed(self) -> int:
        return int((self.factor != 1).sum())


@dataclass(frozen=True)
class Tree:
    """Subnets of a `Chain` under ``gates``, which are at least 0 and so commute with all that lies between a
    convolution and its gate: a gate waits until the next convolution or tap."""

    chain: Chain
    gates: ClassGates

    def features(self, hidden: torch.Tensor, labels: Sequence[int]) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        """Every label, in an order of the tree's own, with its features: tap -> ``(N, channels)``, removed ones 0."""
        device = hidden.device
        every = torch.arange(hidden.shape[1], device=device)
        yield from self._grow(0, Branch(hidden, every, torch.tensor(list(labels), device=device)))

    def _grow(self, at: int, branch: Branch) -> Iterator[tuple[int, dict[str, torch.Tensor]]]:
        x, pending, fresh, seen = branch.x, branch.pending, branch.fresh, branch.seen
        for place in range(at, len(self.chain.steps)):
            step = self.chain.steps[place]
            if isinstance(step, Convolution):
                parent = Branch(x, branch.channels, branch.labels, pending, fresh, seen)
                for child in self._convolved(step, parent):
                    yield from self._grow(place + 1, child)
                return
            if isinstance(step, Tap):
                seen = (*seen, Pooled(step, pool(x), branch.channels, pending))
            elif isinstance(step, Gate):
                pending = step.path
            elif isinstance(step, Affine):
                scale, shift = step.scale[branch.channels], step.shift[branch.channels]
                x, fresh = x * per_channel(scale, x) + per_channel(shift, x), True
            elif isinstance(step, nn.ReLU):
                x = F.relu_(x) if fresh else F.relu(x)
            else:
                x, fresh = step(x), True
        for label in branch.labels.tolist():
            yield label, {pooled.tap.path: self._placed(pooled, label) for pooled in seen}

    def _placed(self, pooled: Pooled, label: int) -> torch.Tensor:
        values = pooled.values
        if pooled.pending is not None:
            values = values * self.gates[pooled.pending][label][pooled.channels]
        return values.new_zeros(len(values), pooled.tap.channels).index_copy_(1, pooled.channels, values)

    def _convolved(self, step: Convolution, branch: Branch) -> Iterator[Branch]:
        """A branch for each distinct row of the gate that waits."""
        twigs = self._twigs(step, branch)
        area = step.weight[0, 0].numel()
        saved = [max(0, twig.saved(area)) for twig in twigs]
        whole = None
        if sum(saved) > area * len(branch.channels) * len(step.weight):
            whole = _convolve(step, branch.x, step.weight[:, branch.channels], step.bias)
        for twig, worth in zip(twigs, saved, strict=True):
            x = _direct(step, branch, twig) if whole is None or not worth else _less(step, branch, twig, whole)
            yield Branch(x, twig.outputs, twig.labels, step.gate, True, branch.seen)

    def _twigs(self, step: Convolution, branch: Branch) -> list[Twig]:
        if branch.pending is None:
            return [Twig(branch.labels, branch.x.new_ones(len(branch.channels)), self._outputs(step, branch.labels))]
        rows = self.gates[branch.pending][branch.labels][:, branch.channels]
        factors, group = rows.unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
        members = [branch.labels[group == place] for place in range(len(factors))]
        return [Twig(some, row, self._outputs(step, some)) for some, row in zip(members, factors, strict=True)]

    def _outputs(self, step: Convolution, labels: torch.Tensor) -> torch.Tensor:
        """The outputs that any of the classes keeps; the first where none does, since a layer needs a channel."""
        if step.gate is None:
            return torch.arange(len(step.weight), device=labels.device)
        kept = (self.gates[step.gate][labels] != 0).any(0).nonzero().flatten()
        return kept if len(kept) else torch.zeros(1, dtype=torch.int64, device=labels.device)


def _less(step: Convolution, branch: Branch, twig: Twig, whole: torch.Tensor) -> torch.Tensor:
    """The convolution of all channels, corrected in those whose factor is not 1."""
    changed = (twig.factor != 1).nonzero().flatten()
    every = len(twig.outputs) == whole.shape[1]
    base = whole if every else picked(whole, twig.outputs)
    if not len(changed):
        return base.clone() if every else base
    # Libraries are slow with a single channel, and twice half of it is the same to the last bit.
    times = 2 if len(changed) == 1 else 1
    weight = step.weight[twig.outputs][:, branch.channels[changed]] * ((twig.factor[changed] - 1) / times).view(
        -1, 1, 1
    )
    changed, weight = changed.repeat(times), weight.repeat(1, times, 1, 1)
    return _convolve(step, picked(branch.x, changed), weight, None).add_(base)


def _direct(step: Convolution, branch: Branch, twig: Twig) -> torch.Tensor:
    """The convolution of the channels that are kept."""
    x, channels, factor = branch.x, branch.channels, twig.factor
    removed = len(factor) - twig.kept
    if removed * len(twig.outputs) * step.weight[0, 0].numel() > PICK * twig.kept:
        kept = factor.nonzero().flatten()
        kept = kept if len(kept) else torch.zeros(1, dtype=torch.int64, device=x.device)
        x, channels, factor = picked(x, kept), channels[kept], factor[kept]
    weight = step.weight[twig.outputs][:, channels] * factor.view(-1, 1, 1)
    return _convolve(step, x, weight, step.bias[twig.outputs])


def _convolve(step: Convolution, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    weight = laid(weight, fastest(weight.device))
    return F.conv2d(x, weight, bias, step.like.stride, step.like.padding, step.like.dilation)


def picked(x: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
    """Some channels of ``x`` in its layout; ``x[:, channels]`` would leave another, slow to convolve."""
    if x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).index_select(3, channels).permute(0, 3, 1, 2)
    return x.index_select(1, channels)
