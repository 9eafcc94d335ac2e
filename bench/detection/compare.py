"""Two detectors of one results folder compared image by image, from stored scores alone: figures and curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from ..core.arrays import Float64
from ..core.errors import UserError
from .cells import Measuring, Samples, adjust, compare, measure
from .entry import Entry, read_entries, read_scores, replicates
from .protocol import fit_record
from .scores import mean_roc, seen_sides
from .suite import PROTOCOL, Pair, Statistics


@dataclass(frozen=True)
class Compared:
    """One protocol: its two entries, their scores, and the `cells.compare` record of each cell."""

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
        """The records as a table for the terminal."""
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
    def why_empty(self) -> str:
        """Why there is no record, as the cells state it."""
        remarks = [c.remark for entry in self.entries for c in entry.cells if c.auroc is None and c.remark]
        return f"{remarks[0] if remarks else 'they have no image with scores of both'}."

    @property
    def attacks(self) -> list[str]:
        return [attack for attack in self.entries[0].attacks if attack in self.entries[1].attacks]

    @property
    def furthest(self) -> str:
        """The seen attack on which the two differ most."""
        seen = [r for r in self.records if r["fit_on"] == r["test_on"]]
        if not seen:
            return self.attacks[0]
        return str(max(seen, key=lambda r: abs(r["difference"]))["test_on"])

    def curves(self, attack: str) -> tuple[Float64 | None, Float64 | None]:
        """True-positive rates of both at the rates of `scores.GRID`, attack seen; None for one that was not run."""
        pair = [seen_sides(scores, attack) for scores in self.scores]
        first, second = (mean_roc(sides) if sides else None for sides in pair)
        return first, second


def paired(first: str, second: str, results: str | Path = "subnetbench-results/digits") -> pd.DataFrame:
    """Paired differences of two detectors of a results folder, cell by cell, from their stored scores.

    One row per protocol and cell: fit_on, test_on, the ``difference`` of AUROCs in [-1, 1] (first minus second) with
    its interval ``low``, ``high``, ``p`` and, after Holm's correction over a protocol, ``p_holm`` and the ``verdict``.
    Raises UserError where one of the labels has no entry.
    """
    compared = compare_detectors(Path(results), first, second)
    return pd.DataFrame([{"protocol": c.protocol, **record} for c in compared for record in c.records])


def compare_detectors(folder: Path, first: str, second: str) -> list[Compared]:
    """Compare the cells of both detectors under each protocol.

    Raises UserError where the labels are the same, or one of them has no entry below ``folder``.
    """
    if first == second:
        raise UserError(f"{first!r} was given twice; name two different detectors.")
    entries = read_entries(folder)
    suites = sorted({entry.suite.name for entry in entries})
    if len(suites) > 1:
        raise UserError(
            f"{folder} holds several suites ({', '.join(suites)}); give the folder of one of them with --results."
        )
    labels = sorted({entry.label for entry in entries})
    for label in (first, second):
        if label not in labels:
            raise UserError(f"There is no entry for {label!r} under {folder}; there are {', '.join(labels)}.")
    return [
        _compared(folder, entries, protocol, (first, second))
        for protocol in dict.fromkeys(entry.protocol_name for entry in entries)
    ]


def measuring(entry: Entry) -> Measuring:
    """How an entry's cells were measured; a third-party protocol has no further metrics."""
    options = Statistics(resamples=entry.statistics.resamples, level=entry.statistics.level)
    try:
        return Measuring.of(PROTOCOL.validate_python(entry.protocol), options, entry.seed)
    except ValidationError:
        return Measuring(entry.ties, options, entry.seed)


def _compared(folder: Path, entries: list[Entry], protocol: str, labels: tuple[str, str]) -> Compared:
    pair = (_entry(entries, protocol, labels[0]), _entry(entries, protocol, labels[1]))
    attacks = list(pair[0].attacks)
    samples: list[Samples] = []
    values: list[dict[Pair, float]] = []
    frames: list[pd.DataFrame] = []
    how = measuring(pair[0])
    for entry in pair:
        scores = read_scores(folder, entry)
        fits = [
            fit_record(split, c.fit_on, 0) | {"gate": gate}
            for c in entry.cells
            if c.seen
            for gate, split in replicates(scores)
        ]
        cells, drawn = measure(scores, fits, attacks, replace(measuring(entry), options=how.options))
        frames.append(scores)
        samples.append(drawn)
        values.append({(c["fit_on"], c["test_on"]): c["auroc"] for c in cells if c["auroc"] is not None})
    pairs = [(fit_on, test_on) for fit_on in attacks for test_on in attacks]
    records = adjust(compare(samples[0], samples[1], pairs, labels, how.options))
    return Compared(protocol, labels, pair, (frames[0], frames[1]), (values[0], values[1]), records)


def _entry(entries: list[Entry], protocol: str, label: str) -> Entry:
    for entry in entries:
        if entry.protocol_name == protocol and entry.label == label:
            return entry
    raise UserError(f"There is no entry for {label!r} under protocol {protocol}; run its suite again.")
