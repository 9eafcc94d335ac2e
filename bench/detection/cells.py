"""From per-image scores to cells: metrics with intervals for each fit-on x test-on pair; paired comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ..core.arrays import Floats
from ..stats.inference import holm, verdict
from ..stats.metrics import Ties, auroc, summary
from ..stats.splits import (
    Design,
    Evaluated,
    Place,
    Replicates,
    advantages,
    difference_test,
    estimate,
    share_interval,
)
from .fits import ALL_ATTACKS, WORST_CASE, all_but, further_pairs
from .points import DECIMALS, derived_points, points, points_remark
from .scores import by_kind, rows_of_frame
from .suite import NO_GATES, AnyProtocol, Pair
from .worst import Side, worst_sides


@dataclass(frozen=True)
class Measuring:
    """How cells are measured: ties, the level of intervals, the splits' design, and a protocol's further metrics.

    ``calibrates``: cells have operating points, and there are those of the fits on several attacks and the worst cases.
    """

    ties: Ties
    level: float
    design: Design
    further: Callable[[Floats, Floats], dict[str, float]] | None = None
    calibrates: bool = False

    @classmethod
    def of(cls, protocol: AnyProtocol, level: float) -> Measuring:
        return cls(protocol.ties, level, protocol.design, protocol.further_metrics, protocol.calibrates)


@dataclass(frozen=True)
class Column:
    """One detector's cell as comparisons need it: its replicates, and how many images it evaluates."""

    replicates: Replicates
    images: int


#: The columns of a detector by which it is compared.
Columns = dict[Pair, Column]


def measure(
    scores: pd.DataFrame, fits: Sequence[Mapping[str, Any]], attacks: Sequence[str], how: Measuring
) -> list[dict[str, Any]]:
    """One record for each fit-on x test-on pair, including cells that could not be run, with the reason."""
    columns = scores["image"].to_numpy(), scores["score"].to_numpy()
    groups = {key: (columns[0][rows], columns[1][rows]) for key, rows in rows_of_frame(scores).items()}
    cells: list[dict[str, Any]] = []
    for pair in _pairs(attacks, fits, how):
        records = [record for record in fits if record["fit_on"] == pair[0]]
        places = [(int(record.get("gate", 0)), int(record["split"])) for record in records]
        if pair[1] == WORST_CASE:
            kinds = [worst_sides(groups, pair[0], attacks, place) for place in places]
        else:
            kinds = [by_kind(groups, pair, place) for place in places]
        cells.append(_cell(pair, records, places, kinds, how))
    return cells


def _pairs(attacks: Sequence[str], fits: Sequence[Mapping[str, Any]], how: Measuring) -> list[Pair]:
    """The cells of a protocol: each attack by each; where it calibrates, also those of `fits`."""
    pairs = list(product(attacks, attacks))
    if not how.calibrates:
        return pairs
    fitted = {record["fit_on"] for record in fits}
    if ALL_ATTACKS in fitted:
        pairs += [*further_pairs(attacks), (ALL_ATTACKS, WORST_CASE)]
    return [*pairs, (attacks[0], WORST_CASE)] if attacks[0] in fitted else pairs


def _cell(
    pair: Pair,
    records: Sequence[Mapping[str, Any]],
    places: Sequence[Place],
    kinds: Sequence[Mapping[str, Side]],
    how: Measuring,
) -> dict[str, Any]:
    evaluated = [len(by["adversarial"][0]) if by else 0 for by in kinds]
    cell: dict[str, Any] = {
        "fit_on": pair[0],
        "test_on": pair[1],
        "seen": pair[0] == pair[1],
        "n_fit": [int(record["n_fit"]) for record in records],
        "n": evaluated,
        "candidates": [int(record["candidate"]) for record in records],
        "remark": _remark(records, evaluated),
    }
    if not any(evaluated):
        return cell | dict.fromkeys(NOTHING)
    if how.calibrates:
        cell["points_remark"] = points_remark(
            max(len(by["calibration"][0]) if "calibration" in by else 0 for by in kinds)
        )
    sides = [_sides(by, "adversarial") for by in kinds]
    metrics = [_metrics(side, how) if side else None for side in sides]
    known = [figures for figures in metrics if figures]
    cell |= {name: float(np.mean([figures[name] for figures in known])) for name in known[0]}
    cell["images"] = len(np.unique(np.concatenate([side.positive_images for side in sides if side])))
    for name in ("auroc", "fpr95"):
        cell[f"{name}_by_split"] = [None if figures is None else figures[name] for figures in metrics]
    cell["advantage_by_split"] = _advantages(places, sides, how.ties)
    if any("noise" in by for by in kinds):
        noise = [_sides(by, "noise") if "noise" in by else None for by in kinds]
        cell["noise_by_split"] = [None if side is None else _auroc(side, how.ties) for side in noise]
        cell["noise_advantage_by_split"] = _advantages(places, noise, how.ties)
    cell |= points(places, kinds)
    return cell | derived(cell, places, how)


def derived(cell: Mapping[str, Any], places: Sequence[Place], how: Measuring) -> dict[str, Any]:
    """The figures of a cell that follow from those of its splits: means, intervals, deviations."""
    column = column_of(cell, places)
    if column is None:
        return {}
    mean = estimate(column.replicates, how.design)
    figures: dict[str, Any] = {"auroc": mean.value}
    figures["low"], figures["high"] = share_interval(mean, column.images, how.level)
    figures["fpr95"] = float(np.mean([value for value in cell["fpr95_by_split"] if value is not None]))
    for name, of in (("split", 1), ("gate", 0)):
        groups = [place[of] for place in column.replicates.places]
        figures[f"{name}_sd"] = _deviation(groups, column.replicates.values)
    noise = column_of(cell, places, "noise_", "noise_advantage")
    figures["noise_auroc"] = None
    if noise is not None:
        mean = estimate(noise.replicates, how.design)
        figures["noise_auroc"] = mean.value
        if cell["seen"]:
            figures["noise_low"], figures["noise_high"] = share_interval(mean, noise.images, how.level)
    return figures | derived_points(cell, places, how.design, how.level)


def column_of(
    cell: Mapping[str, Any], places: Sequence[Place], name: str = "auroc_", advantage: str = "advantage"
) -> Column | None:
    """A cell's replicates from its figures by split; None where it could not be run."""
    values = cell.get(f"{name}by_split") or ()
    own = cell.get(f"{advantage}_by_split") or ()
    rows = [k for k, value in enumerate(values) if value is not None]
    if not rows:
        return None
    parts = (np.array([of[k] for k in rows], np.float64) for of in (values, own))
    return Column(Replicates(tuple(places[k] for k in rows), *parts), int(cell["images"]))


def columns(cells: Sequence[Mapping[str, Any]], places: Sequence[Place]) -> Columns:
    """All columns of a detector's cells that could be run."""
    found = {(cell["fit_on"], cell["test_on"]): column_of(cell, places) for cell in cells}
    return {pair: column for pair, column in found.items() if column is not None}


def _sides(kinds: Mapping[str, Side], positive: str) -> Evaluated | None:
    if positive not in kinds:
        return None
    clean = [kinds[kind] for kind in ("clean", "noisy") if kind in kinds]
    negative = (np.concatenate([side[k] for side in clean]) for k in (0, 1))
    return Evaluated(*kinds[positive], *negative)


def _metrics(side: Evaluated, how: Measuring) -> dict[str, float]:
    metrics = summary(side.positive, side.negative, ties=how.ties)
    metrics |= how.further(side.positive, side.negative) if how.further else {}
    return {name: round(value, DECIMALS) for name, value in metrics.items()}


def _auroc(side: Evaluated, ties: Ties) -> float:
    return round(auroc(side.positive, side.negative, ties=ties), DECIMALS)


def _advantages(places: Sequence[Place], sides: Sequence[Evaluated | None], ties: Ties) -> list[float | None]:
    """`advantages` within each set of gates; None where a split could not be run."""
    result: list[float | None] = [None] * len(places)
    for gate in sorted({gate for gate, _ in places}):
        rows = [(k, side) for k, side in enumerate(sides) if side is not None and places[k][0] == gate]
        if rows:
            found = advantages([side for _, side in rows], ties)
            for (k, _), value in zip(rows, found, strict=True):
                result[k] = round(float(value), DECIMALS)
    return result


#: Figures that are None in a cell without replicates, in order.
NOTHING = ("auroc", "aupr", "fpr95", "accuracy", "low", "high", "split_sd", "gate_sd", "noise_auroc")


def empty_cell(pair: Pair, reason: str) -> dict[str, Any]:
    """A cell of a detector that could not be run."""
    nothing = {name: None for name in NOTHING if name != "gate_sd"}
    head = {"fit_on": pair[0], "test_on": pair[1], "seen": pair[0] == pair[1]}
    return head | {"n_fit": [], "n": [], "candidates": [], "remark": reason} | nothing


def _deviation(groups: Sequence[int], values: Floats) -> float | None:
    """Standard deviation of the groups' means; None for a single group."""
    means = pd.Series(values).groupby(list(groups)).mean()
    return float(means.std()) if len(means) > 1 else None


def _remark(records: Sequence[Mapping[str, Any]], evaluated: Sequence[int]) -> str:
    remarks = list(dict.fromkeys(str(record["remark"]) for record in records if record["remark"]))
    if records and not any(evaluated):
        return remarks[0] if remarks else "no successful adversarial to evaluate (n = 0)"
    if not remarks:
        return ""
    splits = {record["split"] for record in records}
    marked = {record["split"] for record in records if record["remark"]}
    return remarks[0] if len(splits) == 1 else f"{remarks[0]} (in {len(marked)} of {len(splits)} splits)"


def column_title(pair: Pair) -> str:
    if WORST_CASE in pair:
        return f"{WORST_CASE} of each image, fitted on {pair[0]}"
    if pair[0] in (ALL_ATTACKS, all_but(pair[1])):
        return f"{pair[1]}, fitted on {pair[0]}"
    return f"{'seen' if pair[0] == pair[1] else 'unknown'} {pair[1]}"


def matched(first: Replicates, second: Replicates) -> list[tuple[int, int]]:
    """Matching rows of both: the same split, and the same set of gates where both use gates.

    A detector without gates is paired with every set of the other; replicates that only one has are left out.
    """
    return [
        (i, j)
        for i, (gate, split) in enumerate(first.places)
        for j, (other, its_split) in enumerate(second.places)
        if split == its_split and (gate == other or NO_GATES in (gate, other))
    ]


def compare(
    first: Columns, second: Columns, pairs: Sequence[Pair], labels: tuple[str, str], how: Measuring
) -> list[dict[str, Any]]:
    """Paired differences of AUROC, first minus second, on the same images and splits; p not yet adjusted."""
    records = []
    for pair in pairs:
        if pair not in first or pair not in second:
            continue
        one, other = first[pair], second[pair]
        matches = matched(one.replicates, other.replicates)
        if not matches:
            continue
        mean = estimate(one.replicates.minus(other.replicates, matches), how.design)
        test = difference_test(mean, min(one.images, other.images), how.level)
        records.append(
            {
                "first": labels[0],
                "second": labels[1],
                "fit_on": pair[0],
                "test_on": pair[1],
                "difference": mean.value,
                "replicates": len(matches),
                "low": test.low,
                "high": test.high,
                "p": test.p,
            }
        )
    return records


def adjust(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Apply Holm's correction over a family of claims and add each one's verdict."""
    for record, p in zip(records, holm([r["p"] for r in records]) if records else [], strict=True):
        record["p_holm"] = float(p)
        record["verdict"] = verdict(record["difference"], float(p))
    return records


def leaders(detectors: Mapping[str, Columns], pairs: Sequence[Pair], how: Measuring) -> list[dict[str, Any]]:
    """For each column, the detector with the highest AUROC and all that are not separable from it (Holm).

    A detector that shares no replicate with the best counts as not separable.
    """
    groups = []
    for pair in pairs:
        able = [label for label in detectors if pair in detectors[label]]
        if not able:
            continue
        best = max(able, key=lambda label: float(np.mean(detectors[label][pair].replicates.values)))
        tested: list[dict[str, Any]] = []
        for label in able:
            if label != best:
                tested += compare(detectors[best], detectors[label], [pair], (best, label), how)
        apart = {r["second"] for r in adjust(tested) if r["verdict"] != "not separable"}
        equal = sorted(label for label in able if label != best and label not in apart)
        groups.append({"fit_on": pair[0], "test_on": pair[1], "best": best, "not_separable": equal})
    return groups
