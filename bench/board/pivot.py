"""The localisation track as one small table for each net: methods by whole net, subnet and best control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..localisation.entry import Entry, Metric
from .maps import Maps

#: The variants that are no controls, in the order of their columns.
WHOLE, SUBNET = "normal", "subnet"
METRIC = "error"


@dataclass(frozen=True)
class Line:
    """One method: its errors on the whole net, on the subnet, and of the control that errs least, with its name."""

    method: str
    whole: Metric | None
    subnet: Metric | None
    control: Metric | None
    control_name: str
    verdict: str

    @property
    def least(self) -> float | None:
        values = [metric.value for metric in (self.whole, self.subnet, self.control) if metric is not None]
        return min(values) if values else None


@dataclass(frozen=True)
class Pivot:
    suite: str
    dataset: str
    net: str
    lines: list[Line]


def pivots(track: Maps) -> list[Pivot]:
    """One for each suite and net, in the order of the entries; controls without a net count for every net."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    without_net: dict[str, list[Entry]] = {}
    for entry in track.entries:
        if entry.has_net:
            groups.setdefault((entry.suite.name, entry.dataset.name, entry.model.label), []).append(entry)
        else:
            without_net.setdefault(entry.suite.name, []).append(entry)
    verdicts = {
        (suite, claim.model, claim.method): claim.verdict
        for suite, claims in track.claims
        for claim in claims
        if (claim.first, claim.second) == (SUBNET, WHOLE)
    }
    made = []
    for (suite, dataset, net), entries in groups.items():
        methods = dict.fromkeys(entry.method.label for entry in entries)
        lines = []
        for method in methods:
            own = [entry for entry in entries if entry.method.label == method]
            verdict = verdicts.get((suite, net, method), "")
            lines.append(_line(method, own, without_net.get(suite, []), verdict))
        made.append(Pivot(suite, dataset, net, lines))
    return made


def _line(method: str, own: Sequence[Entry], without_net: Sequence[Entry], verdict: str) -> Line:
    by_variant = {entry.variant: entry.metric(METRIC) for entry in own}
    controls = [
        *((metric, variant) for variant, metric in by_variant.items() if variant not in (WHOLE, SUBNET)),
        *((entry.metric(METRIC), entry.method.label) for entry in without_net),
    ]
    measured = [(metric, name) for metric, name in controls if metric is not None]
    best, name = min(measured, key=lambda control: control[0].value) if measured else (None, "")
    return Line(method, by_variant.get(WHOLE), by_variant.get(SUBNET), best, name, verdict)
