"""Security curves: what of a detector is left as attackers who know it get larger budgets, with bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..adaptive.entry import Entry
from .roc import line_styles
from .style import COLOURS, PAGE, panels

#: The figures of a cell that a curve shows: field, title, and what its axis says.
CURVES = (
    ("robust", "RA", "accepted and not beaten, %"),
    ("accuracy", "accuracy with rejection", "right, accepted, not beaten, %"),
    ("auroc", "AUROC", "clean against best adversarial, %"),
)


def curves_figure(entries: Sequence[Entry]) -> Any:
    """All detectors in one: a panel a figure, proposals in colour, controls grey; bands are 95% intervals."""
    able = [entry for entry in entries if entry.cells]
    figure, axes = panels(1, len(CURVES), PAGE, 2.6 + 0.16 * -(-len(able) // 3) + 0.3)
    styles, handles = line_styles(able), {}
    for entry in able:
        for axis, (field, _, _) in zip(axes, CURVES, strict=True):
            handles[entry.label] = _curve(axis, entry, field, styles[entry.label], band=not entry.detector.control)
    _finish(figure, axes, able)
    names = [label + _mark(entry) for label, entry in zip(handles, able, strict=True)]
    figure.legend(list(handles.values()), names, loc="outside lower center", ncols=3, handlelength=2.8)
    return figure


def entry_curves(entry: Entry) -> Any:
    """One detector: its three curves with bands."""
    figure, axes = panels(1, len(CURVES), PAGE, 2.6)
    for axis, (field, _, _), colour in zip(axes, CURVES, COLOURS, strict=False):
        _curve(axis, entry, field, {"color": colour}, band=True)
    _finish(figure, axes, [entry])
    return figure


def _curve(axis: Any, entry: Entry, field: str, style: dict[str, Any], *, band: bool) -> Any:
    cells = [cell for cell in entry.cells if getattr(cell, field) is not None]
    budgets = [255 * cell.epsilon for cell in cells]
    values, low, high = ([100 * getattr(cell, field + end) for cell in cells] for end in ("", "_low", "_high"))
    (line,) = axis.plot(budgets, values, marker="o", markersize=2.5, zorder=3 if band else 2, **style)
    # Hollow where the attack was not strong enough to say anything: the curve is an upper bound there.
    loose = [k for k, cell in enumerate(cells) if not cell.proven]
    axis.plot(
        [budgets[k] for k in loose], [values[k] for k in loose], "o", mfc="white", mec=style["color"], ms=4, zorder=4
    )
    if band:
        axis.fill_between(budgets, low, high, color=style["color"], alpha=0.15, linewidth=0)
    return line


def _finish(figure: Any, axes: Sequence[Any], entries: Sequence[Entry]) -> None:
    ticks = sorted({255 * cell.epsilon for entry in entries for cell in entry.cells})
    for axis, (_, title, label) in zip(axes, CURVES, strict=True):
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
        axis.minorticks_off()
        axis.set(ylim=(-2, 102), title=title, xlabel="L-inf budget, of 255", ylabel=label)
    head = entries[0]
    what = head.label + _mark(head) if len(entries) == 1 else "attackers who know the detector"
    figure.suptitle(f"{head.dataset.name}, {head.model.name}: {what} (hollow: not tested hard enough)")


def _mark(entry: Entry) -> str:
    return " (control)" if entry.detector.control else ""
