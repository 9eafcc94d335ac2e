"""ROC curves of all detectors of a protocol, at the width of a journal's column, with their names at their ends."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Float64
from ..core.text import counted
from ..detection.entry import Entry, read_scores
from ..detection.scores import GRID, mean_roc, seen_sides
from .labels import Label, label_ends
from .style import COLUMN, panels

#: Most curves with a name and a colour of their own; all others are grey.
NAMED = 6

#: Curves end here, where nobody would let a detector raise more false alarms and curves still lie apart.
FALSE_ALARMS = 0.2

#: Colours of proposals, dark enough for text on white and distinct in all common colour blindness; then the control's.
_PROPOSALS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#B0578D", "#555500")
_CONTROL, _REST = "#000000", "#bdbdbd"

_POINTS = 8.0
_PANEL = 1.6


def roc_figure(folder: Path, entries: Sequence[Entry]) -> Any:
    """One panel for each (seen) attack: true positives up to `FALSE_ALARMS`, the names with AUROC in percent.

    Named are the best control, and the proposals that are best over all attacks; the rest is grey, controls dashed.
    """
    attacks = list(dict.fromkeys(attack for entry in entries for attack in entry.attacks))
    columns = 1 if len(attacks) <= 4 else 2
    rows = -(-len(attacks) // columns)
    figure, axes = panels(rows, columns, COLUMN * columns, (_PANEL + 0.35) * rows + 0.75)
    named = chosen(entries)
    colours = iter(_PROPOSALS)
    colour_of = {
        entry.label: (_CONTROL if entry.detector.control else next(colours))
        for entry in entries
        if entry.label in named
    }
    labels: dict[str, list[Label]] = {attack: [] for attack in attacks}
    for entry in entries:
        scores = read_scores(folder, entry)
        for axis, attack in zip(axes, attacks, strict=False):
            sides = seen_sides(scores, attack)
            if sides:
                label = _curve(axis, entry, mean_roc(sides), attack, colour_of.get(entry.label))
                labels[attack] += [label] if label else []
    for place, (axis, attack) in enumerate(zip(axes, attacks, strict=False)):
        _finish(axis, attack, last=place + columns >= len(attacks), first=place % columns == 0)
        label_ends(axis, labels[attack], _PANEL, _POINTS)
    for axis in axes[len(attacks) :]:
        axis.axis("off")
    head = entries[0]
    figure.suptitle(f"{head.dataset.name}, {head.model.name}, {head.protocol_name}: AUROC (%)")
    figure.supxlabel("\n".join(_key(entries, named)), fontsize=7)
    return figure


def _key(entries: Sequence[Entry], named: Collection[str]) -> Iterator[str]:
    """What colours mean, a line each: the name of a control may be long."""
    for entry in entries:
        if entry.detector.control and entry.label in named:
            yield f"black: {entry.label} (best control)"
    if rest := len(entries) - len(named):
        yield f"grey: {counted(rest, 'other')}, controls dashed"


def chosen(entries: Sequence[Entry]) -> set[str]:
    """Labels of the curves with names: the best control and the best proposals, by mean AUROC on seen attacks.

    Detectors under their registered names come before variants of them, which crowd the same place.
    """
    controls = sorted((e for e in entries if e.detector.control), key=_rank)[:1]
    proposals = sorted(
        (e for e in entries if not e.detector.control), key=lambda e: (e.label != e.detector.name, _rank(e))
    )
    return {entry.label for entry in [*controls, *proposals[: NAMED - len(controls)]]}


def _rank(entry: Entry) -> float:
    values = [cell.auroc for cell in entry.cells if cell.seen and cell.auroc is not None]
    return -float(np.mean(values)) if values else 0.0


def _curve(axes: Any, entry: Entry, curve: Float64, attack: str, colour: str | None) -> Label | None:
    """Draw a curve; its label, where it has a colour."""
    control = entry.detector.control
    axes.plot(
        GRID,
        curve,
        color=colour or _REST,
        linestyle=(0, (4, 1.5)) if control else "-",
        linewidth=1.2 if colour else 0.8,
        zorder=1 if colour is None else 4 if control else 3,
    )
    if colour is None:
        return None
    value = next((c.auroc for c in entry.cells if c.pair == (attack, attack) and c.auroc is not None), None)
    text = entry.label if value is None else f"{entry.label} {100 * value:.1f}"
    return Label(text, float(np.interp(FALSE_ALARMS, GRID, curve)) / 1.01, colour, value or 0.0)


def _finish(axes: Any, attack: str, *, last: bool, first: bool) -> None:
    """A root scale for the false-positive rate: detectors differ near 0, and 0 can still be shown."""
    axes.plot(GRID, GRID, color="#dddddd", linewidth=0.8, zorder=0)
    axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    axes.set(xlim=(0, FALSE_ALARMS), ylim=(0, 1.01), title=f"seen {attack}")
    axes.set_xticks([0, 0.01, 0.05, 0.1, 0.2], ["0", ".01", ".05", ".1", ".2"])
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.set_yticks([0.25, 0.75], minor=True)
    axes.grid(True, color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    if last:
        axes.set_xlabel("false positives (root scale)")
    else:
        axes.tick_params(labelbottom=False)
    if first:
        axes.set_ylabel("true positives")
