"""Tables of benign shift, made from entries and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..detection.shift import SEVERITIES
from ..harness.stale import table_files
from ..harness.tables import Report, Section, percent
from .entry import Cell, Entry, Rate, read_entries, tidy

#: All that a report may write.
FILES = table_files(
    "shift-report",
    ("shift", *(f"shift-{severity}" for severity in SEVERITIES), "shift-net"),
    frames=("shift-cells",),
)


def report(folder: Path) -> Report:
    """Every table that the entries of benign shift under a results folder give."""
    entries = [entry for entry in read_entries(folder) if entry.cells]
    severities = sorted({severity for entry in entries for severity in entry.severities})
    sections = [Section("shift", "False alarms under benign shift", lambda: means(entries), _MEANS)]
    for severity in severities:
        name, title = f"shift-{severity}", f"Corruption by corruption, severity {severity} of 5"
        sections.append(Section(name, title, _Kinds(entries, severity), _KINDS))
    sections.append(Section("shift-net", "What the corruptions do to the net", lambda: net(entries), _NET))
    names = ", ".join(sorted({entry.suite.name for entry in read_entries(folder)}))
    frames = {"shift-cells": frame(entries)}
    title = f"{names}: clean images that were changed, not attacked"
    return Report(title, _preamble(entries), sections, _remarks(read_entries(folder)), frames, name="shift-report")


def frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """One row per detector, corruption and severity."""
    return tidy(entries)


def _preamble(entries: Sequence[Entry]) -> list[str]:
    lines = []
    for name in dict.fromkeys(entry.suite.name for entry in entries):
        first = next(entry for entry in entries if entry.suite.name == name)
        assert first.fit is not None  # entries with cells have both
        assert first.clean is not None
        lines.append(
            f"- **{name}**: {first.dataset.name}, net {first.model.name}; {first.clean.images} correctly classified "
            f"test images, with the fit of split {first.fit.split} on {first.fit.fit_on}; thresholds at a "
            f"false-positive rate of {first.fit.rate:.0%} on {first.fit.calibration_images} other clean images; seed "
            f"{first.seed}."
        )
    return [*lines, ""]


_MEANS = (
    "Nobody attacked these images: noise, blur, contrast, brightness, coarser pixels or JPEG changed them, as happens "
    "between a camera and a net. False alarms: percent of the images still classified correctly that are above the "
    "threshold of the nominal rate, with 95% intervals over images and calibration. Unchanged: the same images before. "
    "Then the mean over all corruptions of one severity (1 is hardly visible, 5 strong), and the corruption with the "
    "most alarms at the strongest (of how many images). A detector that flags whatever is unusual has a good AUROC on "
    "attacks and is of no use on photographs."
)


def means(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row per detector, the fewest false alarms first."""
    rows = []
    for entry in sorted(entries, key=standing):
        row: dict[str, Any] = {
            "suite": entry.suite.name,
            "detector": entry.label + (" (control)" if entry.detector.control else ""),
            "unchanged": bracket(entry.clean),
        }
        for mean in entry.means:
            row[f"severity {mean.severity}"] = f"{percent(mean.alarms)} [{percent(mean.low)}, {percent(mean.high)}]"
        rows.append(row | {"worst": _worst(entry)})
    return pd.DataFrame(rows)


def standing(entry: Entry) -> tuple[str, float, str]:
    return entry.suite.name, entry.means[-1].alarms if entry.means else 1.0, entry.label


def _worst(entry: Entry) -> str:
    cells = [cell for cell in entry.cells if cell.severity == entry.severities[-1] and cell.alarms.value is not None]
    if not cells:
        return "–"
    worst = max(cells, key=lambda cell: cell.alarms.value or 0.0)
    return f"{worst.kind} {percent(worst.alarms.value)} (of {worst.alarms.images})"


_KINDS = "False alarms in percent, as above, of the images that are still classified correctly."


class _Kinds:
    """The table of one severity: a row a detector, a column a corruption."""

    def __init__(self, entries: Sequence[Entry], severity: int) -> None:
        self._entries, self._severity = entries, severity

    def __call__(self) -> pd.DataFrame:
        rows = []
        for entry in self._entries:
            cells = [cell for cell in entry.cells if cell.severity == self._severity]
            head = {"suite": entry.suite.name, "detector": entry.label}
            rows.append(head | {cell.kind: bracket(cell.alarms) for cell in cells})
        return pd.DataFrame(rows)


_NET = (
    "Percent of the images that the net still classifies correctly, by severity; these are the images that false "
    "alarms are counted on."
)


def net(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row per suite and corruption; the same for all detectors."""
    rows = []
    for name in dict.fromkeys(entry.suite.name for entry in entries):
        first = next(entry for entry in entries if entry.suite.name == name)
        for kind in first.kinds:
            cells: dict[int, Cell] = {cell.severity: cell for cell in first.cells if cell.kind == kind}
            columns = {f"severity {severity}": percent(cell.accuracy) for severity, cell in sorted(cells.items())}
            rows.append({"suite": name, "corruption": kind} | columns)
    return pd.DataFrame(rows)


def bracket(rate: Rate | None) -> str:
    """A share in percent with its interval; a dash where there is no image."""
    if rate is None or rate.value is None:
        return "–"
    return f"{percent(rate.value)} [{percent(rate.low)}, {percent(rate.high)}]"


def _remarks(entries: Sequence[Entry]) -> list[str]:
    lines = [f"- {entry.label}: {entry.reason}" for entry in entries if not entry.cells]
    lines += [f"- {e.label}: {e.fit.remark}" for e in entries if e.fit is not None and e.fit.remark]
    return ["", "Remarks:", "", *lines] if lines else []
