"""The terminal's form of false alarms under benign shift: a row a detector, a column a severity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from .entry import Entry

LEGEND = (
    "False alarms in percent on clean images that were changed, not attacked, and are still classified correctly: mean "
    "over all corruptions, ± half the width of its 95% interval; unchanged: on the same images before."
)

FILES = (
    ("Shift", "shift", " (one entry a detector, with one row an image, parquet)"),
    ("", "tables/shift-report.md", ""),
)

FAILURES = "detectors"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Table | str]:
    """One table, and below it why detectors were not tried."""
    able = [entry for entry in entries if entry.cells]
    if able:
        yield _table(able)
    for entry in entries:
        if not entry.cells:
            yield f"{entry.label} was not tried: {entry.reason}."


def _table(entries: Sequence[Entry]) -> Table:
    head = entries[0]
    rate = head.fit.rate if head.fit is not None else 0.0
    table = Table(title=Text(f"{head.suite.name}: false alarms under benign shift, at FPR {100 * rate:g}%"))
    table.add_column("detector", no_wrap=True)
    for title in ("unchanged", *(f"severity {severity}" for severity in head.severities)):
        table.add_column(title, justify="right", no_wrap=True)
    for entry in sorted(entries, key=lambda entry: entry.detector.control):
        name = Text.assemble(entry.label, (" (control)" if entry.detector.control else "", "dim"))
        clean, means = entry.clean, {mean.severity: mean for mean in entry.means}
        cells = [_cell(clean.value, clean.low, clean.high) if clean is not None else "–"]
        for severity in head.severities:
            mean = means.get(severity)
            cells.append("–" if mean is None else _cell(mean.alarms, mean.low, mean.high))
        table.add_row(name, *cells)
    return table


def _cell(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "–"
    return f"{100 * value:.1f}±{50 * (high - low):.1f}"
