"""A device that is not the CPU, without a second processor: what lies on it answers as on a GPU, and is computed here.

Its tensors say that they are on `DEVICE`; an operation that is given one of them beside a tensor of the CPU fails as it
would on a GPU, and so does ``numpy()``. This finds every tensor that was left behind on one side. It says nothing about
a GPU's arithmetic, memory or speed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

#: The one kind of device besides the CPU that autograd accepts where nothing of it is installed.
DEVICE = torch.device("lazy:0")

#: Operations that take tensors of both sides: the moves, and those with an index, which a GPU takes from the CPU.
MOVES = ("_to_copy", "copy_")
INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_")


class Elsewhere(torch.Tensor):
    """A tensor on `DEVICE`, around one on the CPU."""

    __module__ = "torch"  # by which libraries tell whose tensor it is
    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> Elsewhere:
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            layout=here.layout,
            device=DEVICE,
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.detach().cpu().tolist()


class Simulated(TorchDispatchMode):
    """Inside it, tensors can be made on `DEVICE` and moved there."""

    _mode_key = torch._C._TorchDispatchModeKey.FAKE  # torch starts no device under this key

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation, done on the CPU; its results lie where the given tensors do, or where ``device`` says."""
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in given if isinstance(tensor, Elsewhere)]
    name = func.overloadpacket.__name__
    strangers = [t for t in given if not isinstance(t, Elsewhere) and t.ndim > 0]  # a number goes with both
    if there and strangers and name not in (*MOVES, *INDEXED):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found {DEVICE} and cpu")
    device = kwargs.get("device")
    onto = bool(there)
    if device is not None:
        onto, kwargs = torch.device(device).type == DEVICE.type, {**kwargs, "device": torch.device("cpu")}
    elif name == "copy_":
        onto = isinstance(args[0], Elsewhere)
    with _disable_current_modes():
        result = func(*tree_map(_here, args), **tree_map(_here, kwargs))
    same = {id(_here(tensor)): tensor for tensor in given}  # an operation in place gives its own tensor back

    def placed(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return same.get(id(value), Elsewhere(value) if onto else value)

    return tree_map(placed, result)


def _here(value: Any) -> Any:
    return value.here if isinstance(value, Elsewhere) else value


@contextmanager
def simulated() -> Iterator[torch.device]:
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # ``torch.tensor(numbers, device=...)`` makes it here and moves it
    try:
        with Simulated():
            yield DEVICE
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)


def tried() -> None:
    """A pass and a gradient there. It rests on torch's inner parts: with another version it may fail, or abort."""
    with simulated():
        net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU()).to(DEVICE)
        x = torch.ones(2, 1, 4, 4).to(DEVICE).requires_grad_()
        net(x).sum().backward()
        assert x.grad is not None
        assert x.grad.device == torch.tensor([1.0], device=DEVICE).device == DEVICE


if __name__ == "__main__":
    tried()
