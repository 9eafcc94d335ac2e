"""The class-specific subnets of a run, class by class, the mean over the sets of gates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..harness.gate_words import gate_departures, tau_met
from ..harness.reports import ClassReport
from ..harness.tables import percent
from .stated import read_gate_reports

SUBNETS_NOTE = (
    "Each class's subnet on held-out training images, one class against the rest, the mean over the sets of gates: "
    "share of active channels in percent (in all, and behind each gated module), balanced accuracy and binary "
    "cross-entropy of the full net and of the subnet, the epochs taken, and in how many sets the share was at most "
    "tau. The first row is the mean over classes."
)

_CHOICE = (
    "Another position, norm or gamma gives another result: the suite `cifar10-sensitivity` tries some, and "
    "`results/FINDINGS.md` says which of them the suites that ship use."
)


def subnets(folder: Path) -> pd.DataFrame:
    stated = read_gate_reports(folder)
    if stated is None:
        return pd.DataFrame()
    sets = [gates.report for gates in stated.sets]
    rows = [
        _subnet_row(name, [report[place] for report in sets for place in places])
        for name, places in _subnet_rows(len(sets[0]))
    ]
    return pd.DataFrame(rows)


def about_subnets(folder: Path) -> list[str]:
    """Lines of Markdown beside the table: how many subnets meet tau, what is not the paper's, where the choice is."""
    stated = read_gate_reports(folder)
    if stated is None:
        return []
    options = stated.options.stated()
    texts = [tau_met([report for gates in stated.sets for report in gates.report], options), gate_departures(options)]
    if not (folder / "sensitivity.json").is_file():
        texts.append(_CHOICE)
    return [*(f"- {text}" for text in texts if text), ""]


def _subnet_rows(classes: int) -> list[tuple[str, Sequence[int]]]:
    """Names of rows with the classes that each one averages."""
    return [("all", range(classes)), *((str(label), [label]) for label in range(classes))]


def _subnet_row(name: str, reports: Sequence[ClassReport]) -> dict[str, Any]:
    def mean(values: Iterable[float]) -> float:
        return sum(values) / len(reports)

    epochs = sorted({r.epoch for r in reports})
    row = {"class": name, "images": f"{mean(r.images for r in reports):.0f}"}
    row["active"] = percent(mean(r.active_total for r in reports))
    row |= {f"active {path}": percent(mean(r.active[path] for r in reports)) for path in reports[0].active}
    for kind in ("balanced_accuracy", "bce"):
        row |= {
            f"{kind} {net}": f"{mean(getattr(r, f'{net}_{kind}') for r in reports):.3f}" for net in ("full", "subnet")
        }
    met = sum(r.tau_met for r in reports)
    return row | {"epoch": ", ".join(map(str, epochs)), "tau met": f"{met} of {len(reports)}"}
