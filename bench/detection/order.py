"""The order of entries: suite by suite, protocols as their suite has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..harness.audit import suite_beside
from ..harness.entry import SuiteNote
from .suite import Suite, protocol_place


class _Placed(Protocol):
    @property
    def suite(self) -> SuiteNote: ...

    @property
    def protocol_name(self) -> str: ...


E = TypeVar("E", bound=_Placed)


def in_order(folder: Path, entries: list[E]) -> list[E]:
    """Entries with the protocols of a suite in its own order, as a run shows them; without its file, strict first."""
    suites = list(dict.fromkeys(entry.suite.name for entry in entries))
    beside = suite_beside(Suite, folder)
    ran = [protocol.name for protocol in beside.protocols] if isinstance(beside, Suite) else []

    def place(entry: E) -> tuple[Any, ...]:
        name = entry.protocol_name
        return suites.index(entry.suite.name), ran.index(name) if name in ran else len(ran), protocol_place(name)

    return sorted(entries, key=place)
