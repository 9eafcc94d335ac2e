"""Checks of entries against the files beside them: figures against their scores, settings against the suite."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ..harness.audit import Audit, Line, settings
from .cells import derived
from .compare import measuring
from .entry import Entry
from .fits import ALL_ATTACKS, WORST_CASE, further_pairs
from .scores import examine
from .suite import PROTOCOL, Pair, Statistics, Suite

#: Largest allowed gap between a recomputed figure and the stated one: float64 sums in a different order.
TOLERANCE = 1e-9

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
    yield _figures(entry)
    yield _all_scores(entry, scores)
    yield _suite_line(entry, suite)


# -- figures from splits ----------------------------------------------------------------------------------------------


def _rows(entry: Entry, scores: pd.DataFrame) -> Line:
    keys = ["gate", "split", "fit_on", "test_on", "kind", "image"]
    duplicates = int(scores.duplicated(keys).sum())
    if duplicates:
        return Line("images", "mismatch", f"{duplicates} rows score an image twice in the same place")
    count, further = entry.dataset.attacked_images, entry.dataset.calibration_images or 0
    calibration = scores["kind"] == "calibration"
    image, first = scores["image"], np.where(calibration, count, 0)
    outside = (image < first) | (image >= first + np.where(calibration, further, count))
    if (outside & ~calibration).any():
        rows = int((outside & ~calibration).sum())
        return Line("images", "mismatch", f"{rows} rows are of images outside the {count} attacked")
    if outside.any():
        what = f"{int(outside.sum())} rows that set thresholds are of images outside the {further} that may"
        return Line("images", "mismatch", what)
    return Line("images", "match", f"no duplicates, all among the {count} attacked")


def _figures(entry: Entry) -> Line:
    """Check all means and intervals against the figures by split, with the functions that a run uses."""
    stated = entry.by_pair()
    missing = [pair for pair in _expected(entry) if pair not in stated]
    if missing:
        return Line("figures", "mismatch", f"the cell {_arrow(missing[0])} is missing")
    how, repeats = measuring(entry), _repeats(entry)
    if repeats is None:
        return Line("figures", "not checked", f"the protocol {entry.protocol_name!r} is not a known one in this form")
    wrong: list[str] = []
    count = 0
    for pair, cell in stated.items():
        if cell.auroc is not None and len(cell.auroc_by_split) != repeats:
            wrong.append(f"{_arrow(pair)} states {len(cell.auroc_by_split)} splits, its protocol gives {repeats}")
        for name, value in derived(cell.model_dump(), entry.places(cell), how).items():
            count += 1
            if not _same(getattr(cell, name), value):
                wrong.append(
                    f"{_arrow(pair)} states {name} {_shown(getattr(cell, name))}, its splits give {_shown(value)}"
                )
    if wrong:
        return Line("figures", "mismatch", wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
    return Line("figures", "match", f"{count} figures of {len(stated)} cells, intervals included")


def _expected(entry: Entry) -> list[Pair]:
    """The cells that an entry must have; those of the fits on several attacks came with the calibration images."""
    attacks, stated = list(entry.attacks), entry.by_pair()
    pairs = list(product(attacks, attacks))
    if entry.dataset.calibration_images is None:
        return pairs
    fitted = [attack for attack in attacks if (own := stated.get((attack, attack))) is not None and own.n_fit]
    if len(fitted) > 1:
        pairs += [*further_pairs(attacks), (ALL_ATTACKS, WORST_CASE)]
    return [*pairs, (attacks[0], WORST_CASE)] if attacks[0] in fitted else pairs


def _repeats(entry: Entry) -> int | None:
    """The number of sets of gates and splits; None under a third-party protocol."""
    try:
        repeats = PROTOCOL.validate_python(entry.protocol).repeats
    except ValidationError:
        return None
    return repeats * (1 if entry.subnets is None else len(entry.subnets.sets))


def _all_scores(entry: Entry, scores: pd.DataFrame) -> Line:
    """Say which scores are at hand; those of the first splits agree with the figures, or `examine` had raised."""
    if entry.all_scores is None or entry.all_scores.rows == len(scores):
        return Line("splits", "match", f"all {len(scores)} scores are at hand and give the figures")
    return Line(
        "splits",
        "match",
        f"{len(scores)} of {entry.all_scores.rows} scores are at hand and give the figures of their splits; "
        "a run of the suite makes the others (--rerun compares them)",
    )


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
        statistics = Statistics(level=entry.statistics.level)
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
