"""Two detectors of one results folder compared split by split, from their entries: figures and curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from ..core.arrays import Float64
from ..core.errors import UserError
from ..core.keywords import named_arguments
from ..stats.splits import Design
from .cells import Columns, Measuring, adjust, column_title, columns, compare
from .entry import Entry, read_entries, read_scores
from .scores import mean_roc, seen_sides
from .suite import PROTOCOL, Pair, columns_of
from .verdicts import count_sentence, p_text


@dataclass(frozen=True)
class Compared:
    """One protocol of a results folder: its two entries, and the `cells.compare` record of each cell."""

    folder: Path
    protocol: str
    labels: tuple[str, str]
    entries: tuple[Entry, Entry]
    records: list[dict[str, Any]]

    @property
    def title(self) -> str:
        return f"{self.labels[0]} minus {self.labels[1]}, AUROC in points, protocol {self.protocol}"

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The records of Table 2's columns, in their order."""
        by_pair = {(record["fit_on"], record["test_on"]): record for record in self.records}
        return [by_pair[pair] for pair in columns_of(self.attacks) if pair in by_pair]

    @property
    def sentence(self) -> str:
        return count_sentence(self.labels, self.protocol, self.columns)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The records of Table 2's columns as a table for the terminal."""
        return [{"attack": column_title((r["fit_on"], r["test_on"])), **self._shown(r)} for r in self.columns]

    @property
    def all_rows(self) -> list[dict[str, Any]]:
        """The records of all pairs of attacks, likewise."""
        return [{"fitted on": r["fit_on"], "tested on": r["test_on"], **self._shown(r)} for r in self.records]

    def _shown(self, record: dict[str, Any]) -> dict[str, Any]:
        values = (self.values(which)[record["fit_on"], record["test_on"]] for which in (0, 1))
        low, high = (f"{100 * record[end]:+.2f}" for end in ("low", "high"))
        return {label: f"{100 * value:.2f}" for label, value in zip(self.labels, values, strict=True)} | {
            "difference": f"{100 * record['difference']:+.2f} [{low}, {high}]",
            "p (Holm)": p_text(record["p_holm"]),
            "verdict": record["verdict"],
        }

    def values(self, which: int) -> dict[Pair, float]:
        """AUROC of the first (0) or the second (1) detector's cells that could be run."""
        return {cell.pair: cell.auroc for cell in self.entries[which].cells if cell.auroc is not None}

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
        pair = [seen_sides(read_scores(self.folder, entry), attack) for entry in self.entries]
        first, second = (mean_roc(sides) if sides else None for sides in pair)
        return first, second


@named_arguments
def paired(first: str, second: str, results: str | Path = "subnetbench-results/digits") -> pd.DataFrame:
    """Paired differences of two detectors of a results folder, cell by cell, from their entries.

    One row per protocol and cell: fit_on, test_on, the ``difference`` of AUROCs in [-1, 1] (first minus second) with
    its interval ``low``, ``high``, ``p`` and, after Holm's correction over a protocol, ``p_holm`` and the ``verdict``.
    Raises UserError where one of the labels has no entry.
    """
    compared = compare_detectors(Path(results), first, second)
    return pd.DataFrame([{"protocol": c.protocol, **record} for c in compared for record in c.records])


def compare_detectors(folder: Path, first: str, second: str) -> list[Compared]:
    """Compare the cells of both detectors under each protocol, in the order of the suite.

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
    """How an entry's cells were measured; of a third-party protocol no more is known than its figures."""
    try:
        return Measuring.of(PROTOCOL.validate_python(entry.protocol), entry.statistics.level)
    except ValidationError:
        return Measuring(entry.ties, entry.statistics.level, Design(0.5))


def columns_of_entry(entry: Entry) -> Columns:
    """The columns of an entry's cells, from its figures by split."""
    found: Columns = {}
    for cell in entry.cells:
        found |= columns([cell.model_dump()], entry.places(cell))
    return found


def _compared(folder: Path, entries: list[Entry], protocol: str, labels: tuple[str, str]) -> Compared:
    pair = (_entry(entries, protocol, labels[0]), _entry(entries, protocol, labels[1]))
    if pair[0].ground != pair[1].ground:
        raise UserError(
            f"{labels[0]!r} and {labels[1]!r} under protocol {protocol} were not measured on the same images of the "
            "same net in the same way; run their suite again with both."
        )
    attacks = list(pair[0].attacks)
    pairs = [(fit_on, test_on) for fit_on in attacks for test_on in attacks]
    first, second = (columns_of_entry(entry) for entry in pair)
    return Compared(folder, protocol, labels, pair, adjust(compare(first, second, pairs, labels, measuring(pair[0]))))


def _entry(entries: list[Entry], protocol: str, label: str) -> Entry:
    for entry in entries:
        if entry.protocol_name == protocol and entry.label == label:
            return entry
    raise UserError(f"There is no entry for {label!r} under protocol {protocol}; run its suite again.")
