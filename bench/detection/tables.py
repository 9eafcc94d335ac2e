"""Tables made of entries and of nothing else: Table 2's shape, transfer, strength, noise, cost, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..analysis.semantics import SEMANTICS_NOTE, semantics
from ..analysis.separation import SEPARATION_NOTE, separation
from ..core.files import csv_text, read_json
from ..harness import tables as gate_tables
from ..harness.tables import compare_files, percent
from . import cost as time_table
from .cells import Pair, column_title, columns_of
from .cost import _COST_NOTE, _STRENGTH_NOTE, cost, strength
from .entry import Entry, read_entries, tidy
from .published import against_published, published_cells
from .rows import _attack_names, _head, _sorted, bracket, cell_of
from .sensitivity import SENSITIVITY_NOTE, sensitivity


def write_tables(folder: Path, check: bool = False) -> list[Path]:
    """Write every table of a results folder as CSV and Markdown; with ``check``, only compare with what is there."""
    return compare_files(folder, render(folder), check)


def render(folder: Path) -> dict[str, str]:
    """File name -> text of every table that the entries under ``folder`` give."""
    entries = read_entries(folder)
    comparisons = [read_json(path) for path in sorted((folder / "comparisons").glob("*.json"))]
    made: dict[str, str] = {"cells.csv": csv_text(tidy(entries))}
    report = [f"# {', '.join(sorted({e['suite']['name'] for e in entries}))}", "", *_preamble(entries)]
    sections: list[tuple[str, str, Callable[[], pd.DataFrame], str]] = [
        ("table2", "AUROC for seen and unknown attacks", lambda: table2(entries, comparisons), _TABLE2_NOTE),
        ("published", "Beside the published table", lambda: published(entries), _PUBLISHED_NOTE),
        ("comparisons", "Does it beat the controls?", lambda: compared(comparisons), _COMPARED_NOTE),
        ("transfer", "Fitted on (row) and tested on (column)", lambda: transfer(entries), _TRANSFER_NOTE),
        ("spread", "How far a cell moves with the split and the set of gates", lambda: spread(entries), _SPREAD_NOTE),
        ("noise", "Control: Gaussian noise of the attack's norm", lambda: noise(entries), _NOISE_NOTE),
        ("strength", "The attacks, verified in float32", lambda: strength(entries), _STRENGTH_NOTE),
        ("subnets", "The class-specific subnets", lambda: gate_tables.subnets(folder), gate_tables.SUBNETS_NOTE),
        (
            "separation",
            "Are true and adversarial images further apart in the subnets?",
            lambda: separation(folder),
            SEPARATION_NOTE,
        ),
        ("semantics", "Do alike classes have alike subnets?", lambda: semantics(folder), SEMANTICS_NOTE),
        (
            "sensitivity",
            "What it owes to the choices of gate training",
            lambda: sensitivity(folder),
            SENSITIVITY_NOTE,
        ),
        ("cost", "Cost of scoring", lambda: cost(entries), _COST_NOTE),
        ("time", "Time and memory of the whole", lambda: time_table.timing(entries), time_table.NOTE),
    ]
    for name, title, make, note in sections:
        frame = make()
        if frame.empty:
            continue
        text = f"{frame.to_markdown(index=False, disable_numparse=True)}\n"
        made[f"{name}.csv"], made[f"{name}.md"] = csv_text(frame), text
        report += [f"## {title}", "", note, "", text]
    remarks = sorted(
        {
            (e["protocol"]["name"], e["detector"]["label"], c["remark"])
            for e in entries
            for c in e["cells"]
            if c["remark"]
        }
    )
    if remarks:
        report += ["## Remarks on marked cells (*)", "", *_grouped(remarks), ""]
    made["report.md"] = "\n".join(report)
    return made


def _grouped(remarks: Iterable[tuple[str, str, str]]) -> list[str]:
    by_text: dict[tuple[str, str], list[str]] = {}
    for protocol, label, text in remarks:
        by_text.setdefault((protocol, text), []).append(label)
    return [f"- {protocol}: {text} ({', '.join(labels)})" for (protocol, text), labels in by_text.items()]


def _preamble(entries: Sequence[Entry]) -> list[str]:
    lines = []
    for name in dict.fromkeys(e["suite"]["name"] for e in entries):
        entry = next(e for e in entries if e["suite"]["name"] == name)
        data, model = entry["dataset"], entry["model"]
        note = f" ({data['note']})" if data["note"] else ""
        lines.append(
            f"- **{name}**: {data['name']}{note}, {data['attacked_images']} test images attacked, detectors fitted on "
            f"{data['train_images']} training images; net {model['name']}, {model['accuracy']:.2%} right on the test "
            f"split; seed {entry['seed']}; subnetbench {entry['versions']['subnetbench']}, "
            f"torch {entry['versions']['torch']}."
        )
    return [*lines, ""]


_TABLE2_NOTE = (
    "AUROC in percent with its 95% interval over images (and splits and the sets of gates drawn, where there are "
    "several); n: adversarial images evaluated (the mean over splits), with as many clean ones, and in `lee2018` as "
    "many noisy ones. Unknown: the combiner is fitted on the first attack and meets the others for the first time. "
    "**Bold**: the highest of its column; †: cannot be told apart from it (paired bootstrap, Holm). Controls are "
    "baselines that a proposal has to beat. *: see the remarks."
)


def table2(entries: Sequence[Entry], comparisons: Sequence[dict[str, Any]] = ()) -> pd.DataFrame:
    best = {(c["suite"], c["protocol"], b["fit_on"], b["test_on"]): b for c in comparisons for b in c["best"]}
    rows = []
    for entry in entries:
        counts = [round(sum(c["n"]) / len(c["n"])) for c in entry["cells"] if c["n"] and sum(c["n"])]
        low, high = (min(counts), max(counts)) if counts else (0, 0)
        row = _head(entry) | {"n": str(low) if low == high else f"{low}–{high}"}
        for column, (fit_on, test_on) in _columns(entry):
            text = bracket(cell_of(entry, fit_on, test_on))
            leader = best.get((entry["suite"]["name"], entry["protocol"]["name"], fit_on, test_on))
            if leader and leader["best"] == entry["detector"]["label"]:
                text = f"**{text}**"
            elif leader and entry["detector"]["label"] in leader["not_separable"]:
                text += " †"
            row[column] = text
        rows.append(row)
    return _sorted(rows)


def _columns(entry: Entry) -> list[tuple[str, Pair]]:
    """Titles and cells of Table 2's columns."""
    return [(column_title(pair), pair) for pair in columns_of(_attack_names(entry))]


_PUBLISHED_NOTE = (
    "Published: Wang, Hu, Su, Table 2 (ResNet-34, protocol of Lee et al. 2018). Where net, attacks or protocol differ "
    "from the paper's, a difference is no failed reproduction; `lee2018` on ResNet-34 is the like for like."
)


def published(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry, kind, test_on, _, cell, theirs in published_cells(entries):
        difference, inside = against_published(cell, theirs)
        rows.append(
            _head(entry)
            | {
                "attack": f"{kind} {test_on}",
                "ours": bracket(cell),
                "published": f"{theirs:.2f}",
                "difference": difference,
                "inside our interval": inside,
            }
        )
    return pd.DataFrame(rows)


_COMPARED_NOTE = (
    "AUROC of the first minus the second in points, on the same images and resamples, with the paired 95% interval; "
    "p after Holm's correction over all rows of a protocol. With B resamples no p is below 2 / (B + 1) before it."
)


def compared(comparisons: Sequence[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for found in comparisons:
        for c in found["comparisons"]:
            rows.append(
                {
                    "protocol": found["protocol"],
                    "first": c["first"],
                    "second": c["second"],
                    "attack": column_title((c["fit_on"], c["test_on"])),
                    "difference": f"{100 * c['difference']:+.1f} [{100 * c['low']:+.1f}, {100 * c['high']:+.1f}]",
                    "p (Holm)": f"{c['p_holm']:.3f}",
                    "verdict": c["verdict"],
                }
            )
    return pd.DataFrame(rows)


_TRANSFER_NOTE = "AUROC in percent; the combiner (and the candidate) of the row's attack, tested on the column's."


def transfer(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        attacks = _attack_names(entry)
        for fit_on in attacks:
            row = _head(entry) | {"fitted on": fit_on}
            row |= {test_on: bracket(cell_of(entry, fit_on, test_on)) for test_on in attacks}
            rows.append(row)
    return _sorted(rows)


_SPREAD_NOTE = (
    "Standard deviation of the AUROC in points over the seeds of the split / over sets of gates (–: there is one). "
    "Where it is large, a single split or a single set of gates says little, whatever its own interval."
)


def spread(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        cells = [(title, cell_of(entry, *pair)) for title, pair in _columns(entry)]
        if all(cell.get(name) is None for _, cell in cells for name in ("split_sd", "gate_sd")):
            continue
        shown = {
            title: " / ".join(percent(cell.get(name)) for name in ("split_sd", "gate_sd")) for title, cell in cells
        }
        rows.append(_head(entry) | shown)
    return _sorted(rows)


_NOISE_NOTE = (
    "AUROC in percent of clean images against the same images with Gaussian noise of the attack's L2 norm, by the "
    "combiner fitted on that attack. A detector of adversarial examples should stay near 50; far above, it detects "
    "that an image was disturbed at all."
)


def noise(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        cells = {a: cell_of(entry, a, a) for a in _attack_names(entry)}
        if all(c.get("noise_auroc") is None for c in cells.values()):
            continue
        row = _head(entry)
        for attack, c in cells.items():
            text = percent(c.get("noise_auroc"))
            if c.get("noise_low") is not None:
                text += f" [{percent(c['noise_low'])}, {percent(c['noise_high'])}]"
            row[f"noise of {attack}"] = text
        rows.append(row)
    return _sorted(rows)
