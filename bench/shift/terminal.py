"""The terminal's form of false alarms under benign shift: a row a detector, a column a severity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.grid import NONE, Column, Figure, Grid, Row
from ..core.legend import ONE_SIDED, ONE_WAY, Legend
from .entry import Entry
from .tables import standing

LEGEND = Legend(
    "False alarms in percent on clean images that were changed, not attacked, and are still classified correctly: mean "
    "over all corruptions, ± half the width of its 95% interval; unchanged: on the same images before.",
    {ONE_SIDED: ONE_WAY},
)

FILES = (
    ("Shift", "shift", " (one entry a detector, with one row an image, parquet)"),
    ("", "tables/shift-report.md", ""),
)

FAILURES = "detectors"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Grid | str]:
    """One table, and below it why detectors were not tried."""
    able = [entry for entry in entries if entry.cells]
    if able:
        table = _table(able)
        yield table
        if any(figure.value == NONE for row in table.rows for figure in row.figures):
            yield f"{NONE}: no image of this severity is still classified correctly, so that there is none to judge."
    for entry in entries:
        if not entry.cells:
            yield f"{entry.label} was not tried: {entry.reason}."


def _table(entries: Sequence[Entry]) -> Grid:
    head = entries[0]
    rate = head.fit.rate if head.fit is not None else 0.0
    rows = []
    for entry in sorted(entries, key=standing):
        clean, means = entry.clean, {mean.severity: mean for mean in entry.means}
        figures = [Figure() if clean is None else _cell(clean.value, clean.low, clean.high)]
        for severity in head.severities:
            mean = means.get(severity)
            figures.append(Figure() if mean is None else _cell(mean.alarms, mean.low, mean.high))
        rows.append(Row(entry.label, figures, "(control)" if entry.detector.control else ""))
    columns = [Column("unchanged"), *(Column(str(severity), above="severity") for severity in head.severities)]
    title = f"{head.suite.name}: false alarms under benign shift, at FPR {100 * rate:g}%"
    return Grid(title, "detector", columns, rows)


def _cell(value: float | None, low: float | None, high: float | None) -> Figure:
    if value is None or low is None or high is None:
        return Figure()
    return Figure.share(value, low, high)
