"""Tables for a width: names are wrapped and columns stacked until each figure stands whole on one line.

What is tried, in this order: the whole table; its parts apart, such as seen and unknown attacks; parts in several
tables below each other; the same without intervals, which is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len, chop_cells
from rich.table import Table
from rich.text import Text

from .grid import Column, Grid, Listing, Row

#: Columns of characters that names keep beside figures: at first, and where there is hardly any room.
NAMES, FEW = 20, 12

#: Columns that one more column of a table takes besides its cells, and those at the table's end.
BESIDE, END = 3, 1

#: Marks the highest figure where a terminal can show neither bold nor colour.
BEST = "¹"

#: Where a line may end: behind a space, and behind these signs before a letter, so that no figure is broken.
_WORDS = re.compile(r"(?<=\s)(?=\S)|(?<=[-/_.,])(?=[^\W\d])")

#: Where a line of a figure may end: before its interval.
_INTERVAL = re.compile(r"(?<= )(?=\[)")


@dataclass(frozen=True)
class Arrangement:
    """The columns of each table that a grid becomes, the width of its rows' names, and whether intervals are kept."""

    stacks: Sequence[Sequence[int]]
    names: int
    spreads: bool


def arranged(grid: Grid, width: int | None, best: str = "") -> Arrangement:
    """How a grid is folded into a width; None: not at all. ``best``: the mark of the highest figure, if it has one."""
    whole = max(map(cell_len, [grid.corner, *(row.whole_name for row in grid.rows)]))
    everything = list(range(len(grid.columns)))
    if width is None or not everything:
        return Arrangement([everything], whole, True)
    parts = [list(group) for _, group in groupby(everything, lambda place: grid.columns[place].part)]
    for spreads in (True, False) if grid.has_spreads else (True,):
        widths = [_figures(grid, place, spreads, best) for place in everything]
        for least, stacks in _tries(everything, parts, spreads):
            room = width - END - BESIDE - max(sum(widths[place] + BESIDE for place in stack) for stack in stacks)
            if room >= min(least, whole):
                return Arrangement(stacks, min(room, whole), spreads)
    return Arrangement([[place] for place in everything], min(FEW, whole), not grid.has_spreads)


def _tries(
    everything: list[int], parts: list[list[int]], spreads: bool
) -> Iterator[tuple[int, Sequence[Sequence[int]]]]:
    """The least width of names, and the stacks, from the best to read to the narrowest."""
    largest = max(map(len, parts))
    yield NAMES, [everything]
    for least in (NAMES, FEW):
        yield least, parts
        for size in range(largest - 1, 1 if spreads else 0, -1):
            yield least, [stack for part in parts for stack in _evenly(part, size)]


def _evenly(part: list[int], size: int) -> Iterator[list[int]]:
    """The columns in as few stacks of at most ``size`` as there can be, all about as long."""
    count = -(-len(part) // size)
    for number in range(count):
        yield part[number * len(part) // count : (number + 1) * len(part) // count]


def _figures(grid: Grid, place: int, spreads: bool, best: str) -> int:
    """The width of a column: that of its figures, or of its heading in lines."""
    figures = max((cell_len(cell(row, place, spreads, best)) for row in grid.rows), default=0)
    return max(figures, *map(cell_len, _heading(grid.columns[place], max(FEW, figures))))


def _heading(column: Column, width: int) -> list[str]:
    return [part for line in column.lines for part in wrapped(line, width).plain.split("\n")]


def cell(row: Row, place: int, spreads: bool, best: str) -> str:
    """A figure as printed; the best one with its mark."""
    figure = row.figures[place]
    return figure.text(spreads) + (best if figure.best else "")


def drawn(grid: Grid, form: Arrangement, best: str = "") -> Iterator[Table]:
    """The tables of an arrangement; each is as wide as it has to be."""
    for stack in form.stacks:
        table = Table()
        table.add_column(wrapped(grid.corner, form.names), no_wrap=True)
        for place in stack:
            column, width = grid.columns[place], _figures(grid, place, form.spreads, best)
            heading = Text("\n".join(_heading(column, width)))
            table.add_column(heading, justify="right", no_wrap=True, style="dim" if column.dim else "")
        for row in grid.rows:
            cells = [
                Text(cell(row, place, form.spreads, best), "bold green" if row.figures[place].best else "")
                for place in stack
            ]
            table.add_row(_name(row, form.names), *cells)
        yield table


def _name(row: Row, width: int) -> Text:
    """The row's name in lines of this width, the word beside it dim."""
    text = wrapped(row.whole_name, width)
    if row.aside:
        lines = text.plain
        begin = lines.rfind(row.aside)
        if begin >= 0:
            text.stylize("dim", begin)
    return text


def listed(listing: Listing, width: int | None) -> Table | None:
    """The table of a listing at most this wide, None: at its own width; None where its texts have no room in it."""
    texts, figures = listing.texts(), listing.figures()
    columns = [[name, *(row[place] for row in texts)] for place, name in enumerate(listing.columns)]
    widths = [max(map(cell_len, column)) for column in columns]
    if width is not None:
        shrunk = _shrunk(columns, widths, figures, width - END - BESIDE * len(columns))
        if shrunk is None:
            return None
        widths = shrunk
    table = Table()
    for name, wide in zip(listing.columns, widths, strict=True):
        table.add_column(wrapped(name, wide), no_wrap=True)
    breaks = [_INTERVAL if figure else _WORDS for figure in figures]
    for row in texts:
        table.add_row(*map(wrapped, row, widths, breaks))
    return table


def _shrunk(columns: list[list[str]], widths: list[int], figures: list[bool], room: int) -> list[int] | None:
    """Widths that fit into the room, the widest narrowed first and none below its longest piece; None: none do."""
    least = [
        max(_longest(column[1:], _INTERVAL), min(FEW, _longest(column[:1], _WORDS)))
        if figure
        else min(NAMES, _longest(column, _WORDS))
        for column, figure in zip(columns, figures, strict=True)
    ]
    widths = list(widths)
    while sum(widths) > room:
        open_places = [place for place, wide in enumerate(widths) if wide > least[place]]
        if not open_places:
            return None
        widest = max(open_places, key=lambda place: widths[place])
        widths[widest] -= 1
    return widths


def _longest(column: list[str], breaks: re.Pattern[str]) -> int:
    """The longest piece, which must not be broken unless it is a very long word, such as a path."""
    return max((cell_len(piece.strip()) for text in column for piece in breaks.split(text)), default=1)


def cards(listing: Listing, width: int) -> Iterator[Text]:
    """A listing whose table has no room: record by record, a line a column, long texts below their heading."""
    for row in listing.texts():
        for number, (name, text) in enumerate(zip(listing.columns, row, strict=True)):
            if text or not number:
                yield _field(name, text, "  " if number else "", width)
        yield Text("")


def _field(name: str, text: str, indent: str, width: int) -> Text:
    if cell_len(f"{indent}{name} {text}") <= width:
        return Text.assemble(indent, (f"{name} ", "dim"), text)
    lines = wrapped(text, max(FEW, width - 4)).plain.split("\n")
    return Text.assemble(indent, (name, "dim"), *(f"\n    {line}" for line in lines))


def wrapped(text: str, width: int, breaks: re.Pattern[str] = _WORDS) -> Text:
    """A text in lines of at most this width, broken behind spaces, hyphens and strokes, in a word only at need."""
    lines, line = [], ""
    for piece in breaks.split(text.replace("\n", " ")):
        if line and cell_len((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece
        while cell_len(line.rstrip()) > width:
            first = chop_cells(line, width)[0]
            lines.append(first)
            line = line[len(first) :]
    return Text("\n".join([*lines, line.rstrip()]))
