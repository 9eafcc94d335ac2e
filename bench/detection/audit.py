"""Checks of entries against the files beside them: figures against their scores, settings against the suite."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from ..core.errors import UserError
from ..harness.audit import Audit, Line, settings
from .cells import measure
from .compare import measuring
from .entry import Entry, replicates
from .scores import examine
from .suite import PROTOCOL, Pair, Statistics, Suite

#: Largest allowed gap between a recomputed figure and the stated one: float64 sums in a different order.
TOLERANCE = 1e-9

#: Fields of a cell that its scores cannot give: how many images fitted it, which candidate was chosen, and why.
_NOT_IN_SCORES = ("n_fit", "candidates", "remark")


__all__ = ["beside", "examine", "look", "look_beside"]


def beside(root: Path) -> list[Path]:
    """No files: comparisons are derived from entries."""
    return []


def look_beside(audit: Audit, suite: Suite | str) -> Iterator[Line]:
    yield from ()


def look(entry: Entry, scores: pd.DataFrame | None, root: Path, suite: Suite | str) -> Iterator[Line]:
    """Check the rows, figures and settings of one entry."""
    examine(root, entry)
    assert scores is not None  # `examine` rejects an entry without scores
    yield _rows(entry, scores)
    yield _figures(entry, scores)
    yield _suite_line(entry, suite)


# -- figures from scores ----------------------------------------------------------------------------------------------


def _rows(entry: Entry, scores: pd.DataFrame) -> Line:
    keys = ["gate", "split", "fit_on", "test_on", "kind", "image"]
    duplicates = int(scores.duplicated(keys).sum())
    if duplicates:
        return Line("images", "mismatch", f"{duplicates} rows score an image twice in the same place")
    count = entry.dataset.attacked_images
    outside = int(((scores["image"] < 0) | (scores["image"] >= count)).sum())
    if outside:
        return Line("images", "mismatch", f"{outside} rows are of images outside the {count} attacked")
    return Line("images", "match", f"no duplicates, all among the {count} attacked")


def _figures(entry: Entry, scores: pd.DataFrame) -> Line:
    """Check the metrics and intervals of all cells with the functions that a run uses."""
    attacks, stated = list(entry.attacks), entry.by_pair()
    missing = [pair for pair in product(attacks, attacks) if pair not in stated]
    if missing:
        return Line("figures", "mismatch", f"the cell {_arrow(missing[0])} is missing")
    cells, _ = measure(scores, _fits(entry, scores), attacks, measuring(entry))
    wrong: list[str] = []
    count = 0
    for cell in cells:
        pair = cell["fit_on"], cell["test_on"]
        for name, value in stated[pair].model_dump(exclude_unset=True).items():
            if name in _NOT_IN_SCORES or name not in cell:
                continue
            count += 1
            if not _same(value, cell[name]):
                wrong.append(f"{_arrow(pair)} states {name} {_shown(value)}, its scores give {_shown(cell[name])}")
    if wrong:
        return Line("figures", "mismatch", wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
    return Line("figures", "match", f"{count} figures of {len(cells)} cells, intervals included")


def _fits(entry: Entry, scores: pd.DataFrame) -> list[dict[str, Any]]:
    """The record of each fit, ordered by gate and split as in a run."""
    known = sorted({gate for gate, _ in replicates(scores)})
    splits = range(int(entry.protocol.get("splits", 1)))
    records = []
    for cell in entry.cells:
        if not cell.seen or not cell.n_fit:
            continue  # a cell that could not be run has no fits
        # Where nothing could be scored, the scores name no gates: any will do.
        gates = known or range(len(cell.n_fit) // max(1, len(splits)))
        expected = len(gates) * len(splits)
        if len(cell.n_fit) != expected or len(cell.candidates) != expected:
            raise UserError(
                f"The cell {_arrow((cell.fit_on, cell.test_on))} states {len(cell.n_fit)} fits, "
                f"but its protocol and scores give {expected}; run the suite again."
            )
        places = [(gate, split) for gate in gates for split in splits]
        for (gate, split), fitted, candidate in zip(places, cell.n_fit, cell.candidates, strict=True):
            records.append(
                {
                    "fit_on": cell.fit_on,
                    "gate": gate,
                    "split": split,
                    "n_fit": fitted,
                    "candidate": candidate,
                    "remark": "",
                }
            )
    return records


def _same(stated: Any, recomputed: Any) -> bool:
    if isinstance(stated, int | float) and isinstance(recomputed, int | float) and not isinstance(stated, bool):
        return math.isclose(stated, recomputed, rel_tol=0, abs_tol=TOLERANCE)
    return bool(stated == recomputed)


def _shown(value: Any) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _arrow(pair: Pair) -> str:
    return f"{pair[0]} -> {pair[1]}"


def _suite_line(entry: Entry, suite: Suite | str) -> Line:
    """Check that the entry's settings are those of the suite beside it."""
    if isinstance(suite, str):
        return Line("suite", "not checked", suite)
    try:
        protocol = PROTOCOL.validate_python(entry.protocol)
        statistics = Statistics(resamples=entry.statistics.resamples, level=entry.statistics.level)
    except ValidationError as error:
        return Line("suite", "mismatch", f"its protocol is not a known one ({error.errors()[0]['msg']})")
    detectors = {part.title: part.name for part in suite.detectors}
    known: dict[str, tuple[Any, Any]] = {
        "suite.name": (entry.suite.name, suite.name),
        "suite.limit": (entry.suite.limit, suite.limit),
        "seed": (entry.seed, suite.seed),
        "dataset.name": (entry.dataset.name, suite.dataset.title),
        "model.name": (entry.model.name, suite.model.name),
        "model.parameters": (entry.model.parameters, suite.model.parameters),
        "protocol": (protocol, next((p for p in suite.protocols if p.name == protocol.name), None)),
        "statistics": (statistics, suite.statistics.model_copy(update={"comparisons": []})),
        "attacks": (list(entry.attacks), [part.title for part in suite.attacks]),
        "detector.name": (entry.detector.name, detectors.get(entry.label)),
    }
    return settings(suite, known)
