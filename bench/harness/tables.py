"""Tables about the gates themselves: what each class's subnet is, and what a result owes to how gates are trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.arrays import UserError
from ..detection.entry import read_json


def percent(value: Any, digits: int = 1) -> str:
    return "–" if value is None or pd.isna(value) else f"{100 * value:.{digits}f}"


SUBNETS_NOTE = (
    "Each class's subnet on held-out training images, one class against the rest, the mean over the sets of gates: "
    "share of active channels in percent (in all, and behind each gated module), balanced accuracy and binary "
    "cross-entropy of the full net and of the subnet, the epochs taken, and in how many sets the share was at most "
    "tau. The first row is the mean over classes."
)


def subnets(folder: Path) -> pd.DataFrame:
    path = folder / "subnets.json"
    if not path.is_file():
        return pd.DataFrame()
    said = read_json(path)
    if "sets" not in said:
        raise UserError(f"{path} was written by an earlier version; run its suite again.")
    sets = [found["report"] for found in said["sets"]]
    rows = [_subnet_row(name, [report[place] for report in sets for place in places])
            for name, places in _subnet_rows(len(sets[0]))]  # fmt: skip
    return pd.DataFrame(rows)


def _subnet_rows(classes: int) -> list[tuple[str, Sequence[int]]]:
    """Names of rows with the classes they are made of."""
    return [("all", range(classes)), *((str(label), [label]) for label in range(classes))]


def _subnet_row(name: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    def mean(values: Iterable[float]) -> float:
        return sum(values) / len(found)

    epochs = sorted({r["epoch"] for r in found})
    row = {"class": name, "images": f"{mean(r['images'] for r in found):.0f}"}
    row["active"] = percent(mean(r["active_total"] for r in found))
    row |= {f"active {path}": percent(mean(r["active"][path] for r in found)) for path in found[0]["active"]}
    for kind in ("balanced_accuracy", "bce"):
        row |= {f"{kind} {net}": f"{mean(r[f'{net}_{kind}'] for r in found):.3f}" for net in ("full", "subnet")}
    met = sum(r["tau_met"] for r in found)
    return row | {"epoch": ", ".join(map(str, epochs)), "tau met": f"{met} of {len(found)}"}


SENSITIVITY_NOTE = (
    "One row a choice of gate position, form of ||lambda||_1 and its weight gamma, with one set of gates each. "
    "Active: share of channels left, the mean over classes; tau met, collapsed: subnets that met it, that are "
    "useless; balanced accuracy: one class against the rest, held-out training images. Then the AUROC of the "
    "subnets, and of random gates like them, minus that of the full net, in points with the paired 95% interval "
    "over images and splits, attack seen; not corrected for its many rows."
)


def sensitivity(folder: Path) -> pd.DataFrame:
    path = folder / "sensitivity.json"
    if not path.is_file():
        return pd.DataFrame()
    found = read_json(path)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for point in found["points"]:
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
