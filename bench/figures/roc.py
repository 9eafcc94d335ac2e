"""One detector: ROC curves and score histograms, from the per-image scores that its entry refers to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..detection.entry import DetectorNote, Entry, read_scores
from ..detection.scores import GRID, Sides, histogram, mean_roc, seen_sides
from .style import ADVERSARIAL, CLEAN, COLOURS, PAGE, panels


class Labelled(Protocol):
    """An entry of any track about a detector."""

    @property
    def label(self) -> str: ...

    @property
    def detector(self) -> DetectorNote: ...


def line_styles(entries: Sequence[Labelled]) -> dict[str, dict[str, Any]]:
    """Proposals in colour, solid lines before dash-dotted ones; controls grey, each with its own dashes."""
    full = cycle([{"color": c, "linestyle": dash} for dash in ("-", (0, (5, 1, 1, 1))) for c in COLOURS])
    grey = cycle(
        [
            {"color": c, "linestyle": (0, dash), "linewidth": 1.0}
            for c in ("#777777", "#aaaaaa")
            for dash in ((4, 1.5), (1, 1), (6, 1, 1, 1), (2.5, 1), (6, 3))
        ]
    )
    return {e.label: dict(next(grey if e.detector.control else full)) for e in entries}


def _roc_axes(axes: Any, title: str) -> None:
    """A square with a root scale for the false-positive rate: detectors differ near 0, and 0 can still be shown."""
    axes.plot(GRID, GRID, color="#dddddd", linewidth=0.8, zorder=0)
    axes.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    axes.set(xlim=(0, 1), ylim=(0, 1.01), title=title, xlabel="false positives (root scale)", ylabel="true positives")
    axes.set_box_aspect(1)
    axes.set_xticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1], ["0", ".01", ".05", ".1", ".25", ".5", "1"])
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def entry_figure(folder: Path, entry: Entry) -> Any:
    """One detector under one protocol: ROC curves of all attacks, and the scores of clean and adversarial images."""
    scores = read_scores(folder, entry)
    attacks = list(entry.attacks)
    rows = -(-len(attacks) // 2)
    figure, _ = panels(1, 1, PAGE, max(2.8, 0.5 + 1.2 * rows))
    figure.clear()
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.45))
    axis = left.subplots()
    grid = list(right.subplots(rows, min(2, len(attacks)), squeeze=False).ravel())
    cells = {(c.fit_on, c.test_on): c.auroc for c in entry.cells}
    for number, attack in enumerate(attacks):
        sides = seen_sides(scores, attack)
        if sides:
            value = cells.get((attack, attack))
            text = attack if value is None else f"{attack} {100 * value:.1f}"
            axis.plot(
                GRID,
                mean_roc(sides),
                label=text,
                color=COLOURS[number % len(COLOURS)],
                linestyle=("-", "--", "-.", ":")[number % 4],
            )
        _histogram(grid[number], sides, f"seen {attack}")
    for spare in grid[len(attacks) :]:
        spare.axis("off")
    _roc_axes(axis, "ROC, AUROC in percent")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="lower right", handlelength=2.2)
    negatives = "clean and noisy" if "noisy" in set(scores.kind) else "clean"
    for colour, text in ((CLEAN, f"{negatives} images"), (ADVERSARIAL, "adversarial images")):
        grid[0].fill_between([], [], color=colour, alpha=0.5, label=text)
    right.legend(loc="outside lower center", ncols=2)
    for axis in grid[max(0, len(attacks) - 2) : len(attacks)]:
        axis.set_xlabel("score (higher: more adversarial)")
    for axis in grid[:: min(2, len(attacks))]:
        axis.set_ylabel("share (root)")
    head = f"{entry.label}{' (control)' if entry.detector.control else ''}"
    figure.suptitle(f"{entry.dataset.name}, {entry.protocol_name}: {head}")
    return figure


def _histogram(axis: Any, sides: Sides, title: str) -> None:
    """All replicates together; scores beyond the central 99% fall into the outermost bins.

    The height is the root of the share, so that tails are visible beside a peak.
    """
    axis.set_title(title)
    if not sides:
        axis.text(0.5, 0.5, "not run", ha="center", transform=axis.transAxes)
        axis.set_yticks([])
        return
    bins = histogram(sides)
    edges = np.linspace(bins.low, bins.high, len(bins.negative) + 1)
    for share, colour in ((bins.negative, CLEAN), (bins.positive, ADVERSARIAL)):
        axis.stairs(share, edges, fill=True, color=colour, alpha=0.35)
        axis.stairs(share, edges, color=colour, linewidth=0.9)
    axis.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    axis.set_ylim(bottom=0)
    axis.set_yticks([])
    axis.minorticks_off()
