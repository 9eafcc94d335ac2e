"""Cost of a suite: time and memory, stage by stage, as its entries state them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from ..harness.tables import percent
from .aim import remark_of
from .entry import Entry
from .rows import head_of, sorted_frame

TIME_NOTE = (
    "Of the machine that made the entries. What several stages need (features of clean images, say) is counted in the "
    "first that asked for it. Memory is all that the process held at its highest."
)


def timing(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row per stage of each suite, and their sum without training the net, which shipped weights replace."""
    rows: list[dict[str, str]] = []
    for suite in dict.fromkeys(entry.suite.name for entry in entries):
        members = [entry for entry in entries if entry.suite.name == suite]
        stages = list(_stages(members))
        if not any(entry.cost.seconds for entry in members):
            continue  # from a version that did not record it
        total = sum(seconds for _, seconds, _ in stages)
        peaks = [peak for _, _, peak in stages if peak]
        minutes = _minutes(members[0])
        if minutes is not None:
            rows.append(_row(suite, "train the net (not in the sum)", 60 * minutes, None))
        rows += [_row(suite, *stage) for stage in stages]
        rows.append(_row(suite, "sum; highest", total, max(peaks, default=None)))
    return pd.DataFrame(rows)


def attack_seconds(entry: Entry) -> float:
    """Seconds that the attacks of an entry's suite took together."""
    return sum(attack.seconds_per_image * attack.images for attack in entry.attacks.values())


def _minutes(entry: Entry) -> float | None:
    """How long the net was trained, where its weights say so in a number."""
    try:
        minutes = float((entry.model.weights or {}).get("train_minutes", "nan"))
    except (TypeError, ValueError):
        return None
    return minutes if math.isfinite(minutes) else None


def _stages(entries: Sequence[Entry]) -> Iterator[tuple[str, float, float | None]]:
    for title, attack in entries[0].attacks.items():
        yield f"attack {attack.images} images with {title}", attack.seconds_per_image * attack.images, None
    sets = {gates.fingerprint: gates for entry in entries if entry.subnets for gates in entry.subnets.sets}
    if sets:
        peaks = [gates.peak_mb for gates in sets.values() if gates.peak_mb]
        count = f"{len(sets)} sets" if len(sets) > 1 else "one set"
        yield f"learn {count} of gates", sum(gates.seconds for gates in sets.values()), max(peaks, default=None)
    for entry in entries:
        cost = entry.cost
        if cost.seconds is not None:
            title = f"score, fit and evaluate {entry.label}, {entry.protocol_name}"
            yield title, cost.seconds, cost.peak_mb


def _row(suite: str, stage: str, seconds: float, peak: Any) -> dict[str, str]:
    return {"suite": suite, "stage": stage, "seconds": f"{seconds:.1f}", "peak MB": f"{peak:.0f}" if peak else ""}


STRENGTH_NOTE = (
    "Success: share of the correctly classified images that become misclassified, re-verified in float32. Norms and "
    "margin (largest other logit minus the true one): medians over successes, pixels in [0, 1]. 8-bit: share of "
    "successes that survive rounding to 8 bits."
)


def strength(entries: Sequence[Entry]) -> pd.DataFrame:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        for label, a in entry.attacks.items():
            parameters = ", ".join(
                f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in a.parameters.items()
            )
            rows[entry.suite.name, label] = {
                "dataset": entry.dataset.name,
                "net": entry.model.name,
                "attack": label,
                "library": f"{a.library} {a.version}",
                "parameters": parameters,
                "threat": a.threat,
                "n": str(a.clean_correct),
                "success %": percent(a.successes / a.clean_correct if a.clean_correct else None),
                "L2": _short(a.l2_median),
                "Linf": _short(a.linf_median),
                "margin": _short(a.margin_median),
                "8-bit %": percent(a.survives_8bit)
                if a.survives_8bit is not None or not a.successes
                else "not measured",
                "ms an image": f"{1000 * a.seconds_per_image:.1f}",
                "remark": remark_of(a.remark, a.threat, a.parameters, a.minimises),
            }
    if not any(row["remark"] for row in rows.values()):
        rows = {place: {k: v for k, v in row.items() if k != "remark"} for place, row in rows.items()}
    return pd.DataFrame(rows.values())


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


COST_NOTE = (
    "For each image scored, beyond the one pass through the net that all detectors share: milliseconds, forward and "
    "backward passes, all candidates together. Times are of the machine that made the entries."
)


def _passes(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def cost(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        c = entry.cost
        if c.seconds_per_image is None:
            continue
        rows.append(
            head_of(entry)
            | {
                "candidates": "–" if c.candidates is None else str(c.candidates),
                "ms an image": f"{1000 * c.seconds_per_image:.2f}",
                "forward": _passes(c.forward_per_image),
                "backward": _passes(c.backward_per_image),
                "notes": entry.detector.notes,
            }
        )
    return sorted_frame(rows)
