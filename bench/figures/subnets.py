"""Figure 3: the map of the classes' subnets."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from ..analysis.semantics import class_map
from ..core.files import csv_text, write_text
from .style import COLOURS, COLUMN, PAGE, bare, panels

#: Number of classes up to which figure 3 names every point; beyond it, points have the number of their cluster.
NAMED = 30


def figure3(folder: Path, figures: Path) -> Any:
    """Subnets of all classes in the plane, by the distance of their gates, with clusters and their members' names.

    Points and clusters are written to ``figure3.csv``.
    """
    frame, dataset, share = class_map(folder)
    write_text(figures / "figure3.csv", csv_text(frame, "%.6f"))
    named = len(frame) <= NAMED
    lines = [
        textwrap.fill(f"{number}: {', '.join(members['name'])}", 58, subsequent_indent="    ")
        for number, members in frame.groupby("cluster")
    ]
    listed = "\n".join(["clusters and their members", *lines])
    height = COLUMN + 0.4
    if named:
        figure, (axis,) = panels(1, 1, COLUMN, height)
        axis.set_xlabel(listed, fontsize=7, loc="left", multialignment="left")
    else:
        height = max(height, 0.128 * listed.count("\n") + 0.6)
        figure, (axis, beside) = panels(1, 2, PAGE, height, width_ratios=(1.25, 1))
        beside.axis("off")
        beside.text(0, 1, listed, va="top", linespacing=1.25, fontsize=7, transform=beside.transAxes)
    for number in sorted(set(frame["cluster"].tolist())):
        members = frame[frame["cluster"] == number]
        colour, marker = COLOURS[(number - 1) % len(COLOURS)], "osD^v"[(number - 1) // len(COLOURS) % 5]
        # With many classes, the number is the point: dots beside the numbers would leave no room.
        axis.scatter(members["x"], members["y"], c=colour, marker=marker, s=18, linewidths=0, alpha=1 if named else 0)
        for row in members.itertuples():
            axis.annotate(
                row.name if named else str(number),
                (row.x, row.y),
                xytext=(0, 7 if named else 0),
                textcoords="offset points",
                ha="center",
                va="center",
                color=colour,
                fontsize=7,
            )
    # Both axes have the same scale, since the map shows distances, and names need room at the edge.
    low, high = frame[["x", "y"]].min(), frame[["x", "y"]].max()
    half = 0.5 * float((high - low).max()) * (1.25 if named else 1.1) or 1.0
    middle = (low + high) / 2
    axis.set(xlim=(middle["x"] - half, middle["x"] + half), ylim=(middle["y"] - half, middle["y"] + half))
    axis.set_box_aspect(1)
    bare(axis)
    axis.set_title(
        f"{dataset}: subnets of {len(frame)} classes\ncosine distance of gates (the plane holds {share:.0%})"
    )
    return figure
