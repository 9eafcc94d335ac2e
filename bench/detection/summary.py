"""Several suites on one page: all of Table 2 beside the published one, and the paper's claim cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.files import csv_text, read_json
from ..harness.tables import compare_files
from .cells import column_title, columns_of
from .entry import Entry, net_of, read_entries
from .published import PUBLISHED_DETECTORS, against_published, published_cells
from .rows import bracket

CLAIMANT = "subnet-mahalanobis"

_PUBLISHED = (
    "Every cell of Table 2 of Wang, Hu and Su (ResNet-34, protocol and attacks of Lee et al. 2018) beside ours. "
    "Another net, another attack library or another protocol makes another figure: a difference is no failed "
    "reproduction by itself. Each suite's own report says what it ran. *: fitted on too few adversarial images, see "
    "there."
)
_CLAIMS = (
    "The paper's claim: features of class-specific subnets separate adversarial images better than the full net's. "
    "AUROC of subnet-Mahalanobis (predicted class) minus that of each rival in points, paired on images, splits and "
    "the sets of gates drawn, with 95% intervals; verdict after Holm's correction over all comparisons of a suite "
    "and protocol. A claim about subnets has to beat the distance to the predicted class and random gates, not just "
    "Mahalanobis."
)


def write_summary(folder: Path, folders: Sequence[Path], check: bool = False) -> list[Path]:
    """Write (or, with ``check``, compare) ``tables/summary.md`` and its CSVs of a folder that holds several suites."""
    return compare_files(folder, render_summary(folders), check)


def render_summary(folders: Sequence[Path]) -> dict[str, str]:
    """File name -> text."""
    beside = pd.DataFrame([row for each in folders for row in published_rows(read_entries(each))]).fillna("–")
    claims = pd.DataFrame([row for each in folders for row in claim_rows(each)]).fillna("–")
    made: dict[str, str] = {}
    report = ["# All suites", ""]
    for name, title, note, frame in (
        ("published", "Table 2 beside the published one", _PUBLISHED, beside),
        ("claims", "Does the class-specific subnet beat ...", _CLAIMS, claims),
    ):
        if frame.empty:
            continue
        text = f"{frame.to_markdown(index=False, disable_numparse=True)}\n"
        made[f"{name}.csv"], made[f"{name}.md"] = csv_text(frame), text
        report += [f"## {title}", "", note, "", *(_counted(frame, name)), text]
    made["summary.md"] = "\n".join(report)
    return made


def published_rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One row a cell of Table 2, of a suite that has all its detectors; these under their own names only."""
    if not set(PUBLISHED_DETECTORS) <= {entry["detector"]["label"] for entry in entries}:
        return []
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry, kind, _, attack, cell, theirs in published_cells(entries):
        label, protocol = entry["detector"]["label"], entry["protocol"]["name"]
        if label not in PUBLISHED_DETECTORS:
            continue  # a variant, such as another choice of classes
        head = {
            "suite": entry["suite"]["name"],
            "net": net_of(entry),
            "detector": label,
            "cell": f"{kind} {attack}",
            "published": f"{theirs:.2f}",
        }
        row = rows.setdefault(tuple(head.values()), head)
        row[protocol] = bracket(cell)
        row[f"{protocol} minus published"], row[f"inside {protocol}"] = against_published(cell, theirs)
    return list(rows.values())


def claim_rows(folder: Path) -> list[dict[str, Any]]:
    """One row a cell: the claimant minus each rival that its suite compares it with."""
    entries = read_entries(folder)
    rows = []
    for path in sorted((folder / "comparisons").glob("*.json")):
        found = read_json(path)
        own = [e for e in entries if e["protocol"]["name"] == found["protocol"] and e["detector"]["label"] == CLAIMANT]
        pairs = {(c["fit_on"], c["test_on"], c["second"]): c for c in found["comparisons"] if c["first"] == CLAIMANT}
        rivals = list(dict.fromkeys(second for _, _, second in pairs))
        if not own or not rivals:
            continue
        for fit_on, test_on in columns_of(list(own[0]["attacks"])):
            row = {
                "suite": own[0]["suite"]["name"],
                "net": net_of(own[0]),
                "protocol": found["protocol"],
                "cell": column_title((fit_on, test_on)),
            }
            for second in rivals:
                c = pairs.get((fit_on, test_on, second))
                row[f"minus {second}"] = (
                    "–"
                    if c is None
                    else (
                        f"{100 * c['difference']:+.1f} [{100 * c['low']:+.1f}, {100 * c['high']:+.1f}] {c['verdict']}"
                    )
                )
            rows.append(row)
    return rows


def _counted(frame: pd.DataFrame, name: str) -> list[str]:
    """The table in a sentence a protocol or rival: counts, so that nobody has to."""
    if name == "published":
        protocols = [name.removeprefix("inside ") for name in map(str, frame) if name.startswith("inside ")]
        said = []
        for suite, rows in frame.groupby("suite", sort=False):
            for protocol in protocols:
                answers = rows[f"inside {protocol}"]
                hits, ran = int((answers == "yes").sum()), int(answers.isin(["yes", "no"]).sum())
                said.append(f"- {suite}, `{protocol}`: {hits} of {ran} published figures lie inside our interval")
        return [*said, ""]
    lines = []
    for column in (text for text in map(str, frame) if text.startswith("minus ")):
        texts = frame[column]
        counts = {v: int(texts.str.endswith(f"] {v}").sum()) for v in ("better", "worse", "not separable")}
        words = ", ".join(f"{v} in {n}" for v, n in counts.items())
        lines.append(f"- against {column.removeprefix('minus ')}: {words} of {len(texts)} cells")
    return [*lines, ""]
