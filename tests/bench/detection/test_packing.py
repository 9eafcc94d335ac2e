"""Figures of splits are written as a short text and read as what they were, from either form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError
from subnetbench.bench.detection.packing import Numbers, RateShares, Shares
from subnetbench.bench.detection.points import DECIMALS, RATE_DECIMALS


class Figures(BaseModel):
    model_config = ConfigDict(strict=True)

    shares: Shares = []
    numbers: Numbers = []
    rates: RateShares = []


@given(st.lists(st.none() | st.integers(0, 10**5)), st.lists(st.none() | st.integers(-(10**5), 10**5)))
def test_what_is_written_is_read_again_to_the_last_bit(shares: list[int | None], numbers: list[int | None]) -> None:
    of = [[None if n is None else round(n / 10**5, DECIMALS) for n in values] for values in (shares, numbers)]
    figures = Figures(shares=of[0], numbers=of[1], rates=[None, 0.0112])
    assert Figures.model_validate_json(figures.model_dump_json()) == figures
    assert figures.model_dump()["shares"] == of[0]


def test_the_text_is_in_units_of_the_last_decimal() -> None:
    figures = Figures(shares=[0.99783, None, 1.0], numbers=[-0.00045], rates=[0.0112])
    written = figures.model_dump(mode="json")
    assert written == {"shares": "1e-5: 99783 - 100000", "numbers": "1e-5: -45", "rates": "1e-4: 112"}
    assert (DECIMALS, RATE_DECIMALS) == (5, 4)


def test_lists_of_earlier_entries_keep_their_decimals() -> None:
    figures = Figures.model_validate_json('{"shares": [0.99783185, null]}')
    assert figures.shares == [0.99783185, None]
    assert figures.model_dump(mode="json")["shares"] == "1e-8: 99783185 -"
    assert Figures(shares=[1 / 3]).model_dump(mode="json")["shares"] == [1 / 3]


@pytest.mark.parametrize("text", ["", "1e-5", "1e-5: 1.5", "1e-5:1", "1e-0: 1", "1e-5: 1\n", "1e-5: 9999999999", "nan"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="no list of figures"):
        Figures.model_validate({"shares": text})


def test_a_share_above_1_is_refused_in_either_form() -> None:
    for value in ("1e-5: 100001", [1.00001]):
        with pytest.raises(ValidationError, match="less than or equal to 1"):
            Figures.model_validate({"shares": value})
