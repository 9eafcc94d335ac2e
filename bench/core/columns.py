"""A frame from many rows, without all of them in memory at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """What ``pd.DataFrame(list(rows))`` gives, column by column: a dictionary a row takes several times as much."""
    columns: dict[str, list[Any]] = {}
    for count, row in enumerate(rows):
        for name in row:
            if name not in columns:
                columns[name] = [math.nan] * count
        for name, values in columns.items():
            values.append(row.get(name, math.nan))
    return pd.DataFrame(columns)
