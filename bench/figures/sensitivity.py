"""A picture of the effect of the choices in gate training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..detection.stated import Sensitivity
from ..harness.entry import read_form
from .style import COLOURS, COLUMN, PAGE, panels


def read_points(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The head and the points of a sensitivity file; UserError if it is not one."""
    content = read_form(Sensitivity, path)
    head = {name: value for name, value in content.model_dump(exclude={"points"}).items() if value}
    return head, pd.DataFrame([point.model_dump() for point in content.points])


def sensitivity_figure(path: Path) -> Any:
    """The effect of choices in gate training: AUROC minus the baseline's over the share of active channels.

    One panel per attack, all on one scale; marker: position of the gates; colour: normalisation of L1; hollow and grey:
    random gates.
    """
    head, points = read_points(path)
    attacks = list(dict.fromkeys(points["attack"]))
    columns = min(3, len(attacks))
    rows = -(-len(attacks) // columns)
    width = COLUMN if columns == 1 else PAGE
    figure, axes = panels(rows, columns, width, 2.0 * rows + 0.9, sharex=True, sharey=True)
    markers = dict(zip(dict.fromkeys(points["position"]), cycle("osD^v<>P"), strict=False))
    colours = dict(zip(dict.fromkeys(points["l1"]), cycle(COLOURS), strict=False))
    for axis, attack in zip(axes, attacks, strict=False):
        axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        for row in points[points["attack"] == attack].to_dict("records"):
            marker = markers[row["position"]]
            if not pd.isna(row.get("random_difference", np.nan)):
                _point(axis, row, "random_", marker, "#999999", hollow=True)
            _point(axis, row, "", marker, colours[row["l1"]], hollow=False)
        axis.set_title(f"seen {attack}")
    for axis in axes[max(0, len(attacks) - columns) : len(attacks)]:
        axis.set_xlabel("active channels (%)")
        axis.tick_params(labelbottom=True)
    for axis in axes[::columns]:
        axis.set_ylabel(f"AUROC minus that of\n{head.get('baseline', 'mahalanobis')} (points)")
    for axis in axes[len(attacks) :]:
        axis.axis("off")
    about = ", ".join(str(head[key]) for key in ("suite", "protocol") if key in head)
    figure.suptitle(f"{about}: {head.get('detector', 'subnet-mahalanobis')}")
    marks = [
        axes[0].plot([], [], linestyle="", marker=m, color="#333333", markersize=4, label=str(position))[0]
        for position, m in markers.items()
    ]
    marks += [
        axes[0].plot([], [], linestyle="", marker="s", color=c, markersize=4, label=f"L1 {norm}")[0]
        for norm, c in colours.items()
    ]
    marks += axes[0].plot(
        [],
        [],
        linestyle="",
        marker="o",
        color="#999999",
        markerfacecolor="white",
        markersize=4,
        label="random gates (control)",
    )
    figure.legend(handles=marks, loc="outside lower center", ncols=columns + 1, columnspacing=1.2)
    return figure


def _point(axis: Any, row: Mapping[str, Any], prefix: str, marker: str, colour: str, *, hollow: bool) -> None:
    value, low, high = (100 * row[f"{prefix}{name}"] for name in ("difference", "low", "high"))
    axis.errorbar(
        100 * row["active"],
        value,
        [[max(0.0, value - low)], [max(0.0, high - value)]],
        marker=marker,
        markersize=4,
        color=colour,
        markerfacecolor="white" if hollow else colour,
        linestyle="",
        elinewidth=0.7,
        capsize=1.5,
        capthick=0.7,
        zorder=2 if hollow else 3,
    )
