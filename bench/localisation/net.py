"""A classifier as attribution rules need it: a copy for normalised images, with ReLUs and gates as modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ...subnets.cut import cut
from ...subnets.frozen import fold_batchnorm
from ..core.errors import UserError
from ..models.classifier import Classifier, laid, layout, per_channel
from ..models.trace import Sketch, sketch_of

Key = tuple[Any, ...]


class ChannelScale(nn.Module):
    """Multiplies channels by a gate ``(channels,)``: a separate module, so that rules for ReLUs do not affect it."""

    def __init__(self, gate: torch.Tensor, axis: int = 1) -> None:
        super().__init__()
        self.gate: torch.Tensor
        self.register_buffer("gate", gate)
        self.axis = axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * per_channel(self.gate, x, self.axis)


class Rectifier(nn.Module):
    """A ReLU, out of place, with a separate module for each of its ``calls`` in a forward pass.

    captum keeps one gradient per module and replaces the whole gradient of the module's input by a rule's result. So a
    module that is called twice mixes up its calls if they lie in parallel branches, and an input with a second reader
    loses that reader's gradient. A fresh view for each call has one reader.
    """

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(calls))
        self.next = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        relu = self.relus[self.next % len(self.relus)]
        self.next += 1
        out: torch.Tensor = relu(x.view_as(x))
        return out


class AttributionNet(nn.Module):
    """Logits of *normalised* images by a classifier or, with gates, by one of its subnets.

    ``sketch`` records one pass through the classifier; ``folded`` names convolutions whose BatchNorm was folded into
    them, so that their outputs differ from the classifier's (`unfolded` gives a net in which they do not).
    """

    def __init__(
        self,
        classifier: Classifier,
        sketch: Sketch,
        modules: dict[str, nn.Module],
        folded: frozenset[str],
        unfold: Callable[[], AttributionNet],
    ) -> None:
        super().__init__()
        self.net, self.classes, self.sketch, self.folded = classifier.net, classifier.classes, sketch, folded
        self.channel_axis = classifier.channel_axis
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", classifier.mean)
        self.register_buffer("std", classifier.std)
        self._modules_at, self._unfold, self._layout = modules, unfold, layout(classifier)
        self._memory: tuple[Key, torch.Tensor] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in self.modules():
            if isinstance(module, Rectifier):
                module.next = 0
        out: torch.Tensor = self.net(laid(x, self._layout))
        return out

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Images in ``[0, 1]``, normalised for `forward`."""
        return (images - self.mean) / self.std

    def at(self, path: str) -> nn.Module:
        """The module with the (gated) output of the classifier's module ``path``."""
        return self._modules_at[path]

    def unfolded(self) -> AttributionNet:
        return self._unfold()

    def remembered(self, kind: Key, tensors: tuple[torch.Tensor, ...], compute: Callable[[], torch.Tensor]) -> Any:
        """The last result of ``compute`` if it was for the same ``kind`` and the same, unchanged tensors."""
        if any(tensor.is_inference() for tensor in tensors):  # these do not record changes
            return compute()
        key = (*kind, *((tensor, tensor._version) for tensor in tensors))
        if self._memory is None or not _same(self._memory[0], key):
            self._memory = (key, compute())
        return self._memory[1]


def _same(one: Key, other: Key) -> bool:
    return len(one) == len(other) and all(
        a[0] is b[0] and a[1] == b[1] if isinstance(a, tuple) and isinstance(b, tuple) else a == b
        for a, b in zip(one, other, strict=True)
    )


def attribution_net(
    classifier: Classifier, gates_row: Mapping[str, torch.Tensor] | None = None, *, fold: bool = True
) -> AttributionNet:
    """A copy of the classifier in evaluation mode, with ``gates_row`` (path -> ``(channels,)``) of one class's subnet.

    It computes the same as ``classifier.observe(images, (), gates)``, up to rounding. Nothing in it works in place, its
    parameters take no gradient, each call of an `nn.ReLU` has its own module and each gate is a module behind the one
    it gates. If convolutions follow each other directly, channels that a gate removes are not computed: zeros forward
    and backward change no map. ``fold`` also folds BatchNorm into convolutions, a third faster on CPUs.

    Raises UserError for a gate on a module that the net lacks, or with the wrong number of channels.
    """
    gates = {path: gate.detach().to(classifier.mean) for path, gate in (gates_row or {}).items()}
    copied = copy.deepcopy(classifier).eval().requires_grad_(False)
    net = copied.net
    sketch = sketch_of(copied.net, classifier.shape)
    axes = {output.path: classifier.channel_axis(output.path) for output in sketch.outputs}
    channels = {o.path: o.shape[axes[o.path]] for o in sketch.outputs if len(o.shape) > axes[o.path]}
    for path, gate in gates.items():
        classifier.module_at(path)
        if gate.shape != (channels.get(path),):
            raise UserError(
                f"The gate of {path!r} has shape {tuple(gate.shape)} and its module {channels.get(path)} "
                "channels; give gates that were made for this net."
            )
    before = dict(net.named_modules(remove_duplicate=False))
    if fold:
        fold_batchnorm(net, tuple(gates))
    modules = dict(net.named_modules(remove_duplicate=False))
    folded = frozenset(
        path for path in modules if isinstance(before[path], nn.Conv2d) and before[path] is not modules[path]
    )
    kept = cut(net, gates, sketch)
    parents = dict(modules)
    for module in {id(module): module for module in modules.values()}.values():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False
        if type(module) is nn.ReLU:
            calls = max(sketch.calls.get(path, 0) for path in modules if parents[path] is module)
            _replace(module, Rectifier(max(1, calls)), modules, parents)
    for path, gate in gates.items():
        scale = ChannelScale(gate if path not in kept else gate[kept[path]], axes[path])
        _replace(modules[path], nn.Sequential(modules[path], scale), modules, parents)
    copied.to(memory_format=layout(copied))
    return AttributionNet(copied, sketch, modules, folded, lambda: attribution_net(classifier, gates_row, fold=False))


def _replace(old: nn.Module, new: nn.Module, modules: dict[str, nn.Module], parents: Mapping[str, nn.Module]) -> None:
    """Replace ``old`` by ``new`` everywhere, also in ``modules``; ``parents`` are the original modules."""
    for path in [path for path, module in modules.items() if module is old]:
        parent, _, name = path.rpartition(".")
        setattr(parents[parent], name, new)
        modules[path] = new
