"""Figure 3: the map of the classes' subnets."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pandas as pd

from ..analysis.semantics import class_map
from ..core.files import csv_text, write_text
from .dendrogram import tree_figure
from .style import COLOURS, COLUMN, bare, panels

#: Classes up to which figure 3 is a map, which names every point; more crowd it and are a heat map with its tree.
NAMED = 30


def figure3(folder: Path, figures: Path) -> Any:
    """Subnets of all classes by the distance of their gates: a map of few classes, a heat map of many.

    Places and clusters are written to ``figure3.csv``.
    """
    frame, dataset, share = class_map(folder)
    write_text(figures / "figure3.csv", csv_text(frame, "%.6f"))
    return map_figure(frame, dataset, share) if len(frame) <= NAMED else tree_figure(folder, frame, dataset)


def map_figure(frame: pd.DataFrame, dataset: str, share: float) -> Any:
    """Classes in the plane, with clusters and their members; ``share``: of the distances that the plane holds."""
    lines = [
        textwrap.fill(f"{number}: {', '.join(members['name'])}", 58, subsequent_indent="    ")
        for number, members in frame.groupby("cluster")
    ]
    figure, (axis,) = panels(1, 1, COLUMN, COLUMN + 0.4)
    listed = "\n".join(["clusters and their members", *lines])
    axis.set_xlabel(listed, fontsize=7, loc="left", multialignment="left")
    for number in sorted(set(frame["cluster"].tolist())):
        members = frame[frame["cluster"] == number]
        colour, marker = COLOURS[(number - 1) % len(COLOURS)], "osD^v"[(number - 1) // len(COLOURS) % 5]
        axis.scatter(members["x"], members["y"], c=colour, marker=marker, s=18, linewidths=0)
        for row in members.itertuples():
            axis.annotate(
                row.name,
                (row.x, row.y),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                va="center",
                color=colour,
                fontsize=7,
            )
    # Both axes have the same scale, since the map shows distances, and names need room at the edge.
    low, high = frame[["x", "y"]].min(), frame[["x", "y"]].max()
    half = 0.5 * float((high - low).max()) * 1.25 or 1.0
    middle = (low + high) / 2
    axis.set(xlim=(middle["x"] - half, middle["x"] + half), ylim=(middle["y"] - half, middle["y"] + half))
    axis.set_box_aspect(1)
    bare(axis)
    axis.set_title(
        f"{dataset}: subnets of {len(frame)} classes\ncosine distance of gates (the plane holds {share:.0%})"
    )
    return figure
