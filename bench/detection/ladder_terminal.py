"""The terminal's form of a ladder: each step's setting in short, and the differences with intervals in short."""

from __future__ import annotations

from typing import Any

from ..core.grid import Column, Figure, Grid, Listing, Row
from ..core.legend import BEST, Legend
from .climbed import held, published_margins, steps_table, title_of
from .ladder import Climb

LEGEND = Legend(
    "AUROC of the subnets minus that of Mahalanobis in points, ± half the width of its 95% interval.",
    {BEST: "[bold green]Bold[/]: better or worse after Holm's correction; the rest cannot be told apart."},
)

_SHORT = ("net", "step", "what changes", "differs in", "n", "tau met")


def steps(made: Climb) -> Listing:
    frame = steps_table(made)
    rows = frame[[name for name in _SHORT if name in frame]].to_dict("records")
    return Listing(made.ladder.title, [{str(name): value for name, value in row.items()} for row in rows])


def margins(made: Climb) -> Grid:
    """The differences, a row a step that has been run; the last column counts the published ones that lie inside."""
    parts = [title_of(column).split(" ", 1) for column in made.columns]
    columns, rows = [Column(attack, kind) for kind, attack in parts], []
    theirs = published_margins(made)
    for climbed in (step for step in made.steps if step.ran):
        figures = [_figure(climbed.margin(column)) for column in made.columns]
        inside = [Figure(held(climbed, theirs))] if theirs else []
        rows.append(Row(f"{climbed.step.net}, {climbed.step.step}", [*figures, *inside]))
    if theirs:
        columns.append(Column("inside", part=columns[-1].part, above="published"))
        figures = [Figure(f"{theirs[column]:+.2f}") if column in theirs else Figure() for column in made.columns]
        rows.append(Row("ResNet-34, published", [*figures, Figure("")]))
    return Grid(f"{made.ladder.title}: subnets minus Mahalanobis, points", "net, step", columns, rows)


def _figure(record: dict[str, Any] | None) -> Figure:
    if record is None:
        return Figure()
    value, low, high = (f"{100 * record[name]:+.1f}" for name in ("difference", "low", "high"))
    half = f"±{50 * (record['high'] - record['low']):.1f}"
    decided = record["verdict"] != "not separable"
    return Figure(value, spread=half, low=low, high=high, best=decided, best_means=record["verdict"])
