"""After ``pytest tests/benchmarks --benchmark-only``, one table of what was measured beside its peers.

Seconds say little on another machine, ratios within one run say much, and pytest-benchmark's own table has
none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

#: Group, name of the benchmark, name of the figure, and the figure.
Row = tuple[str, str, str, Any]

ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture(autouse=True)
def _figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remember the figures that a benchmark stated of itself."""
    benchmark = request.getfixturevalue("benchmark") if "benchmark" in request.fixturenames else None
    yield
    if benchmark is not None and benchmark.stats:  # absent with --benchmark-disable, and where the test failed
        rows = request.config.stash.setdefault(ROWS, [])
        group = benchmark.group or ""
        rows += [(group, benchmark.name, name, figure) for name, figure in benchmark.extra_info.items()]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows, group = config.stash.get(ROWS, []), None
    if rows:
        terminalreporter.section("speed table: figures of this run")
    for row in rows:
        if row[0] != group:
            group = row[0]
            terminalreporter.write_line(group or "no group")
        terminalreporter.write_line(f"    {row[1]}: {row[2]}: {row[3]}")
