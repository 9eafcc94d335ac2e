"""Metrics of localisation with their intervals, and paired claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core.arrays import Bools, Floats, Ints
from ..core.errors import UserError
from ..core.store import Arrays
from ..stats.inference import holm, interval, paired_p, resample_counts, share_interval, verdict
from .suite import CLAIMS, V2_IOUS

#: Metrics by their names in tables, in their order.
METRICS = {
    "error": "GT-known error",
    "top1_error": "top-1 error",
    "maxbox_v1": "MaxBoxAcc V1",
    "maxbox_v2": "MaxBoxAcc V2",
    "pointing": "pointing game",
}

#: Results of every image, column by column.
Columns = pd.DataFrame | Mapping[str, npt.NDArray[Any]]


def scores_frame(
    ids: Ints, labels: Ints, correct: Bools, arrays: Arrays, alpha_index: int, threshold: float
) -> pd.DataFrame:
    """One row per image: ``iou`` is the best over its true boxes at the entry's alpha; ``hit``: whether it is enough.

    ``v1_<k>``, ``v2_<iou>_<k>``: hits of MaxBoxAcc at its k-th threshold.
    """
    iou = arrays["iou"][:, alpha_index].astype(np.float32)
    columns: dict[str, Any] = {
        "image": ids.astype(np.int32),
        "label": labels.astype(np.int16),
        "correct": correct,
        "usable": arrays["usable"],
        "iou": iou,
        "hit": iou >= threshold,
    }
    if "pointing" in arrays:
        columns["pointing"] = arrays["pointing"]
    if "v1" in arrays:
        for k in range(arrays["v1"].shape[1]):
            columns[f"v1_{k}"] = arrays["v1"][:, k]
            for place, least in enumerate(V2_IOUS):
                columns[f"v2_{least:g}_{k}"] = arrays["v2"][:, k, place]
    return pd.DataFrame(columns)


def samples(columns: Columns, counts: npt.NDArray[np.float32]) -> dict[str, Floats]:
    """Every metric in each bootstrap resample of the images, ``(B,)``, in [0, 1]; errors are shares of misses.

    ``columns`` are the available columns of `scores_frame`, as a frame or by name.
    """
    images = counts.sum(1)

    def share(values: Any) -> Floats:
        shares: Floats = counts @ np.asarray(values, np.float32) / images
        return shares

    hit, correct = (np.asarray(columns[name], bool) for name in ("hit", "correct"))
    metrics = {"error": share(~hit), "top1_error": share(~(hit & correct))}
    if "pointing" in columns:
        metrics["pointing"] = share(columns["pointing"])
    if "v1_0" in columns:
        second = np.stack([_hits(columns, f"v2_{least:g}_") for least in V2_IOUS], 2)
        metrics["maxbox_v1"], metrics["maxbox_v2"] = maxbox_acc(_hits(columns, "v1_"), second, counts)
    return metrics


def _hits(columns: Columns, prefix: str) -> Bools:
    names = [name for name in map(str, columns) if name.startswith(prefix)]
    names.sort(key=lambda name: int(name.rsplit("_", 1)[1]))
    return np.stack([np.asarray(columns[name], bool) for name in names], 1)


def maxbox_acc(v1: Bools, v2: Bools, counts: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """MaxBoxAcc and MaxBoxAccV2 of hits ``(N, T)`` and ``(N, T, 3)`` in each resample ``counts (B, N)``: ``(B,)`` each.

    Both use the best threshold on these same images; V2 averages over IoUs.
    """
    if not len(v1):
        raise UserError("There are no maps, so no MaxBoxAcc exists; give at least one image with a true box.")
    images = counts.sum(1)[:, None]
    best = [(counts @ hits.astype(np.float32) / images).max(1) for hits in (v1, *np.moveaxis(v2, 2, 0))]
    return best[0], np.mean(best[1:], axis=0)


def measured_metrics(frame: pd.DataFrame, counts: npt.NDArray[np.float32], level: float) -> dict[str, dict[str, float]]:
    """Metric -> value and percentile interval over images; alpha is treated as fixed."""
    whole = samples(frame, np.ones((1, len(frame)), np.float32))
    metrics = {}
    for name, drawn in samples(frame, counts).items():
        low, high = share_interval(drawn, len(frame), level)
        metrics[name] = {"value": float(whole[name][0]), "low": low, "high": high}
    return metrics


def drawn_counts(images: int, resamples: int, seed: int) -> npt.NDArray[np.float32]:
    """The resamples that all entries of a suite share for their comparisons."""
    return resample_counts(images, resamples, np.random.default_rng((seed, 23)))


def claims(
    frames: Mapping[tuple[str, str, str], pd.DataFrame], counts: npt.NDArray[np.float32], level: float
) -> list[dict[str, Any]]:
    """Paired differences in error, first minus second, with Holm's correction over all of them.

    ``frames`` are keyed by (net, method, variant). ``better``: the first errs less.
    """
    rows: list[dict[str, Any]] = []
    drawn: list[Floats] = []
    images = counts.sum(1)
    for net, method in dict.fromkeys((net, method) for net, method, _ in frames):
        for first, second in CLAIMS:
            if (net, method, first) not in frames or (net, method, second) not in frames:
                continue
            a, b = (~frames[net, method, variant]["hit"].to_numpy(bool) for variant in (first, second))
            by_image = a.astype(np.float32) - b.astype(np.float32)
            differences: Floats = counts @ by_image / images
            low, high = interval(differences, level)
            rows.append(
                {
                    "model": net,
                    "method": method,
                    "first": first,
                    "second": second,
                    "difference": float(by_image.mean()),
                    "low": low,
                    "high": high,
                    "p": paired_p(differences),
                }
            )
            drawn.append(-differences)  # less error is better
    for row, p, better in zip(rows, holm([row["p"] for row in rows]), drawn, strict=True):
        row["p_holm"] = float(p)
        row["verdict"] = verdict(float(np.median(better)), float(p))
    return rows
