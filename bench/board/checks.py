"""Checks that an earlier call made: an entry whose file and scores are the same bytes is not examined again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..core.files import MOST_BYTES, read_bounded
from ..core.recall import recall, remember
from ..detection.scores import Found, Histogram
from ..harness.entry import Entry
from ..harness.scores import read_blob

NAME = "checks"

#: Of so many entries at most the outcome is remembered, those of the last call first.
MOST = 1000

E = TypeVar("E", bound=Entry)


class Checks:
    """The outcomes of checks that were passed, by what was checked; a refused entry is examined every time."""

    def __init__(self) -> None:
        known = recall(NAME)
        self._known: dict[str, Any] = known if isinstance(known, dict) else {}
        self._passed: dict[str, Any] = {}

    def measured(self, path: Path, root: Path, entry: E, examine: Callable[[Path, E], Any]) -> Any:
        """What ``examine(root, entry)`` gives for the entry in the file ``path``. UserError as from there."""
        if entry.scores is None:
            return examine(root, entry)
        key = f"{entry.home} {hashlib.sha256(read_bounded(path, MOST_BYTES)).hexdigest()}"
        if key in self._known:
            read_blob(root, entry)  # the scores are still where they were, and those that the entry names
            self._passed[key] = self._known[key]
            return _unpacked(self._known[key])
        outcome = examine(root, entry)
        self._passed[key] = _packed(outcome)
        return outcome

    def keep(self) -> None:
        """Remember these checks, in place of the oldest."""
        if not self._passed.keys() <= self._known.keys():
            remember(NAME, dict(islice((self._passed | self._known).items(), MOST)))


def _packed(outcome: Any) -> Any:
    """An outcome as JSON, which holds every figure exactly."""
    if not isinstance(outcome, Found):
        return outcome
    bars = {
        name: [each.low, each.high, each.negative.tolist(), each.positive.tolist()]
        for name, each in outcome.histograms.items()
    }
    return {"curves": {name: curve.tolist() for name, curve in outcome.curves.items()}, "histograms": bars}


def _unpacked(known: Any) -> Any:
    if not isinstance(known, dict):
        return known
    bars = {
        name: Histogram(low, high, np.array(negative), np.array(positive))
        for name, (low, high, negative, positive) in known["histograms"].items()
    }
    return Found({name: np.array(curve) for name, curve in known["curves"].items()}, bars)
