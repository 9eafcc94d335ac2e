"""Tables at a fixed false-positive rate, and of the worst attack of each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..harness.tables import percent
from ..stats.operating import MAIN
from .cell import Cell
from .entry import Entry
from .fits import ALL_ATTACKS, WORST_CASE, all_but
from .rows import bracket, head_of, sorted_frame

OPERATING_NOTE = (
    f"The threshold is the smallest that at most {MAIN}% of the calibration images are above: clean images, correctly "
    "classified, that are neither attacked nor fitted on. Each combiner has its own, set before any attack is "
    f"seen. FPR: the share of evaluated clean images above it, for the combiner fitted on the first attack; near {MAIN}"
    " where the threshold keeps its promise. The other columns are TPR, the share of adversarial images above it:"
    " of the attack that was fitted on (seen), of another while the first was fitted on (unknown), and of one "
    f"that was left out while all others were fitted on (left out). In percent, with 95% intervals that count the "
    "calibration images too; n: adversarial images evaluated in a split. **Static**: the attackers have never "
    "heard of the detector. TPR flatters weak attacks: an image that an attack does not get the net to "
    "misclassify does not count, and an attack that overshoots is easily detected."
)

WORST_NOTE = (
    "Of the adversarial versions of an image only the one with the lowest score counts, as if one attacker tried "
    "all the attacks and kept what the detector suspects least (MEAD, Granese et al. 2022). The minimum is taken "
    "within one combiner: fitted on all attacks together, or on the first alone. AUROC, and TPR at a false-"
    f"positive rate of {MAIN}%, in percent with 95% intervals; FPR at 95% TPR in percent, the mean over splits; n: "
    "images evaluated in a split. The AUROC is at most the lowest that the same combiner has on these images over"
    " single attacks. Still static: the attackers have never heard of the detector."
)


def operating(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row for each detector with operating points."""
    rows = []
    for entry in entries:
        cells, attacks = entry.by_pair(), list(entry.attacks)
        columns = {f"seen {attack}": (attack, attack) for attack in attacks}
        columns |= {f"unknown {attack}": (attacks[0], attack) for attack in attacks[1:]}
        left_out = {f"left out {attack}": (all_but(attack), attack) for attack in attacks}
        columns |= left_out if len(attacks) > 1 else {}
        shown = {title: cells.get(pair) for title, pair in columns.items()}
        if all(cell is None or cell.tpr5 is None for cell in shown.values()):
            continue
        first = cells.get((attacks[0], attacks[0]))
        row = head_of(entry) | {"n": _evaluated(shown.values()), f"FPR (nominal {MAIN})": _rate(first, "fpr")}
        rows.append(row | {title: _rate(cell, "tpr") for title, cell in shown.items()})
    return sorted_frame(rows)


def worst(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row for each detector with the worst case of each image."""
    rows = []
    for entry in entries:
        cells, first = entry.by_pair(), next(iter(entry.attacks))
        fits = {"all attacks": cells.get((ALL_ATTACKS, WORST_CASE)), first: cells.get((first, WORST_CASE))}
        if all(cell is None for cell in fits.values()):
            continue
        row = head_of(entry) | {"n": _evaluated(fits.values())}
        for name, cell in zip(("all attacks", "the first"), fits.values(), strict=True):
            row |= {
                f"fitted on {name}: AUROC": bracket(cell),
                f"{name}: FPR95": "–" if cell is None else percent(cell.fpr95),
                f"{name}: TPR at {MAIN}": _rate(cell, "tpr"),
            }
        rows.append(row)
    return sorted_frame(rows)


def points_remarks(entries: Sequence[Entry]) -> list[str]:
    """Why figures at a fixed false-positive rate are missing, each reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        for text in dict.fromkeys(cell.points_remark for cell in entry.cells if cell.points_remark):
            reasons.setdefault((entry.suite.name, text), []).append(f"{entry.protocol_name} {entry.label}")
    if not reasons:
        return []
    lines = [f"- {suite}: {text} ({_some(of)})" for (suite, text), of in reasons.items()]
    return ["## Remarks on figures at a fixed false-positive rate", "", *lines, ""]


def _some(labels: Sequence[str]) -> str:
    return ", ".join(labels) if len(labels) <= 3 else f"{len(labels)} entries"


def _evaluated(cells: Any) -> str:
    """The mean number of images evaluated in a split, lowest and highest over cells."""
    counts = [round(sum(cell.n) / len(cell.n)) for cell in cells if cell is not None and sum(cell.n)]
    low, high = (min(counts), max(counts)) if counts else (0, 0)
    return str(low) if low == high else f"{low}–{high}"


def _rate(cell: Cell | None, name: str) -> str:
    """A rate in percent at the main threshold with its interval; ``*`` marks a remark."""
    value = None if cell is None else getattr(cell, f"{name}{MAIN}")
    if cell is None or value is None:
        return "–"
    low, high = (getattr(cell, f"{name}{MAIN}_{end}") for end in ("low", "high"))
    return f"{percent(value)}{'*' if cell.remark else ''} [{percent(low)}, {percent(high)}]"
