"""Two detectors of one results folder, paired image by image, from their stored scores alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .cells import Pair, Samples, adjust, compare, measure
from .config import Statistics
from .entries import Entry, read_entries, read_scores, replicates
from .types import UserError


def compare_entries(folder: Path, first: str, second: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """For each protocol a title and one row a fit-on x test-on cell, Holm-corrected over the cells."""
    entries = read_entries(folder)
    labels = sorted({entry["detector"]["label"] for entry in entries})
    for label in (first, second):
        if label not in labels:
            raise UserError(f"There is no entry for {label!r} under {folder}; there are {', '.join(labels)}.")
    found = []
    for protocol in dict.fromkeys(entry["protocol"]["name"] for entry in entries):
        pair = [_entry(entries, protocol, label) for label in (first, second)]
        options = Statistics(**pair[0]["statistics"])
        attacks = list(pair[0]["attacks"])
        samples: list[Samples] = []
        values: dict[str, dict[Pair, float]] = {}
        for entry in pair:
            scores = read_scores(folder, entry)
            fits = [
                {"fit_on": c["fit_on"], "gate": gate, "split": split, "n_fit": 0, "candidate": 0, "remark": ""}
                for c in entry["cells"] if c["seen"] for gate, split in replicates(scores)
            ]  # fmt: skip
            ties = entry["protocol"]["ties"]
            cells, drawn = measure(scores, fits, attacks, ties=ties, options=options, seed=entry["seed"])
            samples.append(drawn)
            values[entry["detector"]["label"]] = {
                (c["fit_on"], c["test_on"]): c["auroc"] for c in cells if c["auroc"] is not None
            }
        pairs = [(fit_on, test_on) for fit_on in attacks for test_on in attacks]
        records = adjust(compare(samples[0], samples[1], pairs, (first, second), options))
        rows = [
            {
                "fitted on": r["fit_on"],
                "tested on": r["test_on"],
                first: f"{100 * values[first][r['fit_on'], r['test_on']]:.2f}",
                second: f"{100 * values[second][r['fit_on'], r['test_on']]:.2f}",
                "difference": f"{100 * r['difference']:+.2f} [{100 * r['low']:+.2f}, {100 * r['high']:+.2f}]",
                "p (Holm)": f"{r['p_holm']:.3f}",
                f"{first} is": r["verdict"],
            }
            for r in records
        ]
        found.append((f"{first} minus {second}, AUROC in points, protocol {protocol}", rows))
    return found


def _entry(entries: list[Entry], protocol: str, label: str) -> Entry:
    for entry in entries:
        if entry["protocol"]["name"] == protocol and entry["detector"]["label"] == label:
            return entry
    raise UserError(f"There is no entry for {label!r} under protocol {protocol}; run its suite again.")
