"""Leaderboards as data: which entries stand in one table, in which order, with which marks; no HTML here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ..core.errors import UserError
from ..core.files import read_json, sentence
from ..core.hashing import canonical
from ..detection.cells import column_title, columns_of
from ..detection.entry import Cell, Entry
from ..detection.scores import examine
from ..detection.suite import Pair
from ..harness.entry import Checked, LeftOut, read_checked
from .maps import Maps, read_maps

_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")


def slug(text: str) -> str:
    """A file name for any text: two texts never share one, not even where case does not count."""
    safe = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")[:80]
    if safe and safe == text and not _RESERVED.match(safe):
        return safe
    return f"{safe or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def web_address(url: str) -> str | None:
    """The address where it is one of the web; other schemes (javascript:, file:) are no links."""
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
    worst: Pair | None
    why_unranked: str
    highest_fpr: Pair | None

    @property
    def entry(self) -> Entry:
        return self.checked.entry

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
        """The lowest and the highest replicate, where there are several."""
        rates = self.checked.measured.fpr95[pair]
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

    @cached_property
    def remarks(self) -> dict[str, int]:
        """What is said of cells with a value, numbered in the order of the table."""
        said = (
            row.cells[pair].remark
            for row in self.rows
            for pair in self.columns
            if pair in row.cells and row.cells[pair].auroc is not None
        )
        return {text: number for number, text in enumerate(dict.fromkeys(t for t in said if t), start=1)}


@dataclass(frozen=True)
class Results:
    """All that pages are made of."""

    entries: list[Checked[Entry]]
    boards: list[Board]
    track: Maps
    left_out: list[LeftOut]


def read_results(folder: Path) -> Results:
    """Everything below a results folder that passes its checks.

    UserError where there is no such folder, where nothing in it is an entry, or where every entry is refused.
    """
    entries, refused = read_checked(Entry, folder, examine)
    track, more = read_maps(folder)
    made, without = boards(entries)
    left_out = [*refused, *more, *without]
    if entries or track.entries:
        return Results(entries, made, track, left_out)
    if left_out:
        others = f" ({len(left_out) - 1} more after it)" if len(left_out) > 1 else ""
        raise UserError(f"Nothing under {folder} can be shown: {left_out[0]}{others}")
    raise UserError(f"There are no entries under {folder}; run a suite first, or give its output folder.")


def needs_of(entry: Entry) -> list[str]:
    """What an entry states; ``adversarial`` too where another attack to fit on gives another AUROC, so that it learns.

    (A detector with several characteristics states only what it needs itself; its combiner needs adversarial images.)
    """
    by_test: dict[str, set[float]] = {}
    for cell in entry.cells:
        if cell.auroc is not None:
            by_test.setdefault(cell.test_on, set()).add(cell.auroc)
    learned = any(len(values) > 1 for values in by_test.values())
    return list(dict.fromkeys([*entry.detector.needs, *(["adversarial"] if learned else [])]))


def boards(entries: Sequence[Checked[Entry]]) -> tuple[list[Board], list[LeftOut]]:
    """Every board, and comparisons that could not be read."""
    groups: dict[tuple[str, ...], list[Checked[Entry]]] = {}
    for checked in entries:
        groups.setdefault(_place(checked.entry), []).append(checked)
    refused: dict[str, LeftOut] = {}
    made, taken = [], set()
    for key, own in sorted(groups.items()):
        head = own[0].entry
        name = f"{head.suite.name}--{head.protocol_name}"
        # The same suite on another machine trains another net: a board of its own, whose name says which.
        unique = name if name not in taken else f"{name}--{hashlib.sha256(repr(key).encode()).hexdigest()[:8]}"
        taken.add(name)
        made.append(_board(slug(unique), own, refused))
    made.sort(key=lambda board: (board.group, -len(board.rows), board.protocol != "strict", board.id))
    return made, list(refused.values())


def _place(entry: Entry) -> tuple[str, ...]:
    """What must agree in one table: data, net, suite, protocol and the adversarial images themselves."""
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


def _board(name: str, own: Sequence[Checked[Entry]], refused: dict[str, LeftOut]) -> Board:
    head = own[0].entry
    columns = tuple(columns_of(list(head.attacks)))
    cells = [each.entry.by_pair() for each in own]
    able = {pair for found in cells for pair, cell in found.items() if cell.auroc is not None}
    ranked = tuple(pair for pair in columns if pair in able)
    rows = [_row(each, found, ranked) for each, found in zip(own, cells, strict=True)]
    rows.sort(key=lambda row: (-(row.cells[row.worst].auroc or 0.0) if row.worst else 1.0, row.label))
    marks, notes = _marks(own, rows, columns, refused)
    nobody = [column_title(pair) for pair in columns if pair not in able]
    if nobody:
        notes.append(f"No detector has a value for {', '.join(nobody)}; the worst case is over the other columns.")
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
        why = f"no value for {', '.join(column_title(pair) for pair in missing)}" if missing else "no value at all"
        return Row(checked, cells, None, why, None)
    worst = min(ranked, key=lambda pair: cells[pair].auroc or 0.0)
    highest = max(ranked, key=lambda pair: cells[pair].fpr95 or 0.0)
    return Row(checked, cells, worst, "", highest)


class _Best(BaseModel):
    model_config = ConfigDict(strict=True)

    fit_on: str
    test_on: str
    best: str
    not_separable: list[str]


_BESTS = TypeAdapter(list[_Best])


def _marks(
    own: Sequence[Checked[Entry]], rows: Sequence[Row], columns: Sequence[Pair], refused: dict[str, LeftOut]
) -> tuple[dict[Pair, frozenset[str]], list[str]]:
    """Who shares the mark of the best of each column, from the comparisons that the suite wrote, and what is amiss."""
    bests: list[_Best] = []
    for folder in dict.fromkeys(each.folder for each in own):
        protocol = own[0].entry.protocol_name
        path = folder / "comparisons" / f"{protocol}.json"
        try:
            bests += _read_bests(path)
        except UserError as error:
            home = Path(next(each.file for each in own if each.folder == folder)).parents[2]
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


def _read_bests(path: Path) -> list[_Best]:
    if not path.is_file():
        return []
    content = read_json(path)
    try:
        return _BESTS.validate_python(content["best"])
    except (ValidationError, KeyError, TypeError):
        raise UserError(f"{path} holds no comparisons; run its suite again.") from None


def by_detector(all_boards: Sequence[Board]) -> dict[str, list[tuple[Board, Row]]]:
    """Every detector's label with its rows, in the order of labels."""
    found: dict[str, list[tuple[Board, Row]]] = {}
    for board in all_boards:
        for row in board.rows:
            found.setdefault(row.label, []).append((board, row))
    return dict(sorted(found.items()))


def by_attack(all_boards: Sequence[Board]) -> dict[str, list[Board]]:
    found: dict[str, list[Board]] = {}
    for board in all_boards:
        for label in board.rows[0].entry.attacks:
            found.setdefault(label, []).append(board)
    return dict(sorted(found.items()))


def papers(rows: Sequence[tuple[Board, Row]]) -> Iterator[dict[str, Any]]:
    """What entries say of where a detector comes from: once where they agree."""
    seen = set()
    for _, row in rows:
        info = {key: getattr(row.entry.detector, key) for key in ("name", "title", "year", "url", "formula", "notes")}
        if canonical(info) not in seen:
            seen.add(canonical(info))
            yield info
