"""Table 1 for the terminal: errors of methods by variants, one table per net."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from .entry import Entry

LEGEND = (
    "Localisation error in percent (GT-known class, IoU >= .5), ± half the width of its 95% interval over images. "
    "* has constant or undefined maps, which count as misses. Lower is better."
)

#: The run's files, one line each: a name, a path below the results folder, a remark.
FILES = (("Entries", "localisation", " (with one row an image, parquet)"),)

FAILURES = "maps"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Table]:
    """One table per net; the last one holds the controls without a net."""
    for net in dict.fromkeys(entry.model.label for entry in entries):
        of_net = [entry for entry in entries if entry.model.label == net]
        head = of_net[0]
        share = head.model.accuracy
        about = f"{head.suite.name}: {head.dataset.name}, {net}"
        table = Table(title=Text(net if share is None else f"{about} ({share:.1%} correctly classified)"))
        table.add_column("method", no_wrap=True)
        variants = list(dict.fromkeys(entry.variant for entry in of_net))
        for variant in variants:
            table.add_column(variant, justify="right", no_wrap=True)
        for method in dict.fromkeys(entry.method.label for entry in of_net):
            cells = {entry.variant: entry for entry in of_net if entry.method.label == method}
            table.add_row(Text(method), *(_error(cells.get(variant)) for variant in variants))
        yield table


def _error(entry: Entry | None) -> str:
    error = None if entry is None else entry.metric("error")
    if entry is None or error is None:
        return "–"
    mark = "*" if entry.unusable_maps else ""
    return f"{100 * error.value:.1f}{mark}±{50 * (error.high - error.low):.1f}"
