"""What a suite took: time and memory, stage by stage, as its entries tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from .entry import Entry

NOTE = (
    "Of the machine that made the entries. What several stages need (features of clean images, say) is counted in the "
    "first that asked for it. Memory is all that the process held at its highest."
)


def timing(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row a stage of each suite, and its sum without the training of the net, which weights that ship save."""
    rows: list[dict[str, str]] = []
    for suite in dict.fromkeys(entry["suite"]["name"] for entry in entries):
        own = [entry for entry in entries if entry["suite"]["name"] == suite]
        stages = list(_stages(own))
        if not any(entry["cost"].get("seconds") for entry in own):
            continue  # of a version that did not tell
        total = sum(seconds for _, seconds, _ in stages)
        peaks = [peak for _, _, peak in stages if peak]
        minutes = (own[0]["model"].get("weights") or {}).get("train_minutes")
        if minutes:
            rows.append(_row(suite, "train the net (not in the sum)", 60 * float(minutes), None))
        rows += [_row(suite, *stage) for stage in stages]
        rows.append(_row(suite, "sum; highest", total, max(peaks, default=None)))
    return pd.DataFrame(rows)


def _stages(entries: Sequence[Entry]) -> Iterator[tuple[str, float, float | None]]:
    for title, attack in entries[0]["attacks"].items():
        yield f"attack {attack['images']} images with {title}", attack["seconds_per_image"] * attack["images"], None
    sets = {one["fingerprint"]: one for entry in entries for one in (entry["subnets"] or {}).get("sets", ())}
    if sets:
        peaks = [one["peak_mb"] for one in sets.values() if one.get("peak_mb")]
        count = f"{len(sets)} sets" if len(sets) > 1 else "one set"
        yield f"learn {count} of gates", sum(one["seconds"] for one in sets.values()), max(peaks, default=None)
    for entry in entries:
        cost = entry["cost"]
        if "seconds" in cost:
            title = f"score, fit and evaluate {entry['detector']['label']}, {entry['protocol']['name']}"
            yield title, cost["seconds"], cost.get("peak_mb")


def _row(suite: str, stage: str, seconds: float, peak: Any) -> dict[str, str]:
    return {"suite": suite, "stage": stage, "seconds": f"{seconds:.1f}", "peak MB": f"{peak:.0f}" if peak else ""}
