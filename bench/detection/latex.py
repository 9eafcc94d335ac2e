"""Table 2 for papers: AUROC for seen and unknown attacks, and the published figure beside ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..core.grid import spread
from ..harness.latex import Tex, bold
from ..harness.tables import percent
from .cell import Cell
from .entry import Entry
from .published import (
    PUBLISHED_ATTACKS,
    PUBLISHED_DATASETS,
    against_published,
    published_attacks,
    published_detector,
    published_table2,
)
from .suite import Pair

#: Seen or unknown, the attack, and whose figure; a row has a name and its figures.
Path = tuple[str, ...]
Row = tuple[str, Mapping[Path, str]]

OURS, THEIRS = "ours", "publ."

_CAPTION = (
    "Protocol {protocol}: AUROC in percent for attacks that the detector was fitted on (seen) and that it meets for "
    "the first time (unknown: fitted on the first); as a subscript half the width of the {level:.0%} interval."
)
_PUBLISHED = (
    f" {THEIRS}: Wang, Hu and Su, Table 2 (ResNet-34, protocol of Lee et al. 2018). Another net, attack library or "
    "protocol makes another figure. Rows under labels of their own, such as another choice of classes, have no "
    "published figure here."
)
_ONE_SIDED = (
    " A subscript of one sign, where half the width would pass 0 or 100: how far the interval reaches that way."
)
_BOLD = " Bold: the published figure lies inside our interval."
_MARKED = " *: see the remarks in the suite's report."


def table2(entries: Sequence[Entry]) -> list[Tex]:
    """One table for each protocol, with a group of rows for each suite and net.

    Columns are the paper's where any suite has its attacks, else the suites' own; a column is left out that has no
    figure in any row. One suite has all its detectors; several would fill more than a page and have those that the
    paper has figures of, where there are any.
    """
    tables = []
    for protocol in dict.fromkeys(entry.protocol_name for entry in entries):
        groups = _groups([entry for entry in entries if entry.protocol_name == protocol])
        columns = _columns(groups)
        if columns:
            level = next(entry.statistics.level for entry in entries if entry.protocol_name == protocol)
            caption = _caption(protocol, level, groups)
            tables.append(Tex(f"table2-{protocol}", caption, "detector", columns, groups))
    return tables


def _groups(entries: Sequence[Entry]) -> Mapping[str, Sequence[Row]]:
    """Rows by heading, controls last."""
    of_paper = any(attack.name in PUBLISHED_ATTACKS for entry in entries for attack in entry.attacks.values())
    groups: dict[str, list[Row]] = {}
    for entry in sorted(entries, key=lambda entry: entry.detector.control):
        heading = f"{entry.suite.name}: {entry.dataset.name}, {entry.net}"
        mark = " (control)" if entry.detector.control else ""
        groups.setdefault(heading, []).append((entry.label + mark, dict(_figures(entry, of_paper))))
    if len(groups) == 1:
        return groups
    compared = {
        heading: [row for row in rows if any(path[2] == THEIRS for path in row[1])] for heading, rows in groups.items()
    }
    return {heading: rows for heading, rows in compared.items() if rows} or groups


def _caption(protocol: str, level: float, groups: Mapping[str, Sequence[Row]]) -> str:
    figures = [item for rows in groups.values() for _, of_row in rows for item in of_row.items()]
    published = _PUBLISHED if any(path[2] == THEIRS for path, _ in figures) else ""
    marked = _MARKED if any("*" in text for _, text in figures) else ""
    cut = _ONE_SIDED if any("_{-" in text or "_{+" in text for _, text in figures) else ""
    inside = _BOLD if any(text.startswith(bold("")[:-1]) for _, text in figures) else ""
    return _CAPTION.format(protocol=protocol, level=level) + cut + published + inside + marked


def _columns(groups: Mapping[str, Sequence[Row]]) -> list[Path]:
    """Columns in the order of the first rows that have them, seen before unknown, ours before theirs."""
    paths = dict.fromkeys(path for rows in groups.values() for _, figures in rows for path in figures)
    attacks = list(dict.fromkeys(attack for _, attack, _ in paths))
    return sorted(paths, key=lambda path: (path[0] != "seen", attacks.index(path[1]), path[2] != OURS))


def _figures(entry: Entry, of_paper: bool) -> Iterator[tuple[Path, str]]:
    reference = published_table2().set_index(["dataset", "detector", "protocol", "attack"])["auroc_percent"]
    dataset = PUBLISHED_DATASETS.get(entry.dataset.name)
    detector = published_detector(entry)
    cells = entry.by_pair()
    for kind, attack, pair in _pairs(entry, of_paper):
        cell = cells.get(pair)
        theirs = reference.get((dataset, detector, kind, attack))
        inside = theirs is not None and against_published(cell, float(theirs))[1] == "yes"
        if cell is not None and cell.auroc is not None:
            ours = percent(cell.auroc) + ("*" if cell.remark else "")
            yield (kind, attack, OURS), (bold(ours) if inside else ours) + _spread(cell)
        if theirs is not None:
            yield (kind, attack, THEIRS), f"{float(theirs):.1f}"


def _spread(cell: Cell) -> str:
    """A cell's interval in short, as a subscript."""
    if cell.auroc is None or cell.low is None or cell.high is None:
        return ""
    signs = {"±": r"\pm ", "−": "-"}
    text = spread(cell.auroc, cell.low, cell.high)
    return f"$_{{{signs.get(text[0], text[0])}{text[1:]}}}$"


def _pairs(entry: Entry, of_paper: bool) -> Iterator[tuple[str, str, Pair]]:
    """Seen or unknown, the attack's name in the table, and its cell."""
    names = published_attacks(entry) if of_paper else dict(zip(entry.attacks, entry.attacks, strict=True))
    first = next(iter(entry.attacks))
    for label, name in names.items():
        yield "seen", name, (label, label)
    for label, name in names.items():
        if label != first:
            yield "unknown", name, (first, label)
