"""Leaderboards as data: the entries of each table, their order and their marks; no HTML here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..adaptive.entry import budget
from ..core.errors import UserError
from ..core.files import sentence
from ..core.hashing import canonical
from ..detection.cell import Cell
from ..detection.cells import column_title
from ..detection.entry import Entry
from ..detection.scores import examine
from ..detection.stated import Best, Comparisons, comparisons_file
from ..detection.suite import Pair, columns_of
from ..harness.entry import Checked, LeftOut, read_checked, read_form
from .adaptive import budgets_of, standing
from .beside import Beside, place_of, read_beside, severity_of
from .checks import Checks
from .maps import Maps, read_maps
from .names import board_names, net_names, slug
from .order import board_rank, ranks
from .ranking import by_lowest_column, key_of
from .row import Row
from .ways import findings


@dataclass(frozen=True)
class Board:
    """All detectors that were scored on the same images of the same net under one protocol."""

    id: str
    suite: str
    dataset: str
    net: str
    protocol: str
    columns: tuple[Pair, ...]
    ranked: tuple[Pair, ...]
    rows: tuple[Row, ...]
    marks: Mapping[Pair, frozenset[str]]
    notes: tuple[str, ...] = field(default=())
    #: No two boards of a site share it.
    name: str = ""

    @property
    def group(self) -> str:
        return f"{self.dataset} · {self.net}"

    @property
    def level(self) -> float:
        return self.rows[0].entry.statistics.level

    @property
    def by_column(self) -> bool:
        """Whether no row has the worst case of each image, so that the lowest column ranks."""
        return not any(row.key is not None and not by_lowest_column(row.key) for row in self.rows)

    @cached_property
    def budgets(self) -> dict[float, str]:
        """Budgets of attackers who know the detector, ascending, and in words; none where no row was attacked so."""
        return {epsilon: budget(epsilon) for epsilon in budgets_of([row.adaptive for row in self.rows])}

    @cached_property
    def best_control(self) -> Row | None:
        """The control with the best worst case; None where no control has one of the kind that most rows have."""
        controls = [row for row in self.rows if row.control and row.key and by_lowest_column(row.key) == self.by_column]
        return max(controls, key=lambda row: row.key.value if row.key else 0.0, default=None)

    @cached_property
    def severity(self) -> int | None:
        """The severity of benign shift that the table shows; None where no row was tried so."""
        return severity_of([row.shift for row in self.rows])

    def remark(self, row: Row, pair: Pair) -> str:
        """The remark on a cell if it touches a verdict: the cell ranks its row, or bears the mark of the best."""
        verdict = pair == row.worst or row.label in self.marks.get(pair, ())
        return row.cells[pair].remark if verdict and pair in row.cells else ""

    @cached_property
    def remarks(self) -> dict[str, int]:
        """Remarks that touch a verdict, numbered in the order of the table."""
        remarks = (
            self.remark(row, pair)
            for row in self.rows
            for pair in (*self.columns, *((row.worst,) if row.worst else ()))
            if pair in row.cells and row.cells[pair].auroc is not None
        )
        return {text: number for number, text in enumerate(dict.fromkeys(t for t in remarks if t), start=1)}


@dataclass(frozen=True)
class Results:
    """The content of all pages."""

    entries: list[Checked[Entry]]
    boards: list[Board]
    track: Maps
    left_out: list[LeftOut]
    #: The findings that lie in the folder, as Markdown.
    findings: str | None = None


def read_results(folder: Path) -> Results:
    """Everything below a results folder that passes its checks.

    UserError if there is no such folder, if nothing in it is an entry, or if every entry is refused.
    """
    checks = Checks()
    entries, refused = read_checked(Entry, folder, examine, checks.measured)
    beside, others = read_beside(folder, checks)
    track, more = read_maps(folder, checks)
    checks.keep()
    made, without = boards(entries, beside)
    left_out = [*refused, *others, *more, *without]
    if entries or track.entries:
        return Results(entries, made, track, left_out, findings(folder))
    if left_out:
        after = f" ({len(left_out) - 1} more after it)" if len(left_out) > 1 else ""
        raise UserError(f"Nothing under {folder} can be shown: {left_out[0]}{after}")
    raise UserError(f"There are no entries under {folder}; run a suite first, or give its output folder.")


def boards(entries: Sequence[Checked[Entry]], beside: Beside | None = None) -> tuple[list[Board], list[LeftOut]]:
    """All boards, and the comparisons that could not be read; ``beside`` belongs to rows of the protocol strict."""
    groups: dict[tuple[str, ...], list[Checked[Entry]]] = {}
    for checked in entries:
        groups.setdefault(_place(checked.entry), []).append(checked)
    nets = net_names([checked.entry for checked in entries])
    refused: dict[str, LeftOut] = {}
    made, taken = [], set()
    for key, members in sorted(groups.items()):
        head = members[0].entry
        name = f"{head.suite.name}--{head.protocol_name}"
        # The same suite on another machine trains another net: it gets its own board, with a hash in its name.
        unique = name if name not in taken else f"{name}--{hashlib.sha256(repr(key).encode()).hexdigest()[:8]}"
        taken.add(name)
        others = beside if beside is not None and head.protocol_name == "strict" else Beside()
        board = _board(slug(unique), members, refused, others)
        made.append(replace(board, net=nets[head.dataset.name, head.model.sha256]))
    made.sort(key=lambda board: (*board_rank(board.suite, board.protocol, len(board.rows), board.group), board.id))
    names = board_names([(board.dataset, board.net, board.protocol, board.suite, board.id) for board in made])
    return [replace(board, name=name) for board, name in zip(made, names, strict=True)], list(refused.values())


def _place(entry: Entry) -> tuple[str, ...]:
    """The key shared by all rows of a table: data, net, suite, protocol and the adversarial images themselves."""
    attacks = [
        [label, a.name, a.library, a.preset, a.parameters, a.clean_correct, a.successes]
        for label, a in entry.attacks.items()
    ]
    return (
        entry.dataset.name,
        entry.net,
        entry.suite.name,
        entry.protocol_name,
        entry.dataset.sha256,
        entry.model.sha256,
        canonical(attacks),
    )


def _board(name: str, members: Sequence[Checked[Entry]], refused: dict[str, LeftOut], beside: Beside) -> Board:
    head = members[0].entry
    columns = tuple(columns_of(list(head.attacks)))
    cells = [checked.entry.by_pair() for checked in members]
    measured = {pair for by_pair in cells for pair, cell in by_pair.items() if cell.auroc is not None}
    ranked = tuple(pair for pair in columns if pair in measured)
    rows = []
    for checked, by_pair in zip(members, cells, strict=True):
        place, row = place_of(checked.entry), _row(checked, by_pair, ranked)
        rows.append(replace(row, adaptive=beside.adaptive.get(place), shift=beside.shift.get(place)))
    rows.sort(key=lambda row: (-standing(row.adaptive), -row.key.value if row.key else 1.0, row.label))
    places = ranks([(standing(row.adaptive), row.key.value) if row.key else None for row in rows])
    rows = [replace(row, rank=place) for row, place in zip(rows, places, strict=True)]
    marks, notes = _marks(members, rows, columns, refused)
    unmeasured = [column_title(pair) for pair in columns if pair not in measured]
    if unmeasured:
        notes.append(f"No detector has a value for {', '.join(unmeasured)}; the worst case is over the other columns.")
    by_column = [row.label for row in rows if by_lowest_column(row.key)]
    if by_column and len(by_column) < sum(row.key is not None for row in rows):
        notes.append(
            f"Ranked by the lowest column, since the entry has no worst case of each image: {', '.join(by_column)}; "
            "another figure than that of the other rows, so run the suite again."
        )
    return Board(
        name,
        head.suite.name,
        head.dataset.name,
        head.net,
        head.protocol_name,
        columns,
        ranked,
        tuple(rows),
        marks,
        tuple(notes),
    )


def _row(checked: Checked[Entry], cells: Mapping[Pair, Cell], ranked: Sequence[Pair]) -> Row:
    missing = [pair for pair in ranked if pair not in cells or cells[pair].auroc is None]
    if missing or not ranked:
        reason = f"no value for {', '.join(column_title(pair) for pair in missing)}" if missing else "no value at all"
        return Row(checked, cells, None, reason, None)
    highest = max(ranked, key=lambda pair: cells[pair].fpr95 or 0.0)
    return Row(checked, cells, key_of(cells, ranked), "", highest)


def _marks(
    members: Sequence[Checked[Entry]], rows: Sequence[Row], columns: Sequence[Pair], refused: dict[str, LeftOut]
) -> tuple[dict[Pair, frozenset[str]], list[str]]:
    """The detectors marked as best in each column, by the comparisons that the suite wrote, and notes on problems."""
    bests: list[Best] = []
    for folder in dict.fromkeys(checked.folder for checked in members):
        protocol = members[0].entry.protocol_name
        path = comparisons_file(folder, protocol)
        try:
            bests += read_form(Comparisons, path).best if path.is_file() else []
        except UserError as error:
            home = Path(next(checked.file for checked in members if checked.folder == folder)).parents[2]
            file = (home / "comparisons" / path.name).as_posix()
            refused[file] = LeftOut(file, sentence(error, path, file))
    marks: dict[Pair, frozenset[str]] = {}
    stale: list[str] = []
    for pair in columns:
        values = {
            row.label: value for row in rows if pair in row.cells and (value := row.cells[pair].auroc) is not None
        }
        stated = [b for b in bests if (b.fit_on, b.test_on) == pair]
        if not values or not bests:
            continue
        if len(stated) != 1 or values.get(stated[0].best) != max(values.values()):
            stale.append(column_title(pair))
        else:
            marks[pair] = frozenset([stated[0].best, *stated[0].not_separable])
    notes = []
    if stale:
        notes.append(
            f"No mark in {', '.join(stale)}: the comparisons were made before the entries changed; run the suite again."
        )
    if not bests:
        notes.append("No column has marks: there are no comparisons beside the entries; run the suite again.")
    return marks, notes


def by_detector(all_boards: Sequence[Board]) -> dict[str, list[tuple[Board, Row]]]:
    """Rows by the label of their detector, in the order of labels."""
    rows: dict[str, list[tuple[Board, Row]]] = {}
    for board in all_boards:
        for row in board.rows:
            rows.setdefault(row.label, []).append((board, row))
    return dict(sorted(rows.items()))


def by_attack(all_boards: Sequence[Board]) -> dict[str, list[Board]]:
    boards_of: dict[str, list[Board]] = {}
    for board in all_boards:
        for label in board.rows[0].entry.attacks:
            boards_of.setdefault(label, []).append(board)
    return dict(sorted(boards_of.items()))


def papers(rows: Sequence[tuple[Board, Row]]) -> Iterator[dict[str, Any]]:
    """The papers that entries state for a detector, once for each distinct statement."""
    seen = set()
    for _, row in rows:
        info = {key: getattr(row.entry.detector, key) for key in ("name", "title", "year", "url", "formula", "notes")}
        if canonical(info) not in seen:
            seen.add(canonical(info))
            yield info
