"""The cost of a piece of work: seconds, and memory where the system reports it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .memory import return_freed_memory


@dataclass
class Spent:
    """Seconds, and the process's resident memory in MB: its peak, and the rise of the peak above the start."""

    seconds: float = 0.0
    highest: float | None = None
    rise: float | None = None


@contextmanager
def spent() -> Iterator[Spent]:
    """Measure the body; memory stays None unless the system is Linux and lets the peak be reset."""
    result = Spent()
    return_freed_memory()
    before = _status("VmRSS") if _reset() else None
    began = time.monotonic()
    yield result
    result.seconds = time.monotonic() - began
    if before is not None:
        result.highest = _status("VmHWM")
        result.rise = max(0.0, result.highest - before)


def _reset() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmHWM") > 0
    except (OSError, ValueError):
        return False


def _status(name: str) -> float:
    """A value of Linux's /proc/self/status, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(name)
