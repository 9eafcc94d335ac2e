"""A line a rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from subnetbench.bench.core.grid import Column, Figure, Grid, Row
from subnetbench.bench.core.legend import Legend

from .entry import Entry

LEGEND = Legend("Share of test images in percent.")
FILES = (("Entries", "chance", ""),)
FAILURES = "rules"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Grid]:
    rows = [Row(entry.rule, [Figure(f"{100 * entry.right:.1f}")]) for entry in entries]
    yield Grid(entries[0].suite.name, "rule", [Column("right")], rows)
