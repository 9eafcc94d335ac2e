"""The terminal's form of robust accuracy: a row a detector, a column a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.grid import Column, Figure, Grid, Row
from ..core.legend import ONE_SIDED, ONE_WAY, Legend
from ..detection.suite import Suite
from ..harness.audit import suite_beside
from .entry import Cell, Entry, budget
from .tables import standing

_NONE_ACCEPTED = "n = 0"

LEGEND = Legend(
    "RA@FPR in percent, ± half the width of its 95% interval: accepted clean images on which every arm fails. 0: each "
    "image has an adversarial version that is accepted.",
    {
        ONE_SIDED: ONE_WAY,
        _NONE_ACCEPTED: f"{_NONE_ACCEPTED}: no clean image is accepted.",
        "‡": "‡ not tested hard enough: the same arms missed adversarial examples that are known to exist.",
        "§": "§ attacked without its gradient.",
    },
)

FILES = (
    ("Adaptive", "adaptive", " (one entry a detector, with one row an image, parquet)"),
    ("", "tables/adaptive-report.md", ""),
)

FAILURES = "detectors"


def shown(entries: Sequence[Entry], folder: Path) -> Iterator[Grid | str]:
    """One table, and below it which detectors were not attacked, and why."""
    able = [entry for entry in entries if entry.cells]
    if able:
        yield _table(able)
    for entry in entries:
        if not entry.cells:
            yield f"{entry.label} was not attacked: {entry.reason}."
    yield from _left_out(folder)


def _left_out(folder: Path) -> Iterator[str]:
    """How detectors are attacked that the suite's part [adaptive] does not name, as one that was added on the way."""
    suite = suite_beside(Suite, folder)
    if not isinstance(suite, Suite) or suite.adaptive is None or not suite.adaptive.detectors:
        return
    others = [part.title for part in suite.detectors if part.title not in suite.adaptive.detectors]
    if others:
        yield (
            f"[adaptive] of {suite.name} names {len(suite.adaptive.detectors)} of {len(suite.detectors)} detectors. "
            f"To attack another, such as {others[-1]}, run a suite file that extends {suite.name}, has it among its "
            f'detectors, and says detectors = ["{others[-1]}"] under [adaptive].'
        )


def _table(entries: Sequence[Entry]) -> Grid:
    head = entries[0]
    rate = head.threshold.rate if head.threshold is not None else 0.0
    title = f"{head.suite.name}: RA@FPR{100 * rate:g} under attackers who know the detector (L-inf)"
    rows = []
    for entry in sorted(entries, key=standing):
        mark = "" if entry.gradient is not None and entry.gradient.offered else "§"
        aside = "(control)" if entry.detector.control else ""
        rows.append(Row(entry.label, [_cell(cell) for cell in entry.cells], aside, mark))
    return Grid(title, "detector", [Column(budget(cell.epsilon)) for cell in head.cells], rows)


def _cell(cell: Cell) -> Figure:
    if cell.robust is None or cell.robust_low is None or cell.robust_high is None:
        return Figure(_NONE_ACCEPTED)
    return Figure.share(cell.robust, cell.robust_low, cell.robust_high, sign="" if cell.proven else "‡")
