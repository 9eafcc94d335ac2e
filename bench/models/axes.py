"""Where an axis of a tensor lies after one of torch's operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

#: Operations that rearrange a tensor and change none of its values.
VIEWS = ("view", "_unsafe_view", "reshape", "_reshape_alias", "unflatten", "flatten", "_reshape_copy", "view_copy")
TURNS = ("permute", "transpose", "t", "unsqueeze", "squeeze", "select", "unbind", "expand", "slice", "split")
KEEPS = ("split_with_sizes", "chunk", "contiguous", "detach", "alias", "as_strided", "lift_fresh", "narrow")
SHAPING = (*VIEWS, *TURNS, *KEEPS)


class Call(Protocol):
    name: str
    args: Sequence[Any]
    kwargs: dict[str, Any]


def axis_after(call: Call, before: Sequence[int], axis: int, after: Sequence[int]) -> int | None:
    """The axis of the result, of shape ``after``, that was ``axis`` of shape ``before``; None where it is gone."""
    name, rank = call.name, len(before)
    if name in VIEWS:
        return _through_view(before, axis, after)
    if name == "permute":
        order: list[int] = [dim % rank for dim in call.args[1]]
        return order.index(axis)
    if name in ("transpose", "t"):
        one, other = (dim % rank for dim in call.args[1:3]) if name == "transpose" else (0, rank - 1)
        return {one: other, other: one}.get(axis, axis)
    if name == "unsqueeze":
        dim: int = call.args[1] % (rank + 1)
        return axis + (dim <= axis)
    if name in ("select", "unbind"):
        gone = [(call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)) % rank]
        return _without(gone, axis)
    if name == "squeeze":
        dims = [dim for dim in removed(call, rank) if before[dim] == 1]
        return _without(dims, axis)
    if len(after) == rank:
        return axis
    if len(after) < rank:
        return _without(removed(call, rank), axis) if len(call.args) > 1 else None
    return axis + len(after) - rank


def removed(call: Call, rank: int) -> list[int]:
    """The axes that an operation with the argument ``dim`` reduces: all of them where it names none."""
    dims = call.args[1] if len(call.args) > 1 else call.kwargs.get("dim")
    if isinstance(dims, bool) or dims is None:
        return list(range(rank))
    dims = dims if isinstance(dims, list | tuple) else [dims]
    whole = all(isinstance(dim, int) for dim in dims)
    return [dim % rank for dim in dims] if whole and dims and rank else list(range(rank))


def _without(gone: Sequence[int], axis: int) -> int | None:
    return None if axis in gone else axis - sum(dim < axis for dim in gone)


def _through_view(before: Sequence[int], axis: int, after: Sequence[int]) -> int | None:
    """The axis of the new shape that holds the old one. Of an axis that is split, the last part: the heads of an
    attention come before the channels of each. None where it is merged with the images."""
    begins = math.prod(before[:axis])
    edges = [math.prod(after[:j]) for j in range(len(after) + 1)]
    whole = [j for j, size in enumerate(after) if size == before[axis] and edges[j] == begins]
    parts = [j for j in range(len(after)) if begins <= edges[j] and edges[j + 1] <= begins * before[axis]]
    around = [j for j in range(len(after)) if edges[j] <= begins < edges[j + 1]]
    chosen = whole[:1] or [j for j in parts if after[j] > 1][-1:] or around[:1]
    return chosen[0] if chosen and (chosen[0] > 0 or axis == 0) else None
