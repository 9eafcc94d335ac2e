"""Counts the images that pass forward and backward through a classifier, whoever makes the passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .classifier import Classifier


class Passes:
    """Images forward and backward. A pass through some of the stages counts; its beginning and its rest are one."""

    def __init__(self, stages: int) -> None:
        self._through = [0.0] * stages
        self.backward = 0
        self._reached = -1

    def __deepcopy__(self, _memo: Any) -> Passes:
        return self  # the passes of a detector's copy of the net count too

    @property
    def forward(self) -> float:
        return max(self._through, default=0)

    def forth(self, stage: int, images: float) -> None:
        self._through[stage] += images

    def back(self, stage: int, images: int) -> None:
        """A gradient arrives at the output of a stage; it goes from later stages to earlier ones, or is another."""
        if stage >= self._reached:
            self.backward += images
        self._reached = stage


class _Stage:
    """A forward hook on a stage, which can be copied and pickled with its net."""

    def __init__(self, passes: Passes, place: int, times: int) -> None:
        self._passes, self._place, self._times = passes, place, times

    def __call__(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        if not isinstance(output, torch.Tensor) or not output.ndim:
            return
        self._passes.forth(self._place, len(output) / self._times)
        if output.requires_grad:
            output.register_hook(self._gradient)  # type: ignore[no-untyped-call]

    def _gradient(self, gradient: torch.Tensor) -> None:
        self._passes.back(self._place, len(gradient))


@contextmanager
def counted(classifier: Classifier) -> Iterator[Passes]:
    """Count what the body passes through the classifier. Hooks are on its stages meanwhile, and gone afterwards."""
    stages = list(classifier.net)
    times = Counter(map(id, stages))  # a stage that stands twice in the net runs twice a pass
    passes = Passes(len(stages))
    places = {id(stage): place for place, stage in enumerate(stages)}
    hooks = [
        stages[place].register_forward_hook(_Stage(passes, place, times[key])) for key, place in sorted(places.items())
    ]
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()
