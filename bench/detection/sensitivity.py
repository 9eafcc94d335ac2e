"""How far a result about subnets depends on choices that the paper leaves open: one suite, many forms of gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..harness.tables import percent
from .cells import Columns, Measuring, compare
from .stated import read_gate_reports, read_sensitivity
from .suite import Sensitivity, Suite


@dataclass(frozen=True)
class Scored:
    """Results of a suite with one form of gates: its columns by label, and the gates' reports."""

    columns: dict[str, Columns]
    reports: list[list[dict[str, Any]]]


def variants(suite: Suite) -> Iterator[tuple[dict[str, Any], Suite]]:
    """Every choice with its variant of the suite: one protocol, and only the detectors that are compared."""
    plan = suite.sensitivity
    if plan is None:
        return
    labels = {plan.detector, plan.control, plan.baseline}
    for position in plan.position:
        for norm, gammas in plan.gamma.items():
            for gamma in gammas:
                choice = {"position": position, "l1": norm, "gamma": gamma}
                # A form of gates that collapses a subnet is a result here, not a mistake.
                subnets = {**(suite.subnets or {}), **choice, "allow_collapsed": True}
                yield (
                    choice,
                    suite.model_copy(
                        update={
                            "subnets": subnets,
                            "sensitivity": None,
                            "protocols": suite.protocols[:1],
                            "detectors": [part for part in suite.detectors if part.title in labels],
                        }
                    ),
                )


def sweep(suite: Suite, plan: Sensitivity, scored: Callable[[Suite, str], Scored]) -> dict[str, Any]:
    """A point for every choice and attack: AUROC of detector and control minus the baseline's, attack seen.

    ``scored`` runs a suite; the text describes it while it runs.
    """
    points: list[dict[str, Any]] = []
    tried = list(variants(suite))
    for number, (choice, variant) in enumerate(tried, start=1):
        shown = f"choice {number} of {len(tried)}: {choice['position']}, {choice['l1']} {choice['gamma']:g}"
        result = scored(variant, shown)
        rows = [row for report in result.reports for row in report]
        facts = {
            **choice,
            "binary": bool((variant.subnets or {}).get("binary", True)),
            "active": sum(row["active_total"] for row in rows) / len(rows),
            "tau_met": sum(bool(row["tau_met"]) for row in rows),
            "collapsed": sum(bool(row["collapsed"]) for row in rows),
            "balanced_accuracy": sum(row["subnet_balanced_accuracy"] for row in rows) / len(rows),
            "subnets": len(rows),
        }
        for attack in suite.attacks:
            pair = (attack.title, attack.title)
            point = facts | {"attack": attack.title}
            for prefix, label in (("", plan.detector), ("random_", plan.control)):
                if label not in result.columns:
                    continue
                for c in compare(
                    result.columns[label],
                    result.columns[plan.baseline],
                    [pair],
                    (label, plan.baseline),
                    Measuring.of(suite.protocols[0], suite.statistics.level),
                ):
                    point |= {f"{prefix}{key}": c[key] for key in ("difference", "low", "high")}
            if "difference" in point:
                points.append(point)
    labels = plan.model_dump(include={"baseline", "detector", "control"})
    head = {"suite": suite.name, "protocol": suite.protocols[0].name, "level": suite.statistics.level}
    return head | labels | {"points": points}


#: What tells the forms of gates of a sweep apart.
_FORM = ("position", "l1", "gamma")

SENSITIVITY_NOTE = (
    "One row a choice of gate position, form of ||lambda||_1 and its weight gamma, with one set of gates each. "
    "Active: share of channels left, the mean over classes; tau met, collapsed: subnets that met it, that are "
    "useless; balanced accuracy: one class against the rest, held-out training images. Then the AUROC of the "
    "subnets, and of random gates like them, minus that of the full net, in points with the paired 95% interval "
    "over images and fits, attack seen; not corrected for its many rows."
)


def sensitivity(folder: Path) -> pd.DataFrame:
    content = read_sensitivity(folder)
    if content is None:
        return pd.DataFrame()
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for point in (point.model_dump(exclude_none=True) for point in content.points):
        head = {"position": point["position"], "L1": point["l1"], "gamma": f"{point['gamma']:g}"}
        row = rows.setdefault(tuple(head.values()), head)
        row["active"] = percent(point["active"])
        for name in ("tau_met", "collapsed"):
            row[name.replace("_", " ")] = f"{point[name]} of {point['subnets']}"
        row["balanced accuracy"] = f"{point['balanced_accuracy']:.3f}"
        for prefix, title in (("", ""), ("random_", "random ")):
            if f"{prefix}difference" in point:
                row[f"{title}{point['attack']}"] = (
                    f"{100 * point[f'{prefix}difference']:+.1f} "
                    f"[{100 * point[f'{prefix}low']:+.1f}, {100 * point[f'{prefix}high']:+.1f}]"
                )
    return pd.DataFrame(rows.values())


def own_rank(folder: Path) -> list[str]:
    """Lines of Markdown: where the suite's own gates stand in its sweep."""
    stated = read_gate_reports(folder)
    options = {} if stated is None else stated.options.stated()
    ranks = ranks_of(folder, options)
    if not ranks:
        return []
    own = f"`{options['position']}`, `{options['l1']}`, gamma {options['gamma']:g}"
    return [f"The suite's own detectors use {own}, by difference {ranks}. {BEST_OF_SEVERAL}", ""]


BEST_OF_SEVERAL = "The best of several choices tried is too good by chance."


def ranks_of(folder: Path, options: Mapping[str, Any]) -> str:
    """The ranks of a form of gates in a folder's sweep, attack by attack; empty if it is none of those tried."""
    stated = read_sensitivity(folder)
    points = [] if stated is None else [point.model_dump() for point in stated.points]
    own = [point for point in points if all(point[key] == options.get(key) for key in _FORM)]
    ranks = []
    for mine in own:
        tried = [point["difference"] for point in points if point["attack"] == mine["attack"]]
        ranks.append(f"{1 + sum(d > mine['difference'] for d in tried)} of {len(tried)} on {mine['attack']}")
    return ", ".join(ranks)
