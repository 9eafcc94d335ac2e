"""Several suites on one page: all of Table 2 beside the published one, and the paper's claim cell by cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.text import BOLD
from ..harness.stale import table_files
from ..harness.tables import Report, Section, percent
from .cells import column_title
from .departures import IN_SHORT_NOTE, in_short
from .entry import Entry, read_entries
from .published import PUBLISHED_DETECTORS, against_published, published_cells
from .rows import ELSEWHERE, bracket, difference
from .sensitivity import BEST_OF_SEVERAL, ranks_of
from .stated import read_comparisons, read_gate_reports
from .suite import columns_of

CLAIMANT = "subnet-mahalanobis"

#: What the label of a detector ends in that pre-processes its input.
PREPROCESSED = "-preprocessed"

#: Points of an interval beyond which it says little that a published figure lies inside.
WIDE = 20

_PUBLISHED = (
    "AUROC in percent: ours / published (Wang, Hu, Su, Table 2: ResNet-34, protocol and attacks of Lee et al. 2018). "
    "Another net, another attack library or another protocol makes another figure: a difference is no failed "
    "reproduction by itself. With intervals and differences, cell by cell: `published.csv`."
)
_PUBLISHED_MARKS = {BOLD: "**Bold**: the published figure lies inside our 95% interval.", **ELSEWHERE}
_CLAIMS = (
    "The paper's claim: features of class-specific subnets separate adversarial images better than the full net's. "
    "AUROC of subnet-Mahalanobis (predicted class) minus that of each rival in points, paired on images, splits and "
    "the sets of gates drawn. A claim about subnets has to beat the distance to the predicted class and random gates, "
    "not just Mahalanobis. With intervals: `claims.csv`."
)
_CLAIM_MARKS = {
    BOLD: "**Bold**: better or worse after Holm's correction over all comparisons of a suite and protocol; the rest "
    "cannot be told apart."
}


#: All that the page may write, in earlier versions as well.
FILES = table_files("summary", ("setting", "table2", "claim", "gates", "published", "claims"))


def summary(folders: Sequence[Path]) -> Report:
    """The report ``summary.md`` with its tables, and every cell in a row of its own as CSV, for several suites."""
    entries = {folder: read_entries(folder) for folder in folders}
    published = {folder: published_rows(entries[folder]) for folder in folders}
    beside = pd.DataFrame([row for rows in published.values() for row in rows]).fillna("–")
    claims = pd.DataFrame([row for folder in folders for row in claim_rows(folder, entries[folder])]).fillna("–")
    shown = [entries[folder] for folder in folders if published[folder]]
    settings = pd.DataFrame([row for own in shown for row in in_short(own)]).fillna("–")
    sections = [
        Section("setting", "How these runs differ from the published ones", lambda: settings, IN_SHORT_NOTE),
        Section(
            "table2",
            "Table 2: ours / published",
            lambda: beside_published(beside),
            _PUBLISHED,
            marks=_PUBLISHED_MARKS,
            further=("published",),
        ),
        Section(
            "claim", "Does the class-specific subnet beat ...", lambda: verdicts(claims), _CLAIMS, marks=_CLAIM_MARKS
        ),
        Section("gates", "The gates behind the claim", lambda: gates(folders), _GATES),
    ]
    frames = {name: frame for name, frame in (("published", beside), ("claims", claims)) if not frame.empty}
    return Report("All suites", [*_counts(claims), *_inside(beside)], sections, frames=frames, name="summary")


class _Pivot:
    """Texts by the head of their row and the name of their column, in the order in which they come."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], dict[str, str]] = {}

    def put(self, head: dict[str, str], column: str, text: str, *, bold: bool) -> None:
        row = self._rows.setdefault(tuple(head.values()), dict(head))
        row[column] = f"**{text}**" if bold else text

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(list(self._rows.values())).fillna("–")


def beside_published(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each suite, net, protocol and detector, a column for each cell of the published table."""
    pivot = _Pivot()
    for record in frame.to_dict("records"):
        for protocol in _protocols(frame):
            if record[protocol] == "–":
                continue
            head = {name: record[name] for name in ("suite", "net")}
            head |= {"protocol": protocol, "detector": record["detector"]}
            ours = str(record[protocol]).partition(" [")[0]
            text = f"{ours} / {float(record['published']):.1f}"
            pivot.put(head, record["cell"], text, bold=record[f"inside {protocol}"] == "yes")
    return pivot.frame()


def verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each suite, protocol and rival, a column for each cell: the difference, bold where it is decided."""
    pivot = _Pivot()
    for record in frame.to_dict("records"):
        for column in _rivals(frame):
            text = str(record[column])
            if text == "–":
                continue
            head = {name: record[name] for name in ("suite", "net", "protocol")}
            head["minus ..."] = column.removeprefix("minus ")
            pivot.put(head, record["cell"], text.partition(" [")[0], bold=not text.endswith("not separable"))
    return pivot.frame()


def published_rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One row per cell of Table 2, for a suite with all its detectors, or with the two of the claim pre-processed."""
    labels = {entry.label for entry in entries}
    if not (set(PUBLISHED_DETECTORS) <= labels or CLAIMANT + PREPROCESSED in labels):
        return []
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry, kind, _, attack, cell, theirs in published_cells(entries):
        label, protocol = entry.label, entry.protocol_name
        head = {
            "suite": entry.suite.name,
            "net": entry.net,
            "detector": label,
            "cell": f"{kind} {attack}",
            "published": f"{theirs:.2f}",
        }
        row = rows.setdefault(tuple(head.values()), head)
        row[protocol] = bracket(cell)
        row[f"{protocol} minus published"], row[f"inside {protocol}"] = against_published(cell, theirs)
    return list(rows.values())


def claim_rows(folder: Path, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One row per cell: the claimant minus each rival that its suite compares it with; ``entries`` are the folder's."""
    rows = []
    for family in read_comparisons(folder, (entry.protocol_name for entry in entries)):
        for ending in ("", PREPROCESSED):
            made = [e for e in entries if e.protocol_name == family["protocol"] and e.label == CLAIMANT + ending]
            pairs = [c for c in family["comparisons"] if c["first"] == CLAIMANT + ending]
            if made and pairs:
                rows += _claims_of(made[0], pairs, ending)
    return rows


def _claims_of(claimant: Entry, comparisons: Sequence[dict[str, Any]], ending: str) -> list[dict[str, Any]]:
    """The rows of one claimant; pre-processing of both sides stands beside the protocol, so that counts keep apart."""
    pairs = {(c["fit_on"], c["test_on"], c["second"].removesuffix(ending)): c for c in comparisons}
    rows = []
    for fit_on, test_on in columns_of(list(claimant.attacks)):
        row = {
            "suite": claimant.suite.name,
            "net": claimant.net,
            "protocol": claimant.protocol_name + (", pre-processed" if ending else ""),
            "cell": column_title((fit_on, test_on)),
        }
        for second in dict.fromkeys(second for _, _, second in pairs):
            c = pairs.get((fit_on, test_on, second))
            row[f"minus {second}"] = "–" if c is None else f"{difference(c)} {c['verdict']}"
        rows.append(row)
    return rows


def _protocols(frame: pd.DataFrame) -> list[str]:
    return [name.removeprefix("inside ") for name in map(str, frame) if name.startswith("inside ")]


def _rivals(frame: pd.DataFrame) -> list[str]:
    return [text for text in map(str, frame) if text.startswith("minus ")]


def _inside(frame: pd.DataFrame) -> list[str]:
    """One line per suite and protocol: how many published figures lie inside our interval."""
    if frame.empty:
        return []
    lines = ["Published figures inside our 95% interval:", ""]
    for suite, rows in frame.groupby("suite", sort=False):
        for protocol in _protocols(frame):
            answers = rows[f"inside {protocol}"]
            hits, ran = int((answers == "yes").sum()), int(answers.isin(["yes", "no"]).sum())
            if ran:
                wide = int((rows[protocol][answers == "yes"].map(_width) > WIDE).sum())
                beside = f", {wide} of them in an interval wider than {WIDE} points" if wide else ""
                lines.append(f"- {suite}, `{protocol}`: {hits} of {ran}{beside}")
    return [*lines, ""]


def _width(text: str) -> float:
    """Of an interval, as `bracket` writes it, in points."""
    low, high = re.findall(r"-?[\d.]+", text.partition("[")[2])
    return float(high) - float(low)


def _counts(frame: pd.DataFrame) -> list[str]:
    """One line per protocol and rival: the counts of its verdicts over all suites."""
    if frame.empty:
        return []
    lines = ["The class-specific subnet against ..., cells of Table 2 over all suites:", ""]
    for protocol, rows in frame.groupby("protocol", sort=False):
        for column in _rivals(frame):
            texts = rows[column][rows[column] != "–"]
            counts = {v: int(texts.str.endswith(f"] {v}").sum()) for v in ("better", "worse", "not separable")}
            if len(texts):
                words = ", ".join(f"{v} in {n}" for v, n in counts.items())
                lines.append(f"- {column.removeprefix('minus ')}, `{protocol}`: {words} of {len(texts)} cells")
    return [*lines, ""]


_GATES = (
    "Subnets that meet tau, which the paper asks of every one, and the rank of their form of gates, by difference from "
    f"the baseline, among those that a suite with a sweep has tried on its own net. {BEST_OF_SEVERAL}"
)


def gates(folders: Sequence[Path]) -> pd.DataFrame:
    """One row for every suite with subnets."""
    rows = []
    for folder in folders:
        stated = read_gate_reports(folder)
        if stated is None:
            continue
        reports = [report for gates in stated.sets for report in gates.report]
        options = stated.options.stated()
        row = {
            "suite": stated.suite,
            "position": options.get("position", "–"),
            "L1": options.get("l1", "–"),
            "gamma": f"{options['gamma']:g}" if "gamma" in options else "–",
            "active": percent(sum(report.active_total for report in reports) / len(reports)),
            "tau": f"{options['tau']:g}" if "tau" in options else "–",
            "met": f"{sum(report.tau_met for report in reports)} of {len(reports)}",
        }
        rows.append(row | {f"rank in {other.name}": r for other in folders if (r := ranks_of(other, options))})
    return pd.DataFrame(rows).fillna("–")
