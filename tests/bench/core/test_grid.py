"""A figure with its interval is read in one way, and marks are words for a program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from subnetbench.bench.core.grid import Column, Figure, Grid, Row, spread

SHARES = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted)


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.918, 0.885, 0.945, "±3.0"),
        (0.999, 0.995, 0.9995, "−0.4"),
        (0.875, 0.212, 0.994, "−66.3"),
        (1.0, 0.993, 1.0, "−0.7"),
        (0.005, 0.0, 0.021, "+1.6"),
        (0.0, 0.0, 0.0, "±0.0"),
        (0.985, 0.97, 1.0, "±1.5"),
    ],
)
def test_an_interval_in_short(value: float, low: float, high: float, text: str) -> None:
    assert spread(value, low, high) == text


@given(SHARES)
def test_no_interval_can_be_read_as_one_beyond_0_or_100(share: list[float]) -> None:
    low, value, high = share
    text = spread(value, low, high)
    width, point = float(text[1:]), round(100 * value, 1)
    assert text[0] == "+" or point - width >= -0.1001
    assert text[0] == "−" or point + width <= 100.1001


def test_a_program_gets_both_ends_and_marks_in_words() -> None:
    figure = Figure.share(0.999, 0.995, 0.9995, sign="*", mark="†")
    best = Figure.share(0.5, 0.4, 0.6, sign="‡", best=True)
    grid = Grid("t", "detector", [Column("a"), Column("b")], [Row("lid", [figure, best], "(control)", "§")])
    first, second = grid.records()
    assert (first["row"], first["value"], first["low"], first["high"]) == ("lid", "99.9", "99.5", "100.0")
    assert first["marks"] == "remark, not separable from the highest, attacked without a gradient"
    assert second["marks"] == "highest, not tested hard enough, attacked without a gradient"
    assert grid.rows[0].whole_name == "lid§ (control)"
