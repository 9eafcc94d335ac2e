"""The terminal's form of Table 2: half the interval's width in place of brackets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from .cell import Cell
from .cells import column_title
from .entry import Entry
from .stated import read_comparisons
from .suite import columns_of

LEGEND = (
    "Static AUROC (no attacker knows the detector) in percent, ± half the width of its 95% interval. Unknown: the "
    "combiner was fitted on the first attack. [bold green]Bold[/]: highest of its column; † cannot be told apart from "
    "it; * see the remarks in report.md. Last column: AUROC on mere noise of the first attack's norm, which should be "
    "near 50."
)

#: Where the run's files are, one per line: a name, a path below the results folder, a remark.
FILES = (("Entries", "entries", ""), ("Scores", "scores", " (one row an image, parquet)"))

FAILURES = "detectors"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Table | str]:
    """One table per protocol, proposals before controls, and below it why rows have no figure at all."""
    for protocol in dict.fromkeys(entry.protocol_name for entry in entries):
        rows = [entry for entry in entries if entry.protocol_name == protocol]
        best = {(b["fit_on"], b["test_on"]): b for c in read_comparisons(folder, [protocol]) for b in c["best"]}
        yield _table(protocol, sorted(rows, key=lambda entry: entry.detector.control), best)
        yield from _without_figures(rows)


def _without_figures(entries: Sequence[Entry]) -> Iterator[str]:
    """Each reason once, with the detectors that it holds for."""
    labels: dict[str, list[str]] = {}
    for entry in entries:
        if all(cell.auroc is None for cell in entry.cells):
            for reason in dict.fromkeys(cell.remark for cell in entry.cells if cell.remark):
                labels.setdefault(reason, []).append(entry.label)
    for reason, of in labels.items():
        yield f"No figure of {'any detector' if len(of) == len(entries) > 1 else ', '.join(of)}: {reason}."


def _table(protocol: str, entries: Sequence[Entry], best: Mapping[tuple[str, str], dict[str, Any]]) -> Table:
    head = entries[0]
    pairs = columns_of(list(head.attacks))
    about = (
        f"{head.suite.name}: {head.dataset.name}, {head.model.name} ({head.model.accuracy:.1%} correctly classified)"
    )
    table = Table(title=Text(f"{about}, protocol {protocol}"))
    table.add_column("detector", no_wrap=True)
    for pair in pairs:
        table.add_column(column_title(pair).replace(" ", "\n", 1), justify="right", no_wrap=True)
    table.add_column("noise", justify="right", style="dim")
    for entry in entries:
        cells = entry.by_pair()
        texts = [_cell(cells[pair], best.get(pair), entry.label) for pair in pairs]
        noise = cells[pairs[0]].noise_auroc
        texts.append("–" if noise is None else f"{100 * noise:.0f}")
        table.add_row(Text.assemble(entry.label, (" (control)" if entry.detector.control else "", "dim")), *texts)
    return table


def _cell(cell: Cell, best: dict[str, Any] | None, label: str) -> Text | str:
    if cell.auroc is None or cell.low is None or cell.high is None:
        return "–"
    mark = "*" if cell.remark else ""
    text = f"{100 * cell.auroc:.1f}{mark}±{50 * (cell.high - cell.low):.1f}"
    if best and best["best"] == label:
        return Text(text, "bold green")
    return f"{text}†" if best and label in best["not_separable"] else text
