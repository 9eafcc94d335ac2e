"""A classifier as rules of attribution need it: a copy for normalised images whose ReLUs and gates are modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ...subnets.chain import CHANNELWISE, leaves
from ...subnets.frozen import fold_batchnorm
from ..core.arrays import UserError
from ..models.classifier import Classifier, Scale, evaluating

Key = tuple[Any, ...]


class ChannelScale(nn.Module):
    """Multiplies channels by a gate ``(channels,)``: a module of its own, so that no rule for ReLUs meets it."""

    def __init__(self, gate: torch.Tensor) -> None:
        super().__init__()
        self.gate: torch.Tensor
        self.register_buffer("gate", gate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate.view(-1, *(1,) * (x.ndim - 2))


class Rectifier(nn.Module):
    """A ReLU, out of place, that has a module of its own for each of its ``calls`` in a forward pass.

    captum keeps one gradient a module and puts a rule's result in place of the whole gradient of the module's input.
    So a module that is called twice mixes its calls up where they lie in parallel branches, and an input that somebody
    else reads too loses that reader's gradient. A fresh view for each call has one reader.
    """

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.ReLU() for _ in range(calls))
        self.next = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        relu = self.each[self.next % len(self.each)]
        self.next += 1
        out: torch.Tensor = relu(x.view_as(x))
        return out


class AttributionNet(nn.Module):
    """Logits of *normalised* images; a classifier's or, with gates, one of its subnets'.

    ``sketch`` is what one pass through the classifier showed; ``folded`` names convolutions whose BatchNorm was folded
    into them, so that their outputs are no longer the classifier's (`unfolded` gives a net in which they are).
    """

    def __init__(self, classifier: Classifier, sketch: Sketch, modules: dict[str, nn.Module], folded: frozenset[str],
                 unfold: Callable[[], AttributionNet]) -> None:  # fmt: skip
        super().__init__()
        self.net, self.classes, self.sketch, self.folded = classifier.net, classifier.classes, sketch, folded
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", classifier.mean)
        self.register_buffer("std", classifier.std)
        self._modules_at, self._unfold = modules, unfold
        self._memory: tuple[Key, torch.Tensor] | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in self.modules():
            if isinstance(module, Rectifier):
                module.next = 0
        out: torch.Tensor = self.net(x.contiguous(memory_format=torch.channels_last))
        return out

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Images in ``[0, 1]`` as `forward` takes them."""
        return (images - self.mean) / self.std

    def at(self, path: str) -> nn.Module:
        """What gives the (gated) output of the classifier's module ``path``."""
        return self._modules_at[path]

    def unfolded(self) -> AttributionNet:
        return self._unfold()

    def remembered(self, kind: Key, tensors: tuple[torch.Tensor, ...], compute: Callable[[], torch.Tensor]) -> Any:
        """What ``compute`` gave last, where it was asked for by the same ``kind`` with the very same tensors."""
        if any(tensor.is_inference() for tensor in tensors):  # these do not tell whether they were changed since
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

    It computes what ``classifier.observe(images, (), gates)`` does, up to rounding. Nothing in it works in place, its
    parameters take no gradient, each call of an `nn.ReLU` has a module of its own and each gate is a module behind what
    it gates. Where convolutions follow each other directly, channels that a gate takes away are not computed: zeros
    forward and backward change no map. ``fold`` also folds BatchNorm into convolutions, a third faster on CPUs.

    Raises UserError for a gate on a module that the net lacks, or of another number of channels.
    """
    gates = {path: gate.detach().to(classifier.mean) for path, gate in (gates_row or {}).items()}
    copied = copy.deepcopy(classifier).eval().requires_grad_(False)
    net = copied.net
    sketch = sketch_of(copied.net, classifier.shape)
    channels = {output.path: output.shape[1] for output in sketch.outputs if len(output.shape) > 1}
    for path, gate in gates.items():
        classifier.module_at(path)
        if gate.shape != (channels.get(path),):
            raise UserError(f"The gate of {path!r} has shape {tuple(gate.shape)} and its module {channels.get(path)} "
                            "channels; give gates that were made for this net.")  # fmt: skip
    before = dict(net.named_modules(remove_duplicate=False))
    if fold:
        fold_batchnorm(net, tuple(gates))
    modules = dict(net.named_modules(remove_duplicate=False))
    folded = frozenset(path for path in modules if isinstance(before[path], nn.Conv2d)
                       and before[path] is not modules[path])  # fmt: skip
    kept = cut(net, gates, sketch)
    parents = dict(modules)
    for module in {id(module): module for module in modules.values()}.values():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False
        if type(module) is nn.ReLU:
            calls = max(sketch.calls.get(path, 0) for path in modules if parents[path] is module)
            _replace(module, Rectifier(max(1, calls)), modules, parents)
    for path, gate in gates.items():
        scale = ChannelScale(gate if path not in kept else gate[kept[path]])
        _replace(modules[path], nn.Sequential(modules[path], scale), modules, parents)
    copied.to(memory_format=torch.channels_last)
    return AttributionNet(copied, sketch, modules, folded, lambda: attribution_net(classifier, gates_row, fold=False))


def _replace(old: nn.Module, new: nn.Module, modules: dict[str, nn.Module], parents: Mapping[str, nn.Module]) -> None:
    """Put ``new`` wherever ``old`` stands, and note it in ``modules``; ``parents`` are modules as they were."""
    for path in [path for path, module in modules.items() if module is old]:
        parent, _, name = path.rpartition(".")
        setattr(parents[parent], name, new)
        modules[path] = new


def cut(net: nn.Sequential, gates: Mapping[str, torch.Tensor], sketch: Sketch) -> dict[str, torch.Tensor]:
    """Leave out channels that a gate sets to zero, in place, where that is simple; path -> channels that are kept.

    Simple is a gate with one convolution before it and one convolution or linear layer after it, and between them only
    layers that work on each channel alone (behind the gate none that lifts a zero, as BatchNorm does).
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


# -- what one pass shows ----------------------------------------------------------------------------------------------


class Output(NamedTuple):
    path: str
    shape: tuple[int, ...]
    kind: type[nn.Module]


@dataclass
class Sketch:
    """``outputs`` in the order in which modules end, ``calls`` of each; ``functional``: modules that compute a ReLU
    (torch.relu, F.relu, Tensor.relu, in place or not; ``clamp(min=0)`` is not known for one) and are no `nn.ReLU`, the
    net itself being ``""``; ``others``: modules that compute another activation with a linear part, and which;
    ``cells``: numbers that all leaves put out for one image."""

    outputs: list[Output] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    functional: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    cells: int = 0


OTHERS = ("silu", "gelu", "leaky_relu", "hardtanh", "elu", "hardswish", "mish", "softplus", "_prelu_kernel", "rrelu",
          "rrelu_with_noise", "threshold")  # fmt: skip


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, sketch: Sketch, running: list[tuple[str, nn.Module]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sketch, self._running = sketch, running

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__.removesuffix("_")
        path, module = self._running[-1]
        if name == "relu" and not isinstance(module, nn.ReLU) and path not in self._sketch.functional:
            self._sketch.functional.append(path)
        elif name in OTHERS:
            self._sketch.others.setdefault(path, type(module).__name__ if path and not list(module.children()) else
                                           name.strip("_"))  # fmt: skip
        return func(*args, **(kwargs or {}))


def sketch_of(net: nn.Module, shape: tuple[int, int, int]) -> Sketch:
    """One pass of an image of zeros ``shape`` through the net; the net is left as it was."""
    sketch, running = Sketch(), [("", net)]
    with _watched(net, sketch, running), evaluating(net), torch.no_grad(), _Watch(sketch, running):
        like = next(net.parameters(), torch.zeros(1))
        net(torch.zeros(1, *shape, device=like.device, dtype=like.dtype))
    return sketch


@contextmanager
def _watched(net: nn.Module, sketch: Sketch, running: list[tuple[str, nn.Module]]) -> Iterator[None]:
    def begin(path: str) -> Any:
        return lambda module, _inputs: running.append((path, module))

    def end(path: str) -> Any:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            running.pop()
            sketch.calls[path] = sketch.calls.get(path, 0) + 1
            if isinstance(output, torch.Tensor):
                sketch.outputs.append(Output(path, tuple(output.shape), type(module)))
                sketch.cells += 0 if list(module.children()) else output.numel()

        return hook

    handles = []
    for path, module in net.named_modules():
        if path:
            handles += [module.register_forward_pre_hook(begin(path)), module.register_forward_hook(end(path))]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def gradcam_layer(net: AttributionNet, given: str | None = None) -> str:
    """The layer whose map Grad-CAM takes: ``given``, or the last one from the last convolution on that has a map.

    That is the last module with an output ``(N, C, H, W)`` of more than one pixel, before the pool to a fixed size:
    pool5 in VGG-16 and AlexNet (relu5 where pool5 leaves one pixel) and layer4, the input of avgpool, in ResNet-50.
    Modules that are called twice in a pass have no map of their own.

    Raises UserError where there is no such layer.
    """
    outputs, calls = net.sketch.outputs, net.sketch.calls
    if given is not None:
        found = next((output for output in outputs if output.path == given), None)
        stages = ", ".join(name for name, _ in net.net.named_children())
        if found is None or calls[given] > 1 or len(found.shape) != 4:
            reason = ("is no module that runs" if found is None else f"runs {calls[given]} times" if calls[given] > 1
                      else f"gives no map but {found.shape[1:]} an image")  # fmt: skip
            raise UserError(f"Grad-CAM's layer {given!r} {reason} in this net; name another one (stages: {stages}).")
        return given
    spatial = [len(output.shape) == 4 and output.shape[2] * output.shape[3] > 1 for output in outputs]
    convolutions = [i for i, output in enumerate(outputs) if spatial[i] and issubclass(output.kind, nn.Conv2d)]
    if not convolutions:
        raise UserError("Grad-CAM needs a convolution and this net has none with a map of more than one pixel; "
                        "name a layer in parameters.layer or leave the method out.")  # fmt: skip
    layer = ""
    for i in range(convolutions[-1], len(outputs)):
        if spatial[i] and issubclass(outputs[i].kind, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            break
        if spatial[i] and calls[outputs[i].path] == 1:
            layer = outputs[i].path
    if not layer:
        raise UserError("Grad-CAM finds no layer of its own: every module from the last convolution on runs more than "
                        "once; name one in parameters.layer.")  # fmt: skip
    return layer
