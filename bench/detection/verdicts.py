"""Paired differences counted: in how many columns of Table 2 one detector is better than another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.text import counted
from .entry import Entry

#: A record of `cells.compare`, with the verdict that `cells.adjust` adds.
Record = Mapping[str, Any]


def p_text(p: float) -> str:
    """A p-value to three digits; none is 0."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def count_sentence(labels: tuple[str, str], protocol: str, records: Sequence[Record]) -> str:
    """One sentence on two detectors under a protocol, from the records of Table 2's columns."""
    first, second = labels
    count = Counter(record["verdict"] for record in records)
    return (
        f"{first} is better than {second} in {count['better']}, worse in {count['worse']} and not separable from it in "
        f"{count['not separable']} of the {counted(len(records), 'column')} of Table 2 (protocol {protocol})."
    )


def controls_sentences(entries: Sequence[Entry], records: Sequence[Record]) -> Iterator[str]:
    """Does it beat the controls? For each detector that was compared with all of them under one protocol."""
    controls = [e.label for e in entries if e.detector.control and any(cell.auroc is not None for cell in e.cells)]
    by_first: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        by_first.setdefault(record["first"], {}).setdefault(record["second"], []).append(record)
    for first, by_second in by_first.items():
        if controls and by_second.keys() >= set(controls):
            yield _against(first, entries[0].protocol_name, {second: by_second[second] for second in controls})


def _against(first: str, protocol: str, by_control: Mapping[str, Sequence[Record]]) -> str:
    verdicts: dict[Any, list[str]] = {}
    for records in by_control.values():
        for record in records:
            verdicts.setdefault((record["fit_on"], record["test_on"]), []).append(record["verdict"])
    best = sum(all(verdict == "better" for verdict in of) for of in verdicts.values())
    beaten = sum("worse" in of for of in verdicts.values())
    controls = "the control" if len(by_control) == 1 else f"each of the {len(by_control)} controls"
    counts = [_count(control, records) for control, records in by_control.items()]
    return (
        f"{first} is better than {controls} in {best} of {counted(len(verdicts), 'column')} (protocol {protocol}), and "
        f"worse than {'it' if len(by_control) == 1 else 'one or more of them'} in {beaten}. Columns in which it is "
        f"better, not separable, worse: {'; '.join(counts)}."
    )


def _count(control: str, records: Sequence[Record]) -> str:
    count = Counter(record["verdict"] for record in records)
    return f"{control} {count['better']}, {count['not separable']}, {count['worse']}"
