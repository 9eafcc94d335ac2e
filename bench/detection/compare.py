"""Two detectors of one results folder, paired image by image, from their stored scores alone: figures and curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.arrays import Float64
from ..core.errors import UserError
from .cells import Pair, Samples, adjust, compare, measure
from .entry import Entry, read_entries, read_scores, replicates
from .scores import mean_roc, seen_sides
from .suite import Statistics


@dataclass(frozen=True)
class Compared:
    """One protocol: its entries, their scores, and what `cells.compare` says of each cell."""

    protocol: str
    labels: tuple[str, str]
    entries: tuple[Entry, Entry]
    scores: tuple[pd.DataFrame, pd.DataFrame]
    values: tuple[dict[Pair, float], dict[Pair, float]]
    records: list[dict[str, Any]]

    @property
    def title(self) -> str:
        return f"{self.labels[0]} minus {self.labels[1]}, AUROC in points, protocol {self.protocol}"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The records as a table that a terminal shows."""
        first, second = self.labels
        return [
            {
                "fitted on": r["fit_on"],
                "tested on": r["test_on"],
                first: f"{100 * self.values[0][r['fit_on'], r['test_on']]:.2f}",
                second: f"{100 * self.values[1][r['fit_on'], r['test_on']]:.2f}",
                "difference": f"{100 * r['difference']:+.2f} [{100 * r['low']:+.2f}, {100 * r['high']:+.2f}]",
                "p (Holm)": f"{r['p_holm']:.3f}",
                f"{first} is": r["verdict"],
            }
            for r in self.records
        ]

    @property
    def attacks(self) -> list[str]:
        return [attack for attack in self.entries[0]["attacks"] if attack in self.entries[1]["attacks"]]

    @property
    def furthest(self) -> str:
        """The seen attack on which the two differ most."""
        seen = [r for r in self.records if r["fit_on"] == r["test_on"]]
        if not seen:
            return self.attacks[0]
        return str(max(seen, key=lambda r: abs(r["difference"]))["test_on"])

    def curves(self, attack: str) -> tuple[Float64 | None, Float64 | None]:
        """True-positive rate of both at the rates of `curves.GRID`, seen; None where one was not run."""
        found = [seen_sides(scores, attack) for scores in self.scores]
        first, second = (mean_roc(sides) if sides else None for sides in found)
        return first, second


def compare_detectors(folder: Path, first: str, second: str) -> list[Compared]:
    """For each protocol the cells of both, their scores beside them.

    UserError where the two are one, or one of them has no entry below ``folder``.
    """
    if first == second:
        raise UserError(f"{first!r} was given twice, and a detector does not differ from itself; name another one.")
    entries = read_entries(folder)
    suites = sorted({entry["suite"]["name"] for entry in entries})
    if len(suites) > 1:
        raise UserError(
            f"{folder} holds several suites ({', '.join(suites)}); give the folder of one of them with --results."
        )
    labels = sorted({entry["detector"]["label"] for entry in entries})
    for label in (first, second):
        if label not in labels:
            raise UserError(f"There is no entry for {label!r} under {folder}; there are {', '.join(labels)}.")
    return [
        _compared(folder, entries, protocol, (first, second))
        for protocol in dict.fromkeys(entry["protocol"]["name"] for entry in entries)
    ]


def _compared(folder: Path, entries: list[Entry], protocol: str, labels: tuple[str, str]) -> Compared:
    pair = (_entry(entries, protocol, labels[0]), _entry(entries, protocol, labels[1]))
    options = Statistics(**pair[0]["statistics"])
    attacks = list(pair[0]["attacks"])
    samples: list[Samples] = []
    values: list[dict[Pair, float]] = []
    frames: list[pd.DataFrame] = []
    for entry in pair:
        scores = read_scores(folder, entry)
        fits = [
            {"fit_on": c["fit_on"], "gate": gate, "split": split, "n_fit": 0, "candidate": 0, "remark": ""}
            for c in entry["cells"]
            if c["seen"]
            for gate, split in replicates(scores)
        ]
        ties = entry["protocol"]["ties"]
        cells, drawn = measure(scores, fits, attacks, ties=ties, options=options, seed=entry["seed"])
        frames.append(scores)
        samples.append(drawn)
        values.append({(c["fit_on"], c["test_on"]): c["auroc"] for c in cells if c["auroc"] is not None})
    pairs = [(fit_on, test_on) for fit_on in attacks for test_on in attacks]
    records = adjust(compare(samples[0], samples[1], pairs, labels, options))
    return Compared(protocol, labels, pair, (frames[0], frames[1]), (values[0], values[1]), records)


def _entry(entries: list[Entry], protocol: str, label: str) -> Entry:
    for entry in entries:
        if entry["protocol"]["name"] == protocol and entry["detector"]["label"] == label:
            return entry
    raise UserError(f"There is no entry for {label!r} under protocol {protocol}; run its suite again.")
