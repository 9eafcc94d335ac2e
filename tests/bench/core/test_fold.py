"""A table is folded to a width, and no figure of it is ever cut.

What tables look like is recorded in ``widths/``; after a change of the committed results, or of the form, this writes
them again, and `git diff` shows what has become of them: ``python -m tests.bench.core.test_fold``.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from subnetbench.bench.cli import output
from subnetbench.bench.core.fold import arranged, wrapped
from subnetbench.bench.core.grid import Column, Figure, Grid, Listing, Row
from subnetbench.bench.tracks import TRACKS

HERE = Path(__file__).parent
RESULTS = HERE.parents[2] / "results"
WIDTHS = (60, 80, 100, 120, 160)

#: The main tables of every track that has committed results: the folder, and the track.
TABLES = {"digits": "detection", "cifar10-adaptive": "adaptive", "wsol-tiny-nets": "localisation"}


def printed(tables: Iterator[Grid | Listing | str], width: int, *, wide: bool = False) -> str:
    """What a terminal of this width would show, without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False)
    before = output.current
    output.current = output.Output(output.Form.text, wide=wide)
    try:
        for table in tables:
            console.print(table) if isinstance(table, str) else output.show(table, console)
    finally:
        output.current = before
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


@cache
def of_track(suite: str) -> list[Grid | str]:
    track = TRACKS[TABLES[suite]]
    folder = RESULTS / suite
    entries = import_module(f"subnetbench.bench.{track.name}.entry").read_entries(folder)
    return list(track.terminal.shown(entries, folder))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("suite", TABLES)
def test_the_main_tables_look_as_recorded(suite: str, width: int) -> None:
    text = printed(iter(of_track(suite)), width)
    assert max(map(len, text.splitlines())) <= width
    assert text == (HERE / "widths" / f"{suite}-{width}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("suite", TABLES)
def test_every_figure_of_the_frame_stands_whole_at_each_width(suite: str) -> None:
    tables = of_track(suite)
    for width in range(40, 161, 12):
        for table in tables:
            if isinstance(table, Grid):
                stands_whole(table, width)


def stands_whole(grid: Grid, width: int) -> None:
    """Every figure is on one line, between borders; without its interval only where that is said."""
    text = printed(iter([grid]), width)
    assert "…" not in text
    dropped = "Intervals are left out" in text
    wanted = Counter(
        figure.text(not dropped) + ("¹" if figure.best else "") for row in grid.rows for figure in row.figures
    )
    shown = Counter(cell for line in text.splitlines() if line.startswith("│") for cell in _cells(line)[1:] if cell)
    assert shown == wanted, width
    assert max(map(len, text.splitlines())) <= width


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")]


LABELS = st.from_regex(r"[a-z]{1,14}(-[a-z]{1,14}){0,3}", fullmatch=True)
FIGURES = st.builds(
    Figure,
    st.from_regex(r"(100|[0-9]{1,2})\.[0-9]", fullmatch=True),
    st.sampled_from(["", "*", "‡"]),
    st.sampled_from(["", "±0.4", "−10.8"]),
    st.sampled_from(["", "†"]),
    st.booleans(),
)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_no_table_of_figures_is_cut_at_any_width_from_40(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(["seen", "unknown"]), min_size=1, max_size=9))
    columns = [Column(data.draw(LABELS), part) for part in sorted(parts)]
    rows = [
        Row(label, [data.draw(FIGURES) for _ in columns], data.draw(st.sampled_from(["", "(control)"])))
        for label in data.draw(st.lists(LABELS, min_size=1, max_size=4))
    ]
    stands_whole(Grid("a table", "detector", columns, rows), data.draw(st.integers(40, 200)))


def test_parts_come_apart_before_columns_and_intervals_go_last() -> None:
    columns = [Column("fgsm", "seen"), Column("bim", "seen"), Column("fgsm", "unknown"), Column("bim", "unknown")]
    rows = [Row("subnet-mahalanobis-identity", [Figure("99.5", "*", "±10.4", "†")] * 4, "(control)")]
    grid = Grid("a table", "detector", columns, rows)
    forms = {width: arranged(grid, width) for width in (200, 70, 40, 36)}
    assert forms[200].stacks == [[0, 1, 2, 3]]
    assert forms[70].stacks == [[0, 1], [2, 3]]
    assert all(forms[width].spreads for width in (200, 70))
    assert not forms[36].spreads
    assert arranged(grid, None).stacks == [[0, 1, 2, 3]]


def test_wide_prints_the_whole_table_on_any_terminal() -> None:
    (first, *_) = of_track("digits")
    assert isinstance(first, Grid)
    narrow, broad = printed(iter([first]), 60, wide=True), printed(iter([first]), 300)
    assert narrow[narrow.index("┏") :] == broad[broad.index("┏") :]


LISTING = Listing(
    "things",
    [{"detector": "subnet-mahalanobis", "paper": "A Long Title of Words " * 3, "difference": "-1.66 [-2.79, -0.53]"}],
)


@pytest.mark.parametrize("width", range(40, 130, 10))
def test_no_figure_of_a_list_is_cut_and_no_text_is_lost(width: int) -> None:
    text = printed(iter([LISTING]), width)
    assert re.search(r"-1\.66\b", text)
    assert re.search(r"\[-2\.79, -0\.53\]", text)
    assert "…" not in text
    words = Counter(re.findall(r"\w+", text))
    assert words["Title"] == 3
    assert max(map(len, text.splitlines())) <= width


def test_numbers_within_words_are_not_broken() -> None:
    lines = wrapped("epsilon=10/255 steps=1,000 0.25-median subnet-mahalanobis", 16).plain.split("\n")
    assert lines == ["epsilon=10/255", "steps=1,000", "0.25-median", "subnet-", "mahalanobis"]


if __name__ == "__main__":
    for name in TABLES:
        for columns_wide in WIDTHS:
            path = HERE / "widths" / f"{name}-{columns_wide}.txt"
            path.write_text(printed(iter(of_track(name)), columns_wide), encoding="utf-8")
