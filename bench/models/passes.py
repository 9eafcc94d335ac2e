"""Counts the images that pass forward and backward through a classifier, whoever makes the passes.

The only count that there is: costs of detectors, attacks and arms are all differences of it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from .classifier import Classifier


class Passes:
    """Images forward and backward since the count began, in passes through the net.

    A pass through some of the stages counts as one; its beginning and its rest are one too, however often the rest is
    run again: the count is that of the busiest stage. The same holds backward, so that a gradient of a gradient is
    another pass.
    """

    def __init__(self, ledger: _Ledger) -> None:
        self._ledger, self._before = ledger, ledger.state()

    @property
    def forward(self) -> float:
        return self._busiest(0)

    @property
    def backward(self) -> float:
        return self._busiest(1)

    def _busiest(self, way: int) -> float:
        pairs = zip(self._ledger.state()[way], self._before[way], strict=True)
        return round(max((now - before for now, before in pairs), default=0.0), 6)


class _Ledger:
    """What ever passed through each stage of a net and of the copies that were made of it while it was counted."""

    def __init__(self, stages: int) -> None:
        self.forth, self.back = [0.0] * stages, [0.0] * stages
        self.counts = 0  # how many counts are under way

    def state(self) -> tuple[list[float], list[float]]:
        return list(self.forth), list(self.back)

    def __deepcopy__(self, _memo: Any) -> _Ledger:
        return self  # the passes of a detector's copy of the net count too


#: By net, so that a copy that was made in one count is still counted in the next.
_LEDGERS: WeakKeyDictionary[Classifier, _Ledger] = WeakKeyDictionary()


class _Stage:
    """A forward hook on a stage, which can be copied and pickled with its net."""

    def __init__(self, ledger: _Ledger, place: int, times: int) -> None:
        self._ledger, self._place, self._times = ledger, place, times

    def __call__(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if not self._ledger.counts or not isinstance(output, torch.Tensor) or not output.ndim:
            return
        self._ledger.forth[self._place] += len(output) / self._times
        if output.requires_grad:
            output.register_hook(self._gradient)  # type: ignore[no-untyped-call]

    def _gradient(self, gradient: torch.Tensor) -> None:
        self._ledger.back[self._place] += len(gradient) / self._times


@contextmanager
def counted(classifier: Classifier) -> Iterator[Passes]:
    """Count what the body passes through the classifier, and through copies of it that were made in a count.

    Hooks are on the net's stages meanwhile, and gone afterwards; on copies they stay, and count nothing outside. Counts
    may lie within each other: each is of its own body.
    """
    stages = list(classifier.net)
    ledger = _LEDGERS.get(classifier)
    if ledger is None or len(ledger.forth) != len(stages):
        ledger = _LEDGERS[classifier] = _Ledger(len(stages))
    hooks = [] if ledger.counts else _hooked(stages, ledger)
    ledger.counts += 1
    try:
        yield Passes(ledger)
    finally:
        ledger.counts -= 1
        for hook in hooks:
            hook.remove()


def _hooked(stages: list[nn.Module], ledger: _Ledger) -> list[Any]:
    times = Counter(map(id, stages))  # a stage that stands twice in the net runs twice a pass
    places = {id(stage): place for place, stage in enumerate(stages)}
    of_copy = [hook for stage in stages for hook in stage._forward_hooks.values() if isinstance(hook, _Stage)]
    if of_copy:  # the net is itself a copy that was made in a count: it has its own count now
        uncounted(nn.ModuleList(stages))
    return [
        stages[place].register_forward_hook(_Stage(ledger, place, times[key])) for key, place in sorted(places.items())
    ]


def uncounted(net: nn.Module) -> None:
    """Take the count's hooks off a copy of a net, whose owner tells of its passes by `told`."""
    for module in net.modules():
        hooks = module._forward_hooks
        if any(isinstance(hook, _Stage) for hook in hooks.values()):
            module._forward_hooks = OrderedDict(
                (key, hook) for key, hook in hooks.items() if not isinstance(hook, _Stage)
            )


def told(classifier: Classifier, images: int, stage: int = 0) -> None:
    """Count images that went forward by other means than the net's modules: a cut subnet's, or another net's."""
    ledger = _LEDGERS.get(classifier)
    if ledger is not None and ledger.counts and stage < len(ledger.forth):
        ledger.forth[stage] += images
