"""Figures of every split as one short text of an entry: whole numbers in units of the last decimal that they keep.

``"1e-5: 99783 99714 - 99694"`` is the list ``[0.99783, 0.99714, None, 0.99694]``. Lists of numbers, as entries had them
before, are read too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from ..harness.entry import Share
from .points import DECIMALS, RATE_DECIMALS

#: Most values of a list: splits times sets of gates, far above what any suite has.
MOST = 100_000

#: Decimals that entries of earlier versions kept.
_MOST_DECIMALS = 8

_TEXT = re.compile(r"1e-([1-9]):((?: (?:-|-?\d{1,9}))*)")


def unpacked(value: Any) -> Any:
    """The list that a text stands for; whatever else it is as it is, for the form to judge."""
    if not isinstance(value, str):
        return value
    parts = _TEXT.fullmatch(value) if len(value) <= 12 * MOST else None
    if parts is None:
        raise ValueError("this is no list of figures: a unit such as 1e-5, a colon, then whole numbers or dashes")
    unit = 10 ** int(parts[1])
    return [None if number == "-" else int(number) / unit for number in parts[2].split()]


def packed(decimals: int) -> Any:
    """How a list is written: in units of so many decimals, to which its values are rounded; of more in earlier entries,
    and as it is where no unit holds its values to the last bit."""

    def text(values: Sequence[float | None]) -> str | list[float | None]:
        for digits in range(decimals, _MOST_DECIMALS + 1):
            unit = 10**digits
            numbers = [None if value is None else round(value * unit) for value in values]
            if all(number is None or number / unit == value for number, value in zip(numbers, values, strict=True)):
                return " ".join([f"1e-{digits}:", *("-" if number is None else str(number) for number in numbers)])
        return list(values)

    return PlainSerializer(text, when_used="json")


_READ = BeforeValidator(unpacked)

#: Shares, and what may be below 0; of AUROCs and of rates.
Shares = Annotated[list[Share | None], _READ, packed(DECIMALS)]
Numbers = Annotated[list[float | None], _READ, packed(DECIMALS)]
RateShares = Annotated[list[Share | None], _READ, packed(RATE_DECIMALS)]
RateNumbers = Annotated[list[float | None], _READ, packed(RATE_DECIMALS)]
