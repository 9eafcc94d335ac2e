"""The order in which boards are offered, and the rank of each row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..harness.toml import suite_rank

#: The suites that answer the question which the site is about: the start page opens on the first that has entries.
FLAGSHIPS = ("cifar10-adaptive", "cifar10-table2")


def board_rank(suite: str, protocol: str, rows: int, group: str) -> tuple[Any, ...]:
    """What boards are sorted by: flagships, then suites as they are listed anywhere, then nets and larger boards."""
    flagship = FLAGSHIPS.index(suite) if suite in FLAGSHIPS else len(FLAGSHIPS)
    return flagship, suite_rank(suite)[0], group, -rows, protocol != "strict", suite


def ranks(keys: Sequence[tuple[float, float] | None]) -> list[int | None]:
    """The rank of each row of a sorted board: equal keys share one, a row without a key has none."""
    places: list[int | None] = []
    for place, key in enumerate(keys):
        if key is None:
            places.append(None)
        else:
            places.append(places[-1] if place and keys[place - 1] == key else place + 1)
    return places
