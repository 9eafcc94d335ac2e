"""One pass of two images through a net of anybody's, as a record of what each of its modules gave."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from .classifier import evaluating
from .flow import Facts, Flow, Record, key_of
from .trace import around_modules


class Output(NamedTuple):
    """What a module gave at the end of its (last) call.

    ``entered``: the number of positions of its first argument; ``tensor``, ``version``: which tensor it gave, and how
    often that had been written; ``leaf``: it holds no others; ``moving``: of floating point.
    """

    path: str
    kind: type[nn.Module]
    shape: tuple[int, ...]
    facts: Facts | None
    entered: int
    tensor: Any
    version: int
    leaf: bool
    moving: bool

    @property
    def axis(self) -> int:
        """The axis of the channels; where it is not known, the second of a map and the last of anything else."""
        if self.facts is not None:
            return self.facts.axis
        return 1 if len(self.shape) in (2, 4) else max(0, len(self.shape) - 1)

    @property
    def positions(self) -> int:
        return positions(self.shape, self.axis)


def positions(shape: tuple[int, ...], axis: int) -> int:
    """The number of positions of a map (pixels) or of tokens, 0 for a vector: both forms of one stage have as many."""
    sizes = [size for dim, size in enumerate(shape) if dim not in (0, axis)]
    return math.prod(sizes) if len(shape) > 2 else 0


@dataclass
class Probe:
    """``outputs``: the modules that gave a tensor, in the order in which they ended; ``calls``: how often each ran;
    ``others``: what those gave that gave none; ``result``: what the net itself gave."""

    outputs: list[Output] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    record: Record = field(default_factory=Record)
    result: Any = None

    def at(self, path: str) -> Output | None:
        return next((output for output in reversed(self.outputs) if output.path == path), None)

    def once(self) -> list[Output]:
        return [output for output in self.outputs if self.calls[output.path] == 1]


def probe(net: nn.Module, images: torch.Tensor) -> Probe:
    """One pass in evaluation mode and without gradients; the net is left as it was, and what it raises is raised."""
    seen, running = Probe(), [""]
    flow = Flow(images, running)
    with _watched(net, seen, flow, running), evaluating(net), torch.inference_mode(False), torch.no_grad(), flow:
        seen.result = net(images)
    seen.record = flow.record
    return seen


@contextmanager
def _watched(net: nn.Module, seen: Probe, flow: Flow, running: list[str]) -> Iterator[None]:
    entered: dict[str, int] = {}

    def begin(path: str) -> Any:
        def hook(_module: nn.Module, inputs: Any) -> None:
            running.append(path)
            first = next((x for x in inputs if isinstance(x, torch.Tensor)), None)
            facts = flow.record.of(first)
            entered[path] = 0 if first is None or facts is None else positions(tuple(first.shape), facts.axis)

        return hook

    def end(path: str) -> Any:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            running.pop()
            seen.calls[path] = seen.calls.get(path, 0) + 1
            if not isinstance(output, torch.Tensor):
                seen.others[path] = "None" if output is None else f"a {type(output).__name__}"
                return
            seen.outputs.append(
                Output(
                    path=path,
                    kind=type(module),
                    shape=tuple(output.shape),
                    facts=flow.record.of(output),
                    entered=entered[path],
                    tensor=key_of(output),
                    version=output._version,
                    leaf=not any(True for _ in module.children()),
                    moving=output.is_floating_point(),
                )
            )

        return hook

    with around_modules(net, begin, end):
        yield
