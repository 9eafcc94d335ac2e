"""What a piece of work took: seconds, and memory where the system can say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .memory import return_freed_memory


@dataclass
class Spent:
    """Seconds, and the process's resident memory in MB: at its highest, and by how much that is more than before."""

    seconds: float = 0.0
    highest: float | None = None
    rise: float | None = None


@contextmanager
def spent() -> Iterator[Spent]:
    """Watch the body; memory stays None where the system is not Linux or does not let the mark be reset."""
    found = Spent()
    return_freed_memory()
    before = _status("VmRSS") if _reset() else None
    began = time.monotonic()
    yield found
    found.seconds = time.monotonic() - began
    if before is not None:
        found.highest = _status("VmHWM")
        found.rise = max(0.0, found.highest - before)


def _reset() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmHWM") > 0
    except (OSError, ValueError):
        return False


def _status(name: str) -> float:
    """A line of Linux's /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(name)
