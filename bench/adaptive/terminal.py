"""The terminal's form of robust accuracy: a row a detector, a column a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from .entry import Cell, Entry, budget

LEGEND = (
    "RA@FPR in percent, ± half the width of its 95% interval: accepted clean images on which every arm fails. "
    "‡ not tested hard enough: the same arms missed adversarial examples that are known to exist. "
    "§ attacked without its gradient. 0: each image has an adversarial version that is accepted."
)

FILES = (
    ("Adaptive", "adaptive", " (one entry a detector, with one row an image, parquet)"),
    ("", "tables/adaptive-report.md", ""),
)

FAILURES = "detectors"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Table | str]:
    """One table, and below it why detectors were not attacked."""
    able = [entry for entry in entries if entry.cells]
    if able:
        yield _table(able)
    for entry in entries:
        if not entry.cells:
            yield f"{entry.label} was not attacked: {entry.reason}."


def _table(entries: Sequence[Entry]) -> Table:
    head = entries[0]
    rate = head.threshold.rate if head.threshold is not None else 0.0
    title = f"{head.suite.name}: RA@FPR{100 * rate:g} under attackers who know the detector (L-inf)"
    table = Table(title=Text(title))
    table.add_column("detector", no_wrap=True)
    for cell in head.cells:
        table.add_column(budget(cell.epsilon), justify="right", no_wrap=True)
    for entry in sorted(entries, key=lambda entry: entry.detector.control):
        mark = "" if entry.gradient is not None and entry.gradient.offered else "§"
        name = Text.assemble(entry.label, mark, (" (control)" if entry.detector.control else "", "dim"))
        table.add_row(name, *(_cell(cell) for cell in entry.cells))
    return table


def _cell(cell: Cell) -> str:
    if cell.robust is None or cell.robust_low is None or cell.robust_high is None:
        return "n = 0"
    mark = "" if cell.proven else "‡"
    return f"{100 * cell.robust:.1f}{mark}±{50 * (cell.robust_high - cell.robust_low):.1f}"
