"""Checks of adaptive entries: every figure is computed again from the outcome of every image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import UserError
from ..harness.audit import Audit, Line, settings
from ..harness.scores import read_frame
from .entry import CALIBRATION, CLEAN, STATIC, TRANSFER, Entry, budget
from .figures import all_figures, lowest, tried_by
from .monotony import falls
from .suite import Suite

TOLERANCE = 1e-9

#: Figures of a cell that follow from the rows.
CELL = (
    *("images", "accepted", "fooled", "transferred"),
    *(f"{name}{end}" for name in ("robust", "accuracy", "auroc") for end in ("", "_low", "_high")),
)
STATIC_FIGURES = ("fooled", "auroc", "low", "high", "difference", "difference_low", "difference_high")


def examine(root: Path, entry: Entry) -> int | None:
    """The number of attacked images, None without cells. UserError if the rows give other figures than stated."""
    if not entry.cells:
        return None
    for line in _figures(entry, entry.unpacked(read_frame(root, entry))):
        if line.verdict == "mismatch":
            raise UserError(f"The entry {entry.file} is not what its rows give: {line.detail}; run its suite again.")
    return entry.cells[0].images


def look(entry: Entry, scores: pd.DataFrame | None, root: Path, suite: Suite | str) -> Iterator[Line]:
    """Rows, figures and settings of one entry. Arms are run again by `again.again` alone."""
    if not entry.cells:
        yield Line("figures", "match", f"none: {entry.reason}")
        return
    assert scores is not None  # an entry with cells and without rows does not pass
    yield _rows(entry, scores)
    yield _budgets(entry)
    yield from _figures(entry, scores)
    yield _settings(entry, suite)
    yield Line("arms", "not checked", "no attack was run again; --rerun does that")


def beside(root: Path) -> list[Path]:
    """No files."""
    return []


def look_beside(audit: Audit, suite: Suite | str) -> Iterator[Line]:
    yield from ()


def _rows(entry: Entry, rows: pd.DataFrame) -> Line:
    duplicates = int(rows[rows["arm"] != STATIC].duplicated(["arm", "epsilon", "image"]).sum())
    if duplicates:
        return Line("images", "mismatch", f"{duplicates} rows judge an image twice in the same place")
    known = {CLEAN, CALIBRATION, STATIC, TRANSFER, *entry.arms}
    unknown = sorted(set(rows["arm"]) - known)
    if unknown:
        return Line("images", "mismatch", f"rows are of {unknown[0]!r}, which the entry does not describe")
    clean = set(rows.loc[rows["arm"] == CLEAN, "image"])
    strange = set(rows.loc[rows["arm"] != CALIBRATION, "image"]) - clean
    if strange:
        return Line("images", "mismatch", f"{len(strange)} images have no clean row")
    return Line("images", "match", f"no duplicates, {len(clean)} attacked images")


def _budgets(entry: Entry) -> Line:
    """More budget never helps the defender: what is beaten within less stays beaten."""
    rates = {(cell.epsilon, 1): 1 - cell.robust for cell in entry.cells if cell.robust is not None}
    wrong = falls(rates)
    return Line("budgets", "mismatch" if wrong else "match", wrong[0] if wrong else f"{len(rates)}, each beats more")


def _figures(entry: Entry, rows: pd.DataFrame) -> Iterator[Line]:
    assert entry.threshold is not None  # cells have both
    assert entry.static is not None
    rows = rows.astype({"arm": "category"})  # chosen by arm again and again, which is slow among texts
    by_arm = dict(iter(rows.groupby("arm", observed=True)))
    again = all_figures(
        rows,
        [cell.epsilon for cell in entry.cells],
        entry.threshold.rate,
        entry.model.accuracy,
        entry.statistics.level,
        entry.seed,
    )
    pairs: list[tuple[str, Any, Any]] = [("tau", entry.threshold.tau, again["tau"])]
    pairs += [("false_alarms", a, b) for a, b in zip(entry.false_alarms or (), again["false_alarms"], strict=True)]
    for cell, figures in zip(entry.cells, again["cells"], strict=True):
        where = f"at {budget(cell.epsilon)}"
        pairs += [(f"{name} {where}", getattr(cell, name), figures.get(name)) for name in CELL]
        pairs += [
            (
                f"{label} {where}: beaten",
                facts.beaten,
                _beaten(by_arm.get(label, rows[:0]), label, cell.epsilon, again["tau"]),
            )
            for label, facts in cell.arms.items()
        ]
    pairs += [(f"static {name}", getattr(entry.static, name), again["static"].get(name)) for name in STATIC_FIGURES]
    wrong = [
        f"{name} is stated as {stated}, the rows give {value}"
        for name, stated, value in pairs
        if not _same(stated, value)
    ]
    if wrong:
        yield Line("figures", "mismatch", wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
    else:
        yield Line("figures", "match", f"{len(pairs)} figures of {len(entry.cells)} budgets, intervals included")


def _beaten(rows: pd.DataFrame, arm: str, epsilon: float, tau: float) -> int:
    chosen = tried_by(rows, arm, epsilon)
    numbers = chosen["image"].sort_values().unique()
    return int((lowest(chosen, numbers) <= tau).sum())


def _same(stated: Any, again: Any) -> bool:
    if isinstance(stated, float) and isinstance(again, int | float):
        return math.isclose(stated, again, rel_tol=0, abs_tol=TOLERANCE)
    return bool(stated == again)


def _settings(entry: Entry, suite: Suite | str) -> Line:
    if isinstance(suite, str):
        return Line("suite", "not checked", suite)
    wanted = suite.adaptive
    if wanted is None or entry.fit is None or entry.threshold is None:
        return Line("suite", "mismatch", "suite.json beside the entries has no part [adaptive]")
    detectors = {part.title: part.name for part in suite.detectors}
    known: dict[str, tuple[Any, Any]] = {
        "suite.name": (entry.suite.name, suite.name),
        "suite.limit": (entry.suite.limit, suite.limit),
        "seed": (entry.seed, suite.seed),
        "dataset.name": (entry.dataset.name, suite.dataset.title),
        "model.name": (entry.model.name, suite.model.name),
        "detector.name": (entry.detector.name, detectors.get(entry.label)),
        "adaptive.epsilons": ([cell.epsilon for cell in entry.cells], wanted.epsilons),
        "adaptive.rate": (entry.threshold.rate, wanted.rate),
        "adaptive.fit_on": (entry.fit.fit_on, wanted.fit_on),
        "adaptive.arms": (list(entry.arms), [part.title for part in wanted.arms]),
    }
    return settings(suite, known)
