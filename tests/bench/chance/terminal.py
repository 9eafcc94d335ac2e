"""A line a rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from .entry import Entry

LEGEND = "Share of test images in percent."
FILES = (("Entries", "chance", ""),)
FAILURES = "rules"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Table]:
    table = Table(title=entries[0].suite.name)
    for name in ("rule", "right"):
        table.add_column(name)
    for entry in entries:
        table.add_row(entry.rule, f"{100 * entry.right:.1f}")
    yield table
