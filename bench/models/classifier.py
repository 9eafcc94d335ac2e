"""Classifiers: a sequential net with its normalisation inside, named taps and positions for channel gates."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ..core.errors import UserError
from ..core.hashing import canonical
from .stage import Stage
from .unstated import bytes_of, unstated

Stats = Sequence[float]

#: The input of the last linear layer, read under this name like the output of a module.
PENULTIMATE = "penultimate"


class _Wraps(nn.Module):
    """The way in for a net that is no sequence of stages, and what is particular to one."""

    net: nn.Sequential

    @classmethod
    def wrap(
        cls,
        module: nn.Module,
        *,
        taps: Sequence[str] | None = None,
        gate_positions: Mapping[str, Sequence[str]] | None = None,
        classes: int | None = None,
        shape: tuple[int, int, int] | None = None,
        mean: Stats | None = None,
        std: Stats | None = None,
    ) -> Classifier:
        """Any net, copied in float32 on its device: the taps that detectors read are found (the last module at each
        resolution, four blocks of a transformer), and so are the channels that subnets gate (behind convolutions, in
        the MLPs of transformers); ``taps=["layer1"]`` and ``gate_positions={"units": ["layer1.0.bn1"]}`` name others.

        Paths are the module's own. ``classes`` are checked; ``shape`` is ``(C, H, W)``; without ``mean`` and ``std`` it
        takes images in ``[0, 1]`` as they are. Raises UserError, one sentence, for what is no classifier: that is
        tried on two images of noise.
        """
        from .wrap import wrap

        more: Any = {"classes": classes, "shape": shape, "mean": mean, "std": std}
        return wrap(module, taps=taps, gate_positions=gate_positions, **more)

    def channel_axis(self, path: str) -> int:
        """The axis of a module's output that holds its channels: 1, but for nets of others with channels last."""
        stage = self.net._modules.get(path.split(".")[0])
        return stage.channel_axes.get(path, 1) if isinstance(stage, Stage) else 1


class Classifier(_Wraps):
    """Logits of images in ``[0, 1]``, with access to what happens inside.

    ``net`` is a sequence of named stages, so that a computation may start in the middle. ``taps`` are module paths in
    ``net`` whose outputs detectors read; ``gate_positions`` names sets of module paths whose output channels may be
    gated. A module path is the dotted name that ``net.named_modules()`` gives.
    """

    def __init__(
        self,
        net: nn.Sequential,
        *,
        mean: Stats,
        std: Stats,
        taps: Sequence[str],
        gate_positions: Mapping[str, Sequence[str]],
        classes: int,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.net = net
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))
        self.taps = tuple(taps)
        self.gate_positions = {name: tuple(paths) for name, paths in gate_positions.items()}
        self.classes, self.shape = classes, shape
        #: Hash of the plug-in whose factory made the net, with all its modules; empty for our own.
        self.made_by = ""
        for path in {*self.taps, *(p for paths in self.gate_positions.values() for p in paths)}:
            self.module_at(path)

    def module_at(self, path: str) -> nn.Module:
        try:
            return self.net.get_submodule(path)
        except AttributeError:
            known = ", ".join(self.stages)
            raise UserError(f"The net has no module {path!r} to tap or gate; its stages are {known}.") from None

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in the order in which they run."""
        return tuple(self.net._modules)  # named_children leaves out a module that comes twice

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, classes)`` of images ``(N, C, H, W)`` in ``[0, 1]``."""
        return self.advance(images)

    def advance(self, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Run stages ``start`` up to ``stop``; ``x`` is images if ``start`` is 0, else the output of ``start - 1``."""
        if start == 0:
            x = (x - self.mean) / self.std
            if self.made_by:
                x = laid(x, layout(self))
        elif self.stages[start - 1] in self.overwritten:
            x = x.clone()  # it is the caller's, and may be read again
        for stage in list(self.net)[start:stop]:
            x = stage(x)
        return x

    def stage_of(self, path: str) -> int:
        """Index of the stage that holds the module ``path`` (`PENULTIMATE`: the last linear layer)."""
        if path == PENULTIMATE:
            path = next(name for name, module in self.net.named_modules() if module is self.head)
        return self.stages.index(path.split(".")[0])

    def observe(
        self,
        x: torch.Tensor,
        paths: Sequence[str] = (),
        gates: Mapping[str, torch.Tensor] | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Run like `advance`, multiply channels by ``gates`` (path -> ``(N or 1, channels)``), and return the last
        output with the (gated) outputs of the modules ``paths``, ``(N, channels, ...)``, which may include
        `PENULTIMATE`, ``(N, features)``. Differentiable in ``x`` and ``gates``."""
        seen: dict[str, torch.Tensor] = {}
        with _observed(self, paths, gates or {}, seen):
            out = self.advance(x, start, stop)
        return out, seen

    @cached_property
    def overwritten(self) -> frozenset[str]:
        return overwritten_in(self)

    @cached_property
    def head(self) -> nn.Linear:
        """The last linear layer, which maps penultimate features to logits."""
        return _last_linear(self.net, self.classes)

    def channels(self, paths: Sequence[str]) -> dict[str, int]:
        """Number of channels of each module's output."""
        blank = torch.zeros(1, *self.shape, device=self.mean.device, dtype=self.mean.dtype)
        with torch.no_grad(), evaluating(self):
            _, seen = self.observe(blank, paths)
        return {path: seen[path].shape[1] for path in paths}

    def gated_paths(self, position: str) -> tuple[str, ...]:
        if position not in self.gate_positions:
            raise UserError(
                f"The net has no gate position {position!r}; it has {', '.join(sorted(self.gate_positions)) or 'none'}."
            )
        return self.gate_positions[position]

    def content_hash(self) -> str:
        """sha256 over parameters, buffers and `unstated`: two classifiers with one hash compute the same function."""
        digest = hashlib.sha256(repr((self.taps, sorted(self.gate_positions.items()), str(self.net))).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(bytes_of(tensor))
        more = unstated(self)
        if self.made_by or more:
            digest.update(canonical([self.made_by, more]).encode())
        return digest.hexdigest()


def has_head(net: Classifier) -> bool:
    """Whether the logits come from a linear layer, so that there are penultimate features."""
    try:
        return isinstance(net.head, nn.Linear)
    except UserError:
        return False


def _last_linear(net: nn.Sequential, classes: int) -> nn.Linear:
    stage = net[-1]
    if isinstance(stage, Stage):
        return stage.last_linear()
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1:]
    if not last or last[0].out_features != classes:
        raise UserError(
            f"The net's last linear layer does not give its {classes} logits; "
            "a detector that reads penultimate features needs one that does."
        )
    return last[0]


def layout(net: Classifier, device: torch.device | None = None) -> torch.memory_format:
    """How images and activations lie in memory: as is `fastest` on the net's device, or ``device``, in our own nets.

    Nets of others get plain tensors, since ``x.view(len(x), -1)`` is valid on no others.
    """
    return torch.contiguous_format if net.made_by else fastest(device or net.mean.device)


def fastest(device: torch.device) -> torch.memory_format:
    """The layout of the fastest float32 convolutions: channels last on CPUs, by a third; plain tensors on GPUs.

    On an H200 without TF32, plain tensors give 1.02 to 1.35 times the forward passes and 1.07 to 1.11 times the
    gradients (ResNet-34 of width 64 and 16, wide7; batches of 250).
    """
    return torch.contiguous_format if device.type == "cuda" else torch.channels_last


def laid(x: torch.Tensor, format: torch.memory_format) -> torch.Tensor:
    """Images in a net's `layout`."""
    if format == torch.channels_last:
        return x.contiguous(memory_format=torch.channels_last)
    # Not `contiguous`: it keeps an image of one channel as it is, and a convolution takes that for channels last.
    return x.clone(memory_format=torch.contiguous_format)


@contextmanager
def _observed(
    model: Classifier, paths: Sequence[str], gates: Mapping[str, torch.Tensor], seen: dict[str, torch.Tensor]
) -> Iterator[None]:
    """Hooks that multiply channels by ``gates`` and put the outputs of ``paths`` into ``seen``, inside the block."""

    def hook_for(path: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            axis = model.channel_axis(path)
            if path in gates:
                output = output * per_channel(gates[path], output, axis)
            if path in wanted:
                seen[path] = output.clone() if path in overwritten else output
                if axis != 1:
                    seen[path] = seen[path].movedim(axis, 1)
            return output

        return hook

    def before_head(_module: nn.Module, inputs: Any) -> None:
        seen[PENULTIMATE] = inputs[0].flatten(1)

    wanted = set(paths)
    overwritten = model.overwritten if wanted else frozenset()
    modules = {path: model.module_at(path) for path in (wanted - {PENULTIMATE}) | gates.keys()}
    handles = [model.head.register_forward_pre_hook(before_head)] if PENULTIMATE in wanted else []
    handles += [module.register_forward_hook(hook_for(path)) for path, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def overwritten_in(model: Classifier) -> frozenset[str]:
    """Modules whose output a later one changes in place (``ReLU(inplace=True)``, ``x += y``), by one small pass."""
    outputs: list[tuple[str, torch.Tensor, int]] = []

    def hook_for(path: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                outputs.append((path, output, output._version))

        return hook

    with _without_hooks(model.net):
        for path, module in model.net.named_modules():
            if path:
                module.register_forward_hook(hook_for(path))
        # Tensors made under inference mode do not count their changes.
        with torch.inference_mode(False), torch.no_grad(), evaluating(model):
            model.advance(torch.zeros(2, *model.shape, device=model.mean.device, dtype=model.mean.dtype))
    return frozenset(path for path, output, version in outputs if output._version != version)


@contextmanager
def _without_hooks(net: nn.Module) -> Iterator[None]:
    """The net with none of its forward hooks, which would see a pass that nobody asked for; afterwards with all."""
    kept = [(module, module._forward_hooks, module._forward_pre_hooks) for module in net.modules()]
    for module, _, _ in kept:
        module._forward_hooks, module._forward_pre_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        for module, hooks, pre_hooks in kept:
            module._forward_hooks, module._forward_pre_hooks = hooks, pre_hooks


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (fixed BatchNorm, no dropout) inside the block, the earlier mode again after it."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def pool(activation: torch.Tensor) -> torch.Tensor:
    """Spatial mean of ``(N, C, ...)`` as ``(N, C)``; a matrix is unchanged (Lee et al. 2018, section 2.1)."""
    return activation.flatten(2).mean(2) if activation.ndim > 2 else activation


def per_channel(values: torch.Tensor, x: torch.Tensor, axis: int = 1) -> torch.Tensor:
    """``(channels,)`` or ``(N or 1, channels)`` reshaped to multiply ``x``, whose channels are its axis ``axis``."""
    return values.view(*values.shape[:-1], *(1,) * (axis - 1), values.shape[-1], *(1,) * (x.ndim - axis - 1))
