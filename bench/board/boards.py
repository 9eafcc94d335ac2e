"""Leaderboards as data: the entries of each table, their order and their marks; no HTML here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..adaptive.entry import Cell as AdaptiveCell
from ..adaptive.entry import Entry as AdaptiveEntry
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
from ..harness.suite import DEVICE
from ..shift.entry import Entry as ShiftEntry
from ..shift.entry import Mean
from .adaptive import largest, largest_budget, standing
from .beside import Beside, mean_at, place_of, read_beside, severity_of
from .maps import Maps, read_maps
from .ranking import Key, by_lowest_column, key_of


def slug(text: str) -> str:
    """A file name for any text: two texts never share one, even if the file system ignores case."""
    safe = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")[:80]
    if safe and safe == text and not DEVICE.fullmatch(safe):
        return safe
    return f"{safe or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def web_address(url: str) -> str | None:
    """The address if it is a web address; other schemes (javascript:, file:) are not linked."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    good = parts.scheme in ("http", "https") and parts.netloc and not re.search(r"[\s\x00-\x1f\x7f]", url)
    return url if good else None


@dataclass(frozen=True)
class Row:
    """One detector on one board."""

    checked: Checked[Entry]
    cells: Mapping[Pair, Cell]
    key: Key | None
    why_unranked: str
    highest_fpr: Pair | None
    adaptive: AdaptiveEntry | None = None
    shift: ShiftEntry | None = None

    @property
    def robust(self) -> AdaptiveCell | None:
        """Under attackers who know the detector, at the largest budget; None without such an entry."""
        return largest(self.adaptive)

    def shifted(self, severity: int | None) -> Mean | None:
        """False alarms on images that nobody attacked, at one severity of their corruptions."""
        return mean_at(self.shift, severity)

    @property
    def entry(self) -> Entry:
        return self.checked.entry

    @property
    def worst(self) -> Pair | None:
        """The cell of the ranking key."""
        return None if self.key is None else self.key.pair

    @property
    def label(self) -> str:
        return self.entry.label

    @property
    def control(self) -> bool:
        return self.entry.detector.control

    @property
    def milliseconds(self) -> float | None:
        seconds = self.entry.cost.seconds_per_image
        return None if seconds is None else 1000 * seconds

    @cached_property
    def needs(self) -> list[str]:
        return needs_of(self.entry)

    def fpr_range(self, pair: Pair) -> tuple[float, float] | None:
        """The lowest and the highest replicate, if there are several."""
        rates = [rate for rate in self.cells[pair].fpr95_by_split if rate is not None]
        return (min(rates), max(rates)) if len(rates) > 1 else None


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
    def budget(self) -> str | None:
        """The largest budget of attackers who know the detector, in words; None where no row was attacked so."""
        return largest_budget([row.adaptive for row in self.rows])

    @cached_property
    def severity(self) -> int | None:
        """The severity of benign shift that the table shows; None where no row was tried so."""
        return severity_of([row.shift for row in self.rows])

    @cached_property
    def remarks(self) -> dict[str, int]:
        """Remarks on cells with a value, numbered in the order of the table."""
        remarks = (
            row.cells[pair].remark
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


def read_results(folder: Path) -> Results:
    """Everything below a results folder that passes its checks.

    UserError if there is no such folder, if nothing in it is an entry, or if every entry is refused.
    """
    entries, refused = read_checked(Entry, folder, examine)
    beside, others = read_beside(folder)
    track, more = read_maps(folder)
    made, without = boards(entries, beside)
    left_out = [*refused, *others, *more, *without]
    if entries or track.entries:
        return Results(entries, made, track, left_out)
    if left_out:
        after = f" ({len(left_out) - 1} more after it)" if len(left_out) > 1 else ""
        raise UserError(f"Nothing under {folder} can be shown: {left_out[0]}{after}")
    raise UserError(f"There are no entries under {folder}; run a suite first, or give its output folder.")


def needs_of(entry: Entry) -> list[str]:
    """The needs that an entry states, and ``adversarial`` if fitting on another attack gives another AUROC.

    (A detector with several characteristics only states its own needs; its combiner needs adversarial images.)
    """
    by_test: dict[str, set[float]] = {}
    for cell in entry.cells:
        if cell.auroc is not None:
            by_test.setdefault(cell.test_on, set()).add(cell.auroc)
    learned = any(len(values) > 1 for values in by_test.values())
    return list(dict.fromkeys([*entry.detector.needs, *(["adversarial"] if learned else [])]))


def boards(entries: Sequence[Checked[Entry]], beside: Beside | None = None) -> tuple[list[Board], list[LeftOut]]:
    """All boards, and the comparisons that could not be read; ``beside`` belongs to rows of the protocol strict."""
    groups: dict[tuple[str, ...], list[Checked[Entry]]] = {}
    for checked in entries:
        groups.setdefault(_place(checked.entry), []).append(checked)
    refused: dict[str, LeftOut] = {}
    made, taken = [], set()
    for key, members in sorted(groups.items()):
        head = members[0].entry
        name = f"{head.suite.name}--{head.protocol_name}"
        # The same suite on another machine trains another net: it gets its own board, with a hash in its name.
        unique = name if name not in taken else f"{name}--{hashlib.sha256(repr(key).encode()).hexdigest()[:8]}"
        taken.add(name)
        others = beside if beside is not None and head.protocol_name == "strict" else Beside()
        made.append(_board(slug(unique), members, refused, others))
    made.sort(key=lambda board: (board.group, -len(board.rows), board.protocol != "strict", board.id))
    return made, list(refused.values())


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
