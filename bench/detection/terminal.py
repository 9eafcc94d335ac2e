"""The terminal's form of Table 2: intervals in short in place of brackets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.grid import NONE, Column, Figure, Grid, Row
from ..core.legend import BEST, ONE_SIDED, ONE_WAY, Legend
from .cell import Cell
from .cells import column_title
from .entry import Entry
from .rows import as_in_files
from .stated import read_comparisons
from .suite import columns_of
from .verdicts import controls_sentences

LEGEND = Legend(
    "Static AUROC (no attacker knows the detector) in percent, ± half the width of its 95% interval.",
    {
        "unknown": "Unknown: the combiner was fitted on the first attack.",
        ONE_SIDED: ONE_WAY,
        BEST: "[bold green]Bold[/]: highest of its column.",
        "†": "†: cannot be told apart from the highest.",
        "*": "*: see the remarks in report.md.",
        "noise": "Noise: AUROC on mere noise of the first attack's norm, which should be near 50.",
    },
)

#: Where the run's files are, one per line: a name, a path below the results folder, a remark.
FILES = (("Entries", "entries", ""), ("Scores", "scores", " (one row an image, parquet)"))

FAILURES = "detectors"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Grid | str]:
    """One table per protocol, proposals before controls; below it what it lacks, and who beats the controls."""
    for protocol in dict.fromkeys(entry.protocol_name for entry in entries):
        rows = [entry for entry in entries if entry.protocol_name == protocol]
        stated = read_comparisons(folder, [protocol])
        best = {(b["fit_on"], b["test_on"]): b for c in stated for b in c["best"]}
        yield _table(protocol, sorted(rows, key=as_in_files), best)
        yield from _without_figures(rows)
        yield from controls_sentences(rows, [record for c in stated for record in c["comparisons"]])


def _without_figures(entries: Sequence[Entry]) -> Iterator[str]:
    """Each reason once, with the detectors that it holds for, or with the columns where only some have no figure."""
    whole: dict[str, list[str]] = {}
    partly: dict[str, list[str]] = {}
    for entry in entries:
        shown = {pair: cell for pair, cell in entry.by_pair().items() if pair in columns_of(list(entry.attacks))}
        empty = {pair: cell for pair, cell in shown.items() if cell.auroc is None and cell.remark}
        for pair, cell in empty.items():
            if len(empty) < len(shown):
                partly.setdefault(cell.remark, []).append(column_title(pair))
            elif entry.label not in whole.setdefault(cell.remark, []):
                whole[cell.remark].append(entry.label)
    for reason, of in whole.items():
        yield f"No figure of {'any detector' if len(of) == len(entries) > 1 else ', '.join(of)}: {reason}."
    for reason, titles in partly.items():
        yield f"{NONE} in {', '.join(dict.fromkeys(titles))}: {reason}."


def _table(protocol: str, entries: Sequence[Entry], best: Mapping[tuple[str, str], dict[str, Any]]) -> Grid:
    head = entries[0]
    pairs = columns_of(list(head.attacks))
    about = (
        f"suite {head.suite.name}, data {head.dataset.name}, net {head.model.name} (accuracy {head.model.accuracy:.1%})"
    )
    columns, rows = [_column(pair) for pair in pairs], []
    noises = {entry.label: entry.by_pair()[pairs[0]].noise_auroc for entry in entries}
    has_noise = any(noise is not None for noise in noises.values())  # where no protocol scores it, there is no column
    if has_noise:
        columns.append(Column("noise", part=columns[-1].part, above="", dim=True))
    for entry in entries:
        cells, noise = entry.by_pair(), noises[entry.label]
        figures = [_cell(cells[pair], best.get(pair), entry.label) for pair in pairs]
        if has_noise:
            figures.append(Figure() if noise is None else Figure(f"{100 * noise:.0f}"))
        rows.append(Row(entry.label, figures, "(control)" if entry.detector.control else ""))
    return Grid(f"{about}, protocol {protocol}", "detector", columns, rows)


def _column(pair: tuple[str, str]) -> Column:
    part, _, attack = column_title(pair).partition(" ")
    return Column(attack, part)


def _cell(cell: Cell, best: dict[str, Any] | None, label: str) -> Figure:
    if cell.auroc is None or cell.low is None or cell.high is None:
        return Figure()
    leads, close = best is not None and best["best"] == label, best is not None and label in best["not_separable"]
    mark = "†" if close and not leads else ""
    sign = "*" if cell.remark else ""
    return Figure.share(cell.auroc, cell.low, cell.high, sign=sign, mark=mark, best=leads)
