"""Tables made from entries and nothing else: Table 2's shape, transfer, strength, noise, cost, comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..analysis.semantics import SEMANTICS_NOTE, semantics
from ..analysis.separation import SEPARATION_NOTE, separation
from ..core.text import BOLD
from ..harness.stale import table_files
from ..harness.tables import Report, Section, percent, stated_versions
from .cell import Cell
from .cells import column_title
from .cost import COST_NOTE, STRENGTH_NOTE, TIME_NOTE, cost, strength, timing
from .departures import departures
from .entry import Entry, read_lean, tidy
from .fixed import OPERATING_NOTE, WORST_NOTE, operating, points_remarks, worst
from .gate_table import SUBNETS_NOTE, about_subnets, subnets
from .optimality import OPTIMALITY_NOTE, footnotes, optimality
from .published import PUBLISHED_NOTE, against_published, left_out, published_cells
from .rows import REMARK, bracket, difference, head_of, sorted_frame
from .sensitivity import SENSITIVITY_NOTE, own_rank, sensitivity
from .standing import HIGHEST, standings, with_standing
from .stated import read_comparisons
from .suite import Pair, columns_of
from .verdicts import p_text

#: All that a report may write, but for `separation` and `semantics`: they stay where the arrays that give them are not
#: kept.
FILES = table_files(
    "report",
    (
        *("table2", "published", "worst", "operating", "comparisons", "transfer", "spread", "noise", "strength"),
        *("optimality", "subnets", "sensitivity", "cost", "time"),
    ),
    frames=("cells",),
)


def report(folder: Path) -> Report:
    """Every table that the entries under a results folder give."""
    entries = read_lean(folder)
    comparisons = read_comparisons(folder, (entry.protocol_name for entry in entries))
    names = sorted({entry.suite.name for entry in entries})
    sections = [*_sections(entries, comparisons), *_beside(folder), *_costs(entries)]
    frames = {"cells": with_standing(frame(entries), standings(entries, comparisons))}
    return Report(", ".join(names), _preamble(entries), sections, _remarks(entries), frames)


def frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """One row per cell."""
    return tidy(entries)


def _sections(entries: Sequence[Entry], comparisons: Sequence[dict[str, Any]]) -> list[Section]:
    """Sections on detectors and attacks, from entries and comparisons."""
    return [
        Section(
            "table2",
            "Static: AUROC for seen and unknown attacks",
            lambda: table2(entries, comparisons),
            _TABLE2_NOTE,
            marks=_TABLE2_MARKS,
        ),
        Section(
            "published",
            "Beside the published table",
            lambda: published(entries),
            PUBLISHED_NOTE,
            before=lambda _: departures(entries),
            after=lambda _: left_out(entries),
            marks=REMARK,
        ),
        Section("worst", "The worst attack of each image", lambda: worst(entries), WORST_NOTE, marks=REMARK),
        Section(
            "operating", "At a fixed false-positive rate", lambda: operating(entries), OPERATING_NOTE, marks=REMARK
        ),
        Section("comparisons", "Does it beat the controls?", lambda: compared(comparisons), _COMPARED_NOTE),
        Section(
            "transfer",
            "Fitted on (row) and tested on (column)",
            lambda: transfer(entries),
            _TRANSFER_NOTE,
            marks=REMARK,
        ),
        Section(
            "spread",
            "How far a cell moves with the split and the set of gates",
            lambda: spread(entries),
            _SPREAD_NOTE,
            further=("gates", "own order"),
        ),
        Section("noise", "Control: Gaussian noise of the attack's norm", lambda: noise(entries), _NOISE_NOTE),
        Section("strength", "The attacks, verified in float32", lambda: strength(entries), STRENGTH_NOTE),
        Section(
            "optimality",
            "The attacks, what they cost and how near they come to the best",
            lambda: optimality(entries),
            OPTIMALITY_NOTE,
            after=lambda _: footnotes(entries),
        ),
    ]


def _beside(folder: Path) -> list[Section]:
    """Sections from files beside the entries: the subnets, and the choices that they depend on."""
    alike = "Are true and adversarial images further apart in the subnets?"
    choices = "What it owes to the choices of gate training"
    return [
        Section(
            "subnets",
            "The class-specific subnets",
            lambda: subnets(folder),
            SUBNETS_NOTE,
            before=lambda _: about_subnets(folder),
        ),
        Section("separation", alike, lambda: separation(folder), SEPARATION_NOTE),
        Section("semantics", "Do alike classes have alike subnets?", lambda: semantics(folder), SEMANTICS_NOTE),
        Section(
            "sensitivity", choices, lambda: sensitivity(folder), SENSITIVITY_NOTE, before=lambda _: own_rank(folder)
        ),
    ]


def _costs(entries: Sequence[Entry]) -> list[Section]:
    return [
        Section("cost", "Cost of scoring", lambda: cost(entries), COST_NOTE),
        Section("time", "Time and memory of the whole", lambda: timing(entries), TIME_NOTE),
    ]


def _remarks(entries: Sequence[Entry]) -> list[str]:
    """The remarks on marked cells, each once."""
    protocols = list(dict.fromkeys(entry.protocol_name for entry in entries))
    remarks = {(protocols.index(e.protocol_name), e.label, c.remark) for e in entries for c in e.cells if c.remark}
    marked = (
        [
            "## Remarks on marked cells (*)",
            "",
            *_grouped((protocols[place], *rest) for place, *rest in sorted(remarks)),
            "",
        ]
        if remarks
        else []
    )
    return [*marked, *points_remarks(entries)]


def _grouped(remarks: Iterable[tuple[str, ...]]) -> list[str]:
    by_text: dict[tuple[str, str], list[str]] = {}
    for protocol, label, text in remarks:
        by_text.setdefault((protocol, text), []).append(label)
    return [f"- {protocol}: {text} ({', '.join(labels)})" for (protocol, text), labels in by_text.items()]


def _preamble(entries: Sequence[Entry]) -> list[str]:
    lines = []
    for name in dict.fromkeys(entry.suite.name for entry in entries):
        entry = next(entry for entry in entries if entry.suite.name == name)
        data, model = entry.dataset, entry.model
        note = f" ({data.note})" if data.note else ""
        lines.append(
            f"- **{name}**: {data.name}{note}, {data.attacked_images} test images attacked, detectors fitted on "
            f"{data.train_images} training images; net {model.name}, {model.accuracy:.2%} of the test "
            f"images correctly classified; seed {entry.seed}; "
            f"{stated_versions(entry.versions, ('subnetbench', 'torch'))}."
        )
    return [*lines, ""]


_TABLE2_NOTE = (
    "AUROC in percent, the mean over splits, with its 95% interval over images, fits and the sets of gates drawn; n: "
    "adversarial images evaluated in a split, with as many clean ones, and in `lee2018` as many noisy ones. Unknown: "
    "the combiner is fitted on the first attack and meets the others for the first time. Controls are baselines that a "
    "proposal has to beat. Below 50 the images are ranked the wrong way round: at 0 they are perfectly separated with "
    "the sign turned. **Static**: the attackers have never heard of the detector, so that no figure here says how it "
    "stands up to one who has."
)
_TABLE2_MARKS = {
    BOLD: "**Bold**: the highest of its column.",
    "†": "†: cannot be told apart from the highest of its column (paired test, Holm).",
    **REMARK,
}


def table2(entries: Sequence[Entry], comparisons: Sequence[dict[str, Any]] = ()) -> pd.DataFrame:
    found = standings(entries, comparisons)
    rows = []
    for entry in entries:
        counts = [round(sum(c.n) / len(c.n)) for c in entry.cells if c.n and sum(c.n)]
        low, high = (min(counts), max(counts)) if counts else (0, 0)
        cells = entry.by_pair()
        row = head_of(entry) | {"n": str(low) if low == high else f"{low}–{high}"}
        for column, (fit_on, test_on) in _columns(entry):
            text = bracket(cells.get((fit_on, test_on)))
            standing = found.get((entry.suite.name, entry.protocol_name, entry.label, fit_on, test_on))
            if standing == HIGHEST:
                text = f"**{text}**"
            elif standing:
                text += " †"
            row[f"static: {column}"] = text
        rows.append(row)
    return sorted_frame(rows)


def _columns(entry: Entry) -> list[tuple[str, Pair]]:
    """Titles and cells of Table 2's columns."""
    return [(column_title(pair), pair) for pair in columns_of(list(entry.attacks))]


def published(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry, kind, test_on, _, cell, theirs in published_cells(entries):
        minus, inside = against_published(cell, theirs)
        rows.append(
            head_of(entry)
            | {
                "attack": f"{kind} {test_on}",
                "ours": bracket(cell),
                "published": f"{theirs:.2f}",
                "difference": minus,
                "inside our interval": inside,
            }
        )
    return pd.DataFrame(rows)


_COMPARED_NOTE = (
    "AUROC of the first minus the second in points, paired on images, splits and sets of gates, with the 95% interval; "
    "p after Holm's correction over all rows of a protocol."
)


def compared(comparisons: Sequence[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for family in comparisons:
        for c in family["comparisons"]:
            rows.append(
                {
                    "protocol": family["protocol"],
                    "first": c["first"],
                    "second": c["second"],
                    "attack": column_title((c["fit_on"], c["test_on"])),
                    "difference": difference(c),
                    "p (Holm)": p_text(c["p_holm"]),
                    "verdict": c["verdict"],
                }
            )
    return pd.DataFrame(rows)


_TRANSFER_NOTE = "AUROC in percent; the combiner (and the candidate) of the row's attack, tested on the column's."


def transfer(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        attacks, cells = list(entry.attacks), entry.by_pair()
        for fit_on in attacks:
            row = head_of(entry) | {"fitted on": fit_on}
            row |= {test_on: bracket(cells.get((fit_on, test_on))) for test_on in attacks}
            rows.append(row)
    return sorted_frame(rows)


_SPREAD_NOTE = (
    "Standard deviation of the AUROC in points over splits / over sets of gates (–: there is one). Where it is large, "
    "a single split or a single set of gates says little, whatever its own interval. `lee2018`: over the tenths of the "
    "images that take their turn in fitting; in brackets the AUROC of the file's own order, the only one that the "
    "released code knows."
)


def spread(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        cells = entry.by_pair()
        deviations = {title: _deviations(cells.get(pair)) for title, pair in _columns(entry)}
        if all(value is None for pair in deviations.values() for value in pair):
            continue
        texts = {title: " / ".join(map(percent, pair)) for title, pair in deviations.items()}
        if entry.protocol_name == "lee2018":
            texts = {title: f"{texts[title]} ({_own_order(entry, cells.get(pair))})" for title, pair in _columns(entry)}
        rows.append(head_of(entry) | texts)
    return sorted_frame(rows)


def _deviations(cell: Cell | None) -> tuple[float | None, float | None]:
    return (None, None) if cell is None else (cell.split_sd, cell.gate_sd)


def _own_order(entry: Entry, cell: Cell | None) -> str:
    """AUROC in the file's own order, which is the first; the mean over sets of gates."""
    if cell is None or not cell.auroc_by_split:
        return "–"
    first = zip(entry.places(cell), cell.auroc_by_split, strict=True)
    values = [value for (_, split), value in first if split == 0 and value is not None]
    return percent(sum(values) / len(values)) if values else "–"


_NOISE_NOTE = (
    "AUROC in percent of clean images against the same images with Gaussian noise of the attack's L2 norm, by the "
    "combiner fitted on that attack. A detector of adversarial examples should stay near 50; far above, it detects "
    "that an image was disturbed at all."
)


def noise(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        cells = entry.by_pair()
        seen = {attack: cells.get((attack, attack)) for attack in entry.attacks}
        if all(cell is None or cell.noise_auroc is None for cell in seen.values()):
            continue
        rows.append(head_of(entry) | {f"noise of {attack}": _noise(cell) for attack, cell in seen.items()})
    return sorted_frame(rows)


def _noise(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    interval = "" if cell.noise_low is None else f" [{percent(cell.noise_low)}, {percent(cell.noise_high)}]"
    return f"{percent(cell.noise_auroc)}{interval}"
