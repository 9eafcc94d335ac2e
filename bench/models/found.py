"""Taps and gates of a net of anybody's, chosen from the record of one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from torch import nn

from .flow import BENT, PLAIN, Layer
from .probe import Output, Probe

T = TypeVar("T")

#: How many taps a net gets whose blocks all have the same shape, such as a transformer.
DEPTHS = 4

#: Containers, whose class says nothing about what they compute.
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def taps_of(seen: Probe) -> list[str]:
    """One tap for each resolution; of a net of equal blocks, blocks at four depths; of an MLP, its hidden layers."""
    maps = [output for output in seen.once() if _taps(output, seen)]
    stages = _stages(maps, seen)
    blocks = _equal_blocks(maps)
    if blocks and (len(blocks[0].shape) == 3 or len(stages) == 1):
        last = maps.index(blocks[-1])
        after = [stage for stage in stages if stage.positions != blocks[0].positions and maps.index(stage) > last]
        return [output.path for output in [*_spread(blocks), *after]]
    if stages:
        return [stage.path for stage in stages]
    return _spread([output.path for output in _units(seen) if len(output.shape) == 2])


def gates_of(seen: Probe) -> dict[str, list[str]]:
    """``units``: the ends of convolutions and of hidden layers of MLPs at every position; ``late``: the later half."""
    units = [output for output in _units(seen) if len(output.shape) > 2] or _units(seen)
    paths = [output.path for output in units]
    return {"units": paths, "late": paths[len(paths) // 2 :]} if paths else {}


# -- taps --------------------------------------------------------------------------------------------------------------


def _taps(output: Output, seen: Probe) -> bool:
    """Whether a module's output is a map of features, or tokens: not pixels, one pooled vector or the logits."""
    facts = output.facts
    if facts is None or not facts.layers or facts.pooled or facts.parted or not output.moving:
        return False
    return len(output.shape) > 2 and output.shape[0] == 2 and not facts.layers & seen.record.ends


def _stages(maps: Sequence[Output], seen: Probe) -> list[Output]:
    """The last module at each resolution, in order.

    What lies in a module that leaves the resolution, such as the first convolution of a block of stride 2, belongs to
    that block and not to the stage before.
    """
    leaving = _leaving(seen)
    best: dict[int, tuple[int, Output]] = {}
    for output in maps:
        here = output.positions
        left = sum(here in leaving.get(path, ()) for path in _parents(output.path))
        known = best.get(here)
        if known is None or left < known[0] or (left == known[0] and _gave(output) != _gave(known[1])):
            best[here] = (left, output)
    chosen = {output.path for _, output in best.values()}
    return _outermost([output for output in maps if output.path in chosen], maps)


def _outermost(stages: Sequence[Output], maps: Sequence[Output]) -> list[Output]:
    """The same stages by the shortest names: the outermost modules that give these tensors and hold no other stage."""
    inside = {parent for stage in stages for parent in _parents(stage.path)}
    holds_several = {path for path in inside if sum(stage.path.startswith(f"{path}.") for stage in stages) > 1}

    def outer(stage: Output) -> Output:
        alike = [output for output in maps if _gave(output) == _gave(stage) and output.path not in holds_several]
        return min(alike, key=lambda output: output.path.count("."))

    return [outer(stage) for stage in stages]


def _leaving(seen: Probe) -> dict[str, set[int]]:
    """By module, the resolution that it leaves: that of its input, unless it holds whole blocks of that resolution."""
    layers: dict[str, int] = {}
    for layer in seen.record.layers:
        for path in (layer.path, *_parents(layer.path)):
            layers[path] = layers.get(path, 0) + (not layer.pooled)
    held: dict[str, set[int]] = {}
    for output in seen.outputs:
        if output.entered == output.positions and layers.get(output.path, 0) > 1:
            for path in _parents(output.path):
                held.setdefault(path, set()).add(output.entered)
    return {
        output.path: {output.entered} - held.get(output.path, set())
        for output in seen.outputs
        if output.entered != output.positions
    }


def _gave(output: Output) -> tuple[object, int]:
    return output.tensor, output.version


def _parents(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def _equal_blocks(maps: Sequence[Output]) -> list[Output]:
    """The largest group of modules of one class beside each other, if all modules of that class give one shape."""
    groups: dict[tuple[str, type], list[Output]] = {}
    for output in maps:
        if not output.leaf and output.kind not in CONTAINERS:
            groups.setdefault((output.path.rpartition(".")[0], output.kind), []).append(output)
    shapes: dict[type, set[tuple[int, ...]]] = {}
    for output in maps:
        shapes.setdefault(output.kind, set()).add(output.shape)
    equal = [group for (_, kind), group in groups.items() if len(group) > 1 and len(shapes[kind]) == 1]
    return max(equal, key=lambda group: (len(group), -group[0].path.count(".")), default=[])


def _spread(items: Sequence[T]) -> list[T]:
    """At most `DEPTHS` of the items, evenly, with the last."""
    count = min(DEPTHS, len(items))
    return [items[len(items) * (i + 1) // count - 1] for i in range(count)]


# -- gates -------------------------------------------------------------------------------------------------------------


def _units(seen: Probe) -> list[Output]:
    """Where each layer's channels may be gated: behind its normalisation and activation, as far as modules show them.

    No unit are the layers that give the logits, those behind a global pool (squeeze-and-excitation), maps of one
    channel (spatial attention) and linear maps without an activation (queries, keys and values, projections). Where
    hidden layers of MLPs count, so do convolutions only with one: a patch embedding has none.
    """
    ends = [output for output in _ends(seen) if output.shape[output.axis] > 1]
    linear = [end for end in ends if not _layer(end, seen).convolves and _change(end) == BENT]
    everywhere = any(len(end.shape) > 2 and end.axis > 1 and _change(end) == BENT for end in ends)
    convolutions = [end for end in ends if _layer(end, seen).convolves and (not everywhere or _change(end) > PLAIN)]
    if not convolutions and not everywhere:
        return linear
    wide = [end for end in linear if len(end.shape) > 2]
    return [end for end in ends if end in convolutions or end in wide]


def _ends(seen: Probe) -> list[Output]:
    """The last module that gives a layer's channels, one for each layer, in the order in which the layers ran."""
    last: dict[int, Output] = {}
    for output in seen.once():
        unit = output.facts.unit if output.facts is not None else None
        if unit is None or output.shape[0] != 2 or seen.calls.get(seen.record.layers[unit].path) != 1:
            continue
        if seen.record.forked(output.tensor):
            continue
        if unit not in last or _gave(output) != _gave(last[unit]):
            last[unit] = output
    usable = set(range(len(seen.record.layers))) - seen.record.ends
    return [last[unit] for unit in sorted(last) if unit in usable and not seen.record.layers[unit].pooled]


def _layer(end: Output, seen: Probe) -> Layer:
    assert end.facts is not None
    assert end.facts.unit is not None
    return seen.record.layers[end.facts.unit]


def _change(end: Output) -> int:
    return end.facts.change if end.facts is not None else PLAIN
