"""Table 1 for the terminal: errors of methods by variants, one table per net."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.grid import NONE, Column, Figure, Grid, Row
from ..core.legend import ONE_SIDED, ONE_WAY, Legend
from .entry import Entry

LEGEND = Legend(
    "Localisation error in percent (GT-known class, IoU >= .5), ± half the width of its 95% interval over images. "
    "Lower is better.",
    {ONE_SIDED: ONE_WAY, "*": "*: constant or undefined maps, which count as misses."},
)

#: The run's files, one line each: a name, a path below the results folder, a remark.
FILES = (("Entries", "localisation", " (with one row an image, parquet)"),)

FAILURES = "maps"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Grid | str]:
    """One table per net; the last one holds the controls without a net."""
    for net in dict.fromkeys(entry.model.label for entry in entries):
        of_net = [entry for entry in entries if entry.model.label == net]
        head = of_net[0]
        share = head.model.accuracy
        about = f"suite {head.suite.name}, data {head.dataset.name}, net {net}"
        variants = list(dict.fromkeys(entry.variant for entry in of_net))
        rows = []
        for method in dict.fromkeys(entry.method.label for entry in of_net):
            cells = {entry.variant: entry for entry in of_net if entry.method.label == method}
            rows.append(Row(method, [_error(cells.get(variant)) for variant in variants]))
        title = net if share is None else f"{about} (accuracy {share:.1%})"
        yield Grid(title, "method", list(map(Column, variants)), rows)
        yield from _without_figures(of_net, rows)


def _error(entry: Entry | None) -> Figure:
    error = None if entry is None else entry.metric("error")
    if entry is None or error is None:
        return Figure()
    return Figure.share(error.value, error.low, error.high, sign="*" if entry.unusable_maps else "")


def _without_figures(entries: Sequence[Entry], rows: Sequence[Row]) -> Iterator[str]:
    """Each reason once, with the methods and variants that it holds for."""
    labels: dict[str, list[str]] = {}
    for entry in entries:
        if entry.metric("error") is None:
            reason = entry.reason or "its entry states no error"
            labels.setdefault(reason, []).append(f"{entry.method.label} ({entry.variant})")
    for reason, of in labels.items():
        yield f"No figure of {', '.join(of)}: {reason}."
    if sum(figure.value == NONE for row in rows for figure in row.figures) > sum(map(len, labels.values())):
        yield f"Any other {NONE}: this method was not run on that variant."
