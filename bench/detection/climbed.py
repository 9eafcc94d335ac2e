"""The tables of a ladder: AUROC of both detectors at each step, their difference, what each step changes and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.grid import NONE
from ..core.text import BOLD
from ..harness.stale import table_files
from ..harness.tables import Report, Section, percent
from .cost import attack_seconds
from .entry import Entry
from .ladder import Climb, Climbed, Column, builtin_ladders, climb, differing, load_ladder, parts_of
from .published import PUBLISHED_ATTACKS, PUBLISHED_DETECTORS, against_published, published_table2
from .rows import ELSEWHERE, bracket, difference

NOT_RUN = "not run"

_STEPS = (
    "Each step changes one thing of the step before it on the same net; a step beside another one stands in its place. "
    "n: adversarial images evaluated. tau met: subnets with at most the paper's share of active channels. Minutes and "
    "milliseconds are of the machine that made the entries, and what a step shares with another one (attacks, gates) "
    "is counted in both; it is computed once."
)
_AUROC = "AUROC in percent with its 95% interval. Unknown: fitted on the first attack."
_AUROC_MARKS = {BOLD: "**Bold**: the published figure lies inside the interval.", **ELSEWHERE}
_MARGIN = "AUROC of the subnets minus that of Mahalanobis in points, paired on images, splits and sets of gates."
_MARGIN_MARKS = {
    BOLD: "**Bold**: better or worse after Holm's correction over the comparisons of the step's suite and protocol; "
    "the rest cannot be told apart."
}
_MOVED = (
    "By how many points each step moves the difference above from that of the step before it, without an interval: two "
    "steps keep different images, so that their figures are not paired."
)


def ladder_report(made: Climb, name: str) -> Report:
    """The report ``ladder-<name>.md`` with its tables; steps that no folder holds are in it as not run."""
    prefix = f"ladder-{name}"
    sections = [
        Section(f"{prefix}-steps", "The steps", lambda: steps_table(made), _STEPS),
        Section(
            f"{prefix}-auroc",
            "AUROC of both detectors",
            lambda: auroc_table(made),
            _AUROC,
            marks=_AUROC_MARKS,
            nothing=(NOT_RUN,),
        ),
        Section(
            f"{prefix}-margin",
            "What the subnets gain over Mahalanobis",
            lambda: margin_table(made),
            _MARGIN,
            marks=_MARGIN_MARKS,
            nothing=(NOT_RUN,),
        ),
        Section(f"{prefix}-moved", "Which step moves the gain", lambda: moved_table(made), _MOVED, nothing=(NOT_RUN,)),
    ]
    return Report(made.ladder.title, [f"{ran(made)}", ""], sections, name=prefix)


def ladder_reports(folders: Sequence[Path]) -> list[Report]:
    """The report of each ladder that ships of which a step has been run."""
    climbs = {name: climb(load_ladder(name), folders) for name in builtin_ladders()}
    return [ladder_report(of, name) for name, of in climbs.items() if any(step.ran for step in of.steps)]


def ladder_files() -> frozenset[str]:
    """All that the reports of the ladders that ship may write."""
    parts = ("steps", "auroc", "margin", "moved")
    of_each = (table_files(f"ladder-{name}", [f"ladder-{name}-{part}" for part in parts]) for name in builtin_ladders())
    return frozenset().union(*of_each)


def ran(made: Climb) -> str:
    """How many steps have been run, and which have not."""
    missing = [f"{c.step.step} on {c.step.net} (`subnetbench run {c.step.suite}`)" for c in made.steps if not c.ran]
    text = f"{len(made.steps) - len(missing)} of {len(made.steps)} steps have been run"
    return f"{text}; not run: {', '.join(missing)}." if missing else f"{text}."


def _head(climbed: Climbed) -> dict[str, str]:
    return {"net": climbed.step.net, "step": climbed.step.step}


def title_of(column: Column) -> str:
    kind, name = column
    return f"{kind} {PUBLISHED_ATTACKS.get(name, name)}"


def steps_table(made: Climb) -> pd.DataFrame:
    return pd.DataFrame([_head(c) | {"what changes": c.step.change} | _about(made, c) for c in made.steps])


def _about(made: Climb, climbed: Climbed) -> dict[str, str]:
    """The setting and the cost of a step."""
    step, one, two = climbed.step, climbed.baseline, climbed.subnets
    names = {"suite": step.suite, "protocol": step.protocol}
    if one is None or two is None:
        columns = ("differs in", "accuracy", "n", "active", "tau met", *_COSTS)
        return names | {"differs in": NOT_RUN} | dict.fromkeys(columns[1:], "–")
    counts = [round(sum(cell.n) / len(cell.n)) for cell in two.cells if cell.n and sum(cell.n)]
    reports = climbed.reports
    return names | {
        "differs in": _differs(made, climbed),
        "accuracy": percent(one.model.accuracy),
        "n": "–".join(map(str, dict.fromkeys((min(counts), max(counts))))) if counts else "0",
        "active": percent(sum(report.active_total for report in reports) / len(reports)) if reports else "–",
        "tau met": f"{sum(report.tau_met for report in reports)} of {len(reports)}" if reports else "–",
        **_costs(one, two),
    }


def _differs(made: Climb, climbed: Climbed) -> str:
    """The parts in which a step's suite differs from that of the step before, as the runs have stated them."""
    before = made.before(climbed)
    if before is None:
        return "first step"
    if before.suite is None or climbed.suite is None:
        return "not known"
    things = differing(parts_of(climbed.suite, climbed.step), parts_of(before.suite, before.step))
    return ", ".join(things) or "nothing"


_COSTS = ("attacks, min", "gates, min", "scoring, min", "Mahalanobis, ms an image", "subnets, ms an image")


def _costs(one: Entry, two: Entry) -> dict[str, str]:
    gates = sum(gates.seconds for gates in two.subnets.sets) if two.subnets else 0.0
    scoring = sum(entry.cost.seconds or 0.0 for entry in (one, two))
    minutes = [f"{seconds / 60:.1f}" for seconds in (attack_seconds(one), gates, scoring)]
    each = [entry.cost.seconds_per_image for entry in (one, two)]
    return dict(zip(_COSTS, [*minutes, *("–" if s is None else f"{1000 * s:.2f}" for s in each)], strict=True))


def auroc_table(made: Climb) -> pd.DataFrame:
    """Two rows for each step, and two of the published table."""
    rows = []
    for climbed in made.steps:
        for label, entry in ((climbed.step.baseline, climbed.baseline), (climbed.step.subnets, climbed.subnets)):
            cells = {title_of(column): _auroc(made, climbed, entry, column) for column in made.columns}
            rows.append(_head(climbed) | {"detector": label} | cells)
    for detector in (PUBLISHED_DETECTORS["mahalanobis"], PUBLISHED_DETECTORS["subnet-mahalanobis"]):
        theirs = {title_of(column): published(made, detector, column) for column in made.columns}
        if any(value is not None for value in theirs.values()):
            texts = {title: "–" if value is None else f"{value:.2f}" for title, value in theirs.items()}
            rows.append({"net": "ResNet-34", "step": "published", "detector": detector} | texts)
    return pd.DataFrame(rows)


def _auroc(made: Climb, climbed: Climbed, entry: Entry | None, column: Column) -> str:
    if not climbed.ran or entry is None:
        return NOT_RUN
    pair = climbed.pair(column)
    cell = entry.by_pair().get(pair) if pair else None
    text = bracket(cell)
    theirs = published(made, PUBLISHED_DETECTORS.get(entry.detector.name, ""), column)
    inside = theirs is not None and against_published(cell, theirs)[1] == "yes"
    return f"**{text}**" if inside else text


def published(made: Climb, detector: str, column: Column) -> float | None:
    """The published AUROC in percent, if the table has this cell."""
    table, (kind, name) = published_table2(), column
    columns = {"dataset": made.ladder.dataset, "detector": detector, "protocol": kind}
    columns["attack"] = PUBLISHED_ATTACKS.get(name, "")
    for key, value in columns.items():
        table = table[table[key] == value]
    return float(table["auroc_percent"].iloc[0]) if len(table) else None


def published_margin(made: Climb, column: Column) -> float | None:
    """The published AUROC of the subnets minus that of Mahalanobis in points."""
    one, two = (published(made, PUBLISHED_DETECTORS[name], column) for name in ("mahalanobis", "subnet-mahalanobis"))
    return None if one is None or two is None else two - one


def published_margins(made: Climb) -> dict[Column, float]:
    """Those of the ladder's columns that the published table has."""
    margins = {column: published_margin(made, column) for column in made.columns}
    return {column: value for column, value in margins.items() if value is not None}


def held(climbed: Climbed, theirs: Mapping[Column, float]) -> str:
    """How many of the published differences lie inside the intervals of a step's own."""
    records = {column: climbed.margin(column) for column in theirs}
    inside = [_holds(record, theirs[column]) for column, record in records.items() if record is not None]
    return f"{sum(inside)} of {len(inside)}" if inside else NONE


def margin_table(made: Climb) -> pd.DataFrame:
    theirs = published_margins(made)
    rows = []
    for climbed in made.steps:
        cells = {title_of(column): _margin(climbed, climbed.margin(column)) for column in made.columns}
        rows.append(_head(climbed) | cells | ({"published inside": held(climbed, theirs)} if theirs else {}))
    if theirs:
        texts = {title_of(column): f"{theirs[column]:+.2f}" if column in theirs else "–" for column in made.columns}
        rows.append({"net": "ResNet-34", "step": "published"} | texts | {"published inside": ""})
    return pd.DataFrame(rows)


def _margin(climbed: Climbed, record: dict[str, Any] | None) -> str:
    if not climbed.ran:
        return NOT_RUN
    if record is None:
        return "–"
    text = difference(record)
    return text if record["verdict"] == "not separable" else f"**{text}**"


def _holds(record: dict[str, Any] | None, theirs: float) -> bool:
    """Whether an interval of a difference holds a published one, in points."""
    if record is None or record["low"] is None or record["high"] is None:
        return False
    return bool(record["low"] <= theirs / 100 <= record["high"])


def moved_table(made: Climb) -> pd.DataFrame:
    rows = []
    for climbed in made.steps:
        before = made.before(climbed)
        if before is None:
            continue
        cells = {title_of(column): _moved(climbed, before, column) for column in made.columns}
        rows.append(_head(climbed) | {"what changes": climbed.step.change} | cells)
    return pd.DataFrame(rows)


def _moved(climbed: Climbed, before: Climbed, column: Column) -> str:
    one, two = climbed.margin(column), before.margin(column)
    if not (climbed.ran and before.ran):
        return NOT_RUN
    return "–" if one is None or two is None else f"{100 * (one['difference'] - two['difference']):+.1f}"
