"""Who leads a column and who cannot be told apart from it: the marks of Table 2, and a column of the cells' CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from .entry import Entry

HIGHEST, NOT_SEPARABLE = "highest", "not separable from the highest"

#: By suite, protocol, detector, and the two attacks of a cell; a cell that is neither is not in it.
Standings = Mapping[tuple[str, ...], str]


def standings(entries: Sequence[Entry], comparisons: Sequence[dict[str, Any]]) -> Standings:
    """What the comparisons that a run has written say of each cell.

    A column whose highest is another now has none: it was compared before another entry came, and no mark is better
    than a wrong one.
    """
    highest = _highest(entries)
    found: dict[tuple[str, ...], str] = {}
    for family in comparisons:
        head = family["suite"], family["protocol"]
        for best in family["best"]:
            pair = best["fit_on"], best["test_on"]
            if best["best"] in highest.get((*head, *pair), ()):
                found |= {(*head, label, *pair): NOT_SEPARABLE for label in best["not_separable"]}
                found[(*head, best["best"], *pair)] = HIGHEST
    return found


def with_standing(frame: pd.DataFrame, found: Standings) -> pd.DataFrame:
    """The frame of cells with a column that says how each stands; empty where it is neither, or was not compared."""
    places = zip(*(frame[name] for name in ("suite", "protocol", "detector", "fit_on", "test_on")), strict=True)
    return frame.assign(standing=[found.get(place, "") for place in places])


def _highest(entries: Sequence[Entry]) -> dict[tuple[str, ...], set[str]]:
    """The labels with the highest AUROC by suite, protocol and cell."""
    values: dict[tuple[str, ...], dict[str, float]] = {}
    for entry in entries:
        for cell in entry.cells:
            if cell.auroc is not None:
                key = entry.suite.name, entry.protocol_name, *cell.pair
                values.setdefault(key, {})[entry.label] = cell.auroc
    return {key: {label for label, value in of.items() if value == max(of.values())} for key, of in values.items()}
