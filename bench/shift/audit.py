"""Checks of entries of benign shift: every figure is computed again from the score of every image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import UserError
from ..harness.audit import Audit, Line, settings
from ..harness.scores import read_frame
from .entry import CALIBRATION, CLEAN, Entry
from .figures import all_figures
from .suite import Suite

TOLERANCE = 1e-9


def examine(root: Path, entry: Entry) -> int | None:
    """The number of images, None without cells. UserError if the rows give other figures than stated."""
    if not entry.cells:
        return None
    rows = entry.unpacked(read_frame(root, entry))
    for line in (_rows(rows), _figures(entry, rows)):
        if line.verdict == "mismatch":
            raise UserError(f"The entry {entry.file} is not what its rows give: {line.detail}; run its suite again.")
    return entry.cells[0].images


def look(entry: Entry, scores: pd.DataFrame | None, root: Path, suite: Suite | str) -> Iterator[Line]:
    """Rows, figures and settings of one entry; no image is scored again."""
    if not entry.cells:
        yield Line("figures", "match", f"none: {entry.reason}")
        return
    assert scores is not None  # an entry with cells and without rows does not pass
    yield _rows(scores)
    yield _figures(entry, scores)
    yield _settings(entry, suite)
    yield Line("images", "not checked", "none was scored again; run the suite with an empty store for that")


def beside(root: Path) -> list[Path]:
    """No files."""
    return []


def look_beside(audit: Audit, suite: Suite | str) -> Iterator[Line]:
    yield from ()


def _rows(rows: pd.DataFrame) -> Line:
    duplicates = int(rows.duplicated(["kind", "severity", "image"]).sum())
    if duplicates:
        return Line("images", "mismatch", f"{duplicates} rows score an image twice in the same place")
    clean = set(rows.loc[rows["kind"] == CLEAN, "image"])
    changed = rows[~rows["kind"].isin([CLEAN, CALIBRATION])]
    groups = changed.groupby(["kind", "severity"], observed=True)["image"]
    unequal = [key for key, images in groups if set(images) != clean]
    if unequal:
        return Line("images", "mismatch", f"{unequal[0][0]} at severity {unequal[0][1]} is not of the clean images")
    if not (rows["kind"] == CALIBRATION).any():
        return Line("images", "mismatch", "no image is left to fix the threshold on")
    return Line("images", "match", f"no duplicates, {len(clean)} images in every corruption")


def _figures(entry: Entry, rows: pd.DataFrame) -> Line:
    assert entry.fit is not None  # cells have a fit
    again = all_figures(rows, entry.fit.rate, entry.statistics.level, entry.seed)
    stated = {
        "tau": entry.fit.tau,
        "clean": entry.clean.model_dump(exclude_none=True) if entry.clean else None,
        "cells": [cell.model_dump(exclude_none=True) for cell in entry.cells],
        "means": [mean.model_dump() for mean in entry.means],
    }
    wrong = list(_differing(stated, again, ""))
    if wrong:
        return Line("figures", "mismatch", wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
    return Line("figures", "match", f"{len(entry.cells)} corruptions, intervals included")


def _differing(stated: Any, again: Any, place: str) -> Iterator[str]:
    """Every place at which two nested values differ by more than rounding."""
    if isinstance(stated, Mapping) and isinstance(again, Mapping) and stated.keys() == again.keys():
        for key in stated:
            yield from _differing(stated[key], again[key], f"{place} {key}".strip())
    elif isinstance(stated, list) and isinstance(again, list) and len(stated) == len(again):
        for number, (one, other) in enumerate(zip(stated, again, strict=True)):
            yield from _differing(one, other, f"{place} {number}")
    elif isinstance(stated, float) and isinstance(again, int | float):
        if not math.isclose(stated, again, rel_tol=0, abs_tol=TOLERANCE):
            yield f"{place} is stated as {stated}, the rows give {again}"
    elif stated != again:
        yield f"{place} is stated as {stated}, the rows give {again}"


def _settings(entry: Entry, suite: Suite | str) -> Line:
    if isinstance(suite, str):
        return Line("suite", "not checked", suite)
    wanted = suite.shift
    if wanted is None or entry.fit is None:
        return Line("suite", "mismatch", "suite.json beside the entries has no part [shift]")
    detectors = {part.title: part.name for part in suite.detectors}
    known: dict[str, tuple[Any, Any]] = {
        "suite.name": (entry.suite.name, suite.name),
        "suite.limit": (entry.suite.limit, suite.limit),
        "seed": (entry.seed, suite.seed),
        "dataset.name": (entry.dataset.name, suite.dataset.title),
        "model.name": (entry.model.name, suite.model.name),
        "detector.name": (entry.detector.name, detectors.get(entry.label)),
        "shift.severities": (entry.severities, wanted.severities),
        "shift.rate": (entry.fit.rate, wanted.rate),
        "shift.kinds": (entry.kinds, wanted.kinds or entry.kinds),
    }
    if len(suite.attacks) > 1:
        known["shift.fit_on"] = (entry.fit.fit_on, wanted.fit_on)
    return settings(suite, known)
