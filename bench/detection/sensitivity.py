"""How far a result about subnets rests on choices that their paper leaves open: one suite, many forms of its gates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..harness.suite import Sensitivity, Suite
from .cells import Samples, compare


@dataclass(frozen=True)
class Scored:
    """What a suite with one form of gates gave: its cells' repetitions by label, and the gates' reports."""

    samples: dict[str, Samples]
    reports: list[list[dict[str, Any]]]


def variants(suite: Suite) -> Iterator[tuple[dict[str, Any], Suite]]:
    """Every choice with the suite that makes it: one protocol, and only the detectors that are compared."""
    plan = suite.sensitivity
    if plan is None:
        return
    labels = {plan.detector, plan.control, plan.baseline}
    for position in plan.position:
        for norm, gammas in plan.gamma.items():
            for gamma in gammas:
                choice = {"position": position, "l1": norm, "gamma": gamma}
                # A form of gates that kills a subnet is a finding here, not a mistake.
                subnets = {**(suite.subnets or {}), **choice, "allow_collapsed": True}
                yield choice, suite.model_copy(update={
                    "subnets": subnets, "sensitivity": None, "protocols": suite.protocols[:1],
                    "detectors": [part for part in suite.detectors if part.title in labels],
                })  # fmt: skip


def sweep(suite: Suite, plan: Sensitivity, scored: Callable[[Suite, str], Scored]) -> dict[str, Any]:
    """A point for every choice and attack: AUROC of detector and control minus the baseline's, attack seen.

    ``scored`` runs a suite; the text is what to say of it while it runs.
    """
    points: list[dict[str, Any]] = []
    tried = list(variants(suite))
    for number, (choice, variant) in enumerate(tried, start=1):
        shown = f"choice {number} of {len(tried)}: {choice['position']}, {choice['l1']} {choice['gamma']:g}"
        found = scored(variant, shown)
        rows = [row for report in found.reports for row in report]
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
                if label not in found.samples:
                    continue
                for c in compare(found.samples[label], found.samples[plan.baseline], [pair], (label, plan.baseline),
                                 suite.statistics):  # fmt: skip
                    point |= {f"{prefix}{key}": c[key] for key in ("difference", "low", "high")}
            if "difference" in point:
                points.append(point)
    labels = plan.model_dump(include={"baseline", "detector", "control"})
    head = {"suite": suite.name, "protocol": suite.protocols[0].name, "level": suite.statistics.level}
    return head | labels | {"points": points}
