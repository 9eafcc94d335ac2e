"""One traced pass through a net: the calls and outputs of its modules, and the activations that they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from .classifier import evaluating

# -- the record of one pass --------------------------------------------------------------------------------------------


class Output(NamedTuple):
    path: str
    shape: tuple[int, ...]
    kind: type[nn.Module]


@dataclass
class Sketch:
    """``outputs``: in the order in which modules end; ``calls``: their number per module; ``functional``: modules that
    compute a ReLU (torch.relu, F.relu, Tensor.relu, in place or not; ``clamp(min=0)`` is not recognised) but are not an
    `nn.ReLU`, the net itself being ``""``; ``others``: modules that compute another activation with a linear part, and
    its name; ``cells``: the count of numbers that all leaves output for one image."""

    outputs: list[Output] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    functional: list[str] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)
    cells: int = 0


OTHERS = (
    "silu",
    "gelu",
    "leaky_relu",
    "hardtanh",
    "elu",
    "hardswish",
    "mish",
    "softplus",
    "_prelu_kernel",
    "rrelu",
    "rrelu_with_noise",
    "threshold",
)


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
            self._sketch.others.setdefault(
                path, type(module).__name__ if path and not list(module.children()) else name.strip("_")
            )
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

    with around_modules(net, begin, end):
        yield


@contextmanager
def around_modules(net: nn.Module, begin: Callable[[str], Any], end: Callable[[str], Any]) -> Iterator[None]:
    """Hooks before and behind every module inside the net, made of its path, while the body runs."""
    handles = []
    for path, module in net.named_modules():
        if path:
            handles += [module.register_forward_pre_hook(begin(path)), module.register_forward_hook(end(path))]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
