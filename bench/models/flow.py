"""What flows through a net in one pass: which axis holds a tensor's channels, and which layer they come from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .axes import SHAPING, VIEWS, axis_after, removed

#: Operations with weights. With two tensors that both come from the images (attention) they are none.
CONVOLVING = ("convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution", "convolution_overrideable")
LINEAR = ("addmm", "mm", "linear", "bmm", "baddbmm", "matmul", "_addmm_activation", "addmv", "mv", "mkldnn_linear")
FUSED = ("_native_multi_head_attention", "_transformer_encoder_layer_fwd")

#: Operations after which a channel no longer comes from one channel of the layer before.
MIXING = ("_softmax", "_log_softmax", "native_layer_norm", "_fused_rms_norm", "cumsum", "roll", "sort", "flip")
BATCH_NORMS = ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "batch_norm")
NORMALISING = (*BATCH_NORMS, "cudnn_batch_norm", "_batch_norm_with_update", "native_group_norm", "group_norm")
#: Operations that leave a linear function linear.
STRAIGHT = ("add", "sub", "rsub", "mul", "div", "neg", "clone", "_to_copy", "copy", "native_dropout", "detach", "alias")
PARTING = ("split", "split_with_sizes", "chunk", "slice", "narrow")
REDUCING = ("mean", "sum", "amax", "amin", "max", "logsumexp", "var", "linalg_vector_norm", "norm")
ADAPTIVE = ("adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d")
POOLING = (*ADAPTIVE, "avg_pool2d", "max_pool2d", "max_pool2d_with_indices")

#: How a layer's channels were changed since: not at all, normalised, or by a nonlinear function.
PLAIN, NORMALISED, BENT = 0, 1, 2


class Facts(NamedTuple):
    """Of a tensor that comes from the images. ``layers``: the layers it comes from, without another in between;
    ``unit``: the one layer whose channels these are, each changed on its own alone, and ``change`` how; ``pooled``:
    from nothing but means over all positions; ``parted``: the axis is a part of the channels, those of one head;
    ``by``: the operation that made its values."""

    axis: int
    layers: frozenset[int] = frozenset()
    unit: int | None = None
    change: int = PLAIN
    pooled: bool = False
    parted: bool = False
    by: str = ""


class Layer(NamedTuple):
    """One call of a convolution or a linear map; ``path``: the module that ran it."""

    path: str
    convolves: bool
    pooled: bool


@dataclass
class Record:
    """What was seen: facts by tensor, the layers in order, and those whose output another layer read.

    ``sources``: of what tensors a tensor of a unit was made; ``spent``: those that anything outside the unit read.
    """

    layers: list[Layer] = field(default_factory=list)
    read: set[int] = field(default_factory=set)
    facts: dict[Any, Facts] = field(default_factory=dict)
    sources: dict[Any, set[Any]] = field(default_factory=dict)
    spent: set[Any] = field(default_factory=set)

    def of(self, tensor: Any) -> Facts | None:
        return self.facts.get(key_of(tensor)) if isinstance(tensor, torch.Tensor) else None

    @property
    def ends(self) -> set[int]:
        """The layers that no other reads: those that give the logits."""
        return set(range(len(self.layers))) - self.read

    def forked(self, tensor: Any) -> bool:
        """Whether anything before this tensor, in its unit, was read by others too: a gate here would miss those."""
        seen, waiting = {tensor}, [tensor]
        while waiting:
            for source in self.sources.get(waiting.pop(), set()) - seen:
                if source in self.spent:
                    return True
                seen.add(source)
                waiting.append(source)
        return False


def key_of(tensor: torch.Tensor) -> Any:
    # Not the object: what autograd hands on is another one. Memory is not used again while all tensors are kept.
    return tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


class Flow(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches every operation of a pass; ``running`` holds the paths of the modules that are in theirs."""

    def __init__(self, images: torch.Tensor, running: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.record, self._running = Record(), running
        self._kept: list[torch.Tensor] = []
        self._written: dict[int, Facts] = {}  # by memory: a part of it was written in place
        self._note(images, Facts(axis=1))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = list(_tensors((args, list(kwargs.values()))))
        known = [(tensor, facts) for tensor in given if (facts := self._of(tensor)) is not None]
        out = func(*args, **kwargs)
        if known:
            call = _Call(func.overloadpacket.__name__, args, kwargs)
            plain = [tensor for tensor in given if self._of(tensor) is None and tensor.is_floating_point()]
            results = list(_tensors([out]))[: None if call.name in SHAPING else 1]  # else: statistics, indices
            for result in results:
                facts = self._after(call, known, plain, result)
                for tensor, before in known:
                    self._follow(tensor, before, result, facts)
                self._note(result, facts)
                if call.writes:
                    self._written[result.untyped_storage().data_ptr()] = facts
        return out

    def _of(self, tensor: torch.Tensor) -> Facts | None:
        facts = self.record.of(tensor)
        return self._written.get(tensor.untyped_storage().data_ptr()) if facts is None else facts

    def _note(self, tensor: torch.Tensor, facts: Facts) -> None:
        self._kept.append(tensor)
        self.record.facts[key_of(tensor)] = facts

    def _follow(self, tensor: torch.Tensor, before: Facts, result: torch.Tensor, facts: Facts) -> None:
        if before.unit is None:
            return
        if before.unit == facts.unit:
            self.record.sources.setdefault(key_of(result), set()).add(key_of(tensor))
        else:
            self.record.spent.add(key_of(tensor))

    def _after(
        self, call: _Call, known: list[tuple[torch.Tensor, Facts]], plain: list[torch.Tensor], out: torch.Tensor
    ) -> Facts:
        convolves = call.name in CONVOLVING
        if (convolves or call.name in (*LINEAR, *FUSED)) and any(tensor.ndim >= 2 for tensor in plain):
            return self._layer(known, out, convolves)
        axis = next((a for t, f in known if (a := axis_after(call, t.shape, f.axis, out.shape)) is not None), None)
        if axis is None:
            axis = 1 if out.ndim in (2, 4) else max(0, out.ndim - 1)
        layers = frozenset[int]().union(*(facts.layers for _, facts in known))
        unit, change = _unit(call, known, out, axis)
        pooled = all(facts.pooled for _, facts in known) or _pools(call, known[0], out)
        by = known[0][1].by if call.name in SHAPING or call.name in ("clone", "_to_copy", "copy") else call.name
        first, facts = known[0]
        parted = any(facts.parted for _, facts in known)
        if call.name in VIEWS and out.ndim > axis and out.shape[axis] != first.shape[facts.axis]:
            parted = out.shape[axis] < first.shape[facts.axis]
        return Facts(axis, layers, unit, change, pooled, parted, by)

    def _layer(self, known: list[tuple[torch.Tensor, Facts]], out: torch.Tensor, convolves: bool) -> Facts:
        pooled = all(facts.pooled for _, facts in known)
        self.record.read.update(*(facts.layers for _, facts in known))
        index = len(self.record.layers)
        self.record.layers.append(Layer(self._running[-1], convolves, pooled))
        axis = out.ndim - 1 if not convolves else max(0, min(1, out.ndim - 1))
        return Facts(axis, frozenset([index]), index, PLAIN, pooled, False, "convolution" if convolves else "linear")


class _Call:
    """One operation: its name, without the underscore of one that writes in place, and its arguments."""

    def __init__(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.name, self.writes = name.removesuffix("_"), name.endswith("_")
        self.args, self.kwargs = args, kwargs


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    for item in tree:
        if isinstance(item, torch.Tensor):
            yield item
        elif isinstance(item, tuple | list):
            yield from _tensors(item)


def _unit(call: _Call, known: list[tuple[torch.Tensor, Facts]], out: torch.Tensor, axis: int) -> tuple[int | None, int]:
    """The layer whose channels still are those of ``out``, if there is one, and how they were changed."""
    units = {facts.unit for _, facts in known}
    first, facts = known[0]
    same = out.ndim > axis and first.shape[facts.axis] == out.shape[axis]
    mixes = call.name in MIXING or "attention" in call.name
    if len(units) > 1 or None in units or mixes or not (same or call.name in PARTING):
        return None, PLAIN
    if call.name not in SHAPING and first.shape != out.shape:
        return None, PLAIN
    change = max(facts.change for _, facts in known)
    if call.name in NORMALISING:
        return facts.unit, max(change, NORMALISED)
    return facts.unit, change if call.name in SHAPING or call.name in STRAIGHT else BENT


def _pools(call: _Call, known: tuple[torch.Tensor, Facts], out: torch.Tensor) -> bool:
    """Whether all positions of a map or of tokens become one."""
    tensor, facts = known
    places = [dim for dim in range(1, tensor.ndim) if dim != facts.axis]
    if not places:
        return False
    if call.name in REDUCING:
        return set(places) <= set(removed(call, tensor.ndim))
    before = math.prod(tensor.shape[dim] for dim in places)
    after = out.numel() // max(1, out.shape[0] * out.shape[facts.axis]) if out.ndim == tensor.ndim else 0
    return after == 1 and call.name in POOLING and (before > 1 or call.name in ADAPTIVE)
