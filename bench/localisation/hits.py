"""Hits of MaxBoxAcc in files: one number an image for many thresholds, since a column costs as much as its bits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import UserError

Columns = dict[str, npt.NDArray[Any]]

#: Thresholds of one number: as many as an int32 has bits above its sign.
BITS = 31

#: Names of columns: of one threshold, ``v1_<k>`` and ``v2_<iou>_<k>``, and of several, from the first to the last.
ONE = r"(?:v1|v2_\d\.?\d{0,6})_\d{1,6}"
MANY = rf"{ONE}to\d{{1,6}}"

_ONE = re.compile(ONE)
_MANY = re.compile(r"(.+)_(\d+)to(\d+)")


def packed(columns: Mapping[str, npt.NDArray[Any]]) -> Columns:
    """Columns ``(N,)`` with those of single thresholds as bits, the k-th of a number being its k-th threshold.

    Thresholds count from 0 without a gap, as a run writes them; all other columns stay as they are.
    """
    groups: dict[str, list[str]] = {}
    for name in columns:
        if _ONE.fullmatch(name):
            groups.setdefault(name.rsplit("_", 1)[0], []).append(name)
    kept = {name: values for name, values in columns.items() if not _ONE.fullmatch(name)}
    for group, names in groups.items():
        for first in range(0, len(names), BITS):
            last = min(first + BITS, len(names)) - 1
            bits = [np.asarray(columns[f"{group}_{k}"], bool) for k in range(first, last + 1)]
            number = sum((bit.astype(np.int32) << place for place, bit in enumerate(bits)), np.int32(0))
            kept[f"{group}_{first}to{last}"] = np.asarray(number, np.int32)
    return kept


def spread(columns: Mapping[str, npt.NDArray[Any]]) -> Columns:
    """The columns that `packed` had, ``(N,)`` bool of single thresholds; files of earlier versions hold those already.

    Raises UserError where a name or a number is none that a run writes.
    """
    kept: Columns = {}
    for name, values in columns.items():
        parts = _MANY.fullmatch(name)
        if parts is None:
            kept[name] = values
            continue
        group, first, last = parts[1], int(parts[2]), int(parts[3])
        count = last - first + 1
        numbers = np.asarray(values)
        if not 0 < count <= BITS or (numbers < 0).any() or (numbers >= 1 << count).any():
            raise UserError(f"Its scores hold values other than hits ({name}); run the suite again.")
        for place in range(count):
            kept[f"{group}_{first + place}"] = (numbers >> place) % 2 == 1
    return kept


def are_hits(names: Iterable[str]) -> list[str]:
    """Those of these names that are columns of hits, in either form."""
    return [name for name in names if _ONE.fullmatch(name) or re.fullmatch(MANY, name)]
