"""A picture of a ladder: AUROC of Mahalanobis and of the subnets at each step, and the published values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from ..detection.climbed import published, title_of
from ..detection.entry import Entry
from ..detection.ladder import Climb, Climbed, Column
from ..detection.published import PUBLISHED_DETECTORS
from .style import COLOURS, panels

#: Width of a column of a paper in inches, and the size of all text in points.
WIDTH, SIZE = 3.3, 8

#: The colour of a step that has not been run, as dark as text has to be on white.
NOT_RUN = "#767676"

DETECTORS = (
    ("mahalanobis", "Mahalanobis", COLOURS[0], "o", -0.08),
    ("subnet-mahalanobis", "subnets", COLOURS[1], "s", 0.08),
)


def ladder_figures(climb: Climb) -> Iterator[tuple[str, Any]]:
    """For each net with a step that has been run, the suffix of its file's name and its figure."""
    for net in dict.fromkeys(climbed.step.net for climbed in climb.steps):
        line = [c for c in climb.steps if c.step.net == net]
        if any(climbed.ran for climbed in line):
            suffix = re.sub(r"[^a-z0-9]+", "-", net.lower()).strip("-")
            yield suffix, _figure(climb, net, line)


def _figure(climb: Climb, net: str, line: Sequence[Climbed]) -> Any:
    """A panel for each cell of Table 2: seen on the left, the same attack unknown on the right."""
    names = list(dict.fromkeys(name for _, name in climb.columns))
    figure, axes = panels(len(names), 2, WIDTH, 1.15 * len(names) + 0.75, sharex=True)
    for row, name in enumerate(names):
        for place, kind in enumerate(("seen", "unknown")):
            axis = axes[2 * row + place]
            if (kind, name) in climb.columns:
                _panel(axis, climb, line, (kind, name))
            else:
                axis.axis("off")  # the first attack is never unknown: its place holds what the lines are
                _lines_named(axis, whole=all(climbed.ran for climbed in line))
    for axis in axes[-2:]:
        # Upright: level ones such as e-mean would run into each other, slanted ones stand off their ticks.
        axis.set_xticks(range(len(line)), [climbed.step.step for climbed in line], fontsize=SIZE, rotation=90)
        axis.tick_params(labelbottom=True)
        for label, climbed in zip(axis.get_xticklabels(), line, strict=True):
            label.set_color("black" if climbed.ran else NOT_RUN)
    figure.supylabel("AUROC (%)", fontsize=SIZE)
    figure.suptitle(f"{climb.ladder.title}\n{net}", fontsize=SIZE)
    return figure


def _panel(axis: Any, climb: Climb, line: Sequence[Climbed], column: Column) -> None:
    for name, _, colour, marker, shift in DETECTORS:
        theirs = published(climb, PUBLISHED_DETECTORS[name], column)
        if theirs is not None:
            axis.axhline(theirs, color=colour, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        points = [(place, _cell(climbed, name, column)) for place, climbed in enumerate(line)]
        main = [(place, cell) for place, cell in points if line[place].step.beside is None]
        beside = [(place, cell) for place, cell in points if cell and line[place].step.beside is not None]
        for stretch in _unbroken(main):
            _drawn(axis, stretch, shift, color=colour, marker=marker, linestyle="-")
        _drawn(axis, beside, shift, color=colour, marker=marker, linestyle="")
    axis.set_title(title_of(column), fontsize=SIZE, pad=2)
    axis.set_xlim(-0.4, len(line) - 0.6)
    axis.tick_params(labelsize=SIZE)


def _unbroken(points: Sequence[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    """Points between which a line may lead: none leads over a step without a figure."""
    for has_figure, stretch in groupby(points, lambda point: point[1] is not None):
        if has_figure:
            yield list(stretch)


def _drawn(axis: Any, points: Sequence[tuple[int, Any]], shift: float, **look: Any) -> None:
    """Points with their intervals."""
    if not points:
        return
    values = [100 * cell.auroc for _, cell in points]
    spread = [
        [max(0.0, value - 100 * cell.low) for value, (_, cell) in zip(values, points, strict=True)],
        [max(0.0, 100 * cell.high - value) for value, (_, cell) in zip(values, points, strict=True)],
    ]
    places = [place + shift for place, _ in points]
    axis.errorbar(places, values, spread, markersize=3, linewidth=1, elinewidth=0.7, capsize=0, **look)


def _cell(climbed: Climbed, name: str, column: Column) -> Any:
    entry: Entry | None = climbed.baseline if name == "mahalanobis" else climbed.subnets
    pair = climbed.pair(column)
    cell = entry.by_pair().get(pair) if entry is not None and pair else None
    return cell if cell is not None and cell.auroc is not None else None


def _lines_named(axis: Any, whole: bool) -> None:
    """The names of the lines, each in its colour, where a panel would be empty; ``whole``: every step has been run."""
    for height, (_, text, colour, _, _) in zip((0.82, 0.62), DETECTORS, strict=True):
        axis.text(0.02, height, text, color=colour, fontsize=SIZE, transform=axis.transAxes)
    about = [(0.31, "dashed: published,\nResNet-34", "#333333"), (0.12, "grey steps: not run", NOT_RUN)]
    for height, text, colour in about[: 1 if whole else 2]:
        axis.text(0.02, height, text, color=colour, fontsize=SIZE, transform=axis.transAxes)
