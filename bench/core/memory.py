"""glibc's allocator, told to keep memory that was let go of: the next batch asks for as much again.

By default glibc gives large blocks back to the system at once. Every tensor of a pass is then made of pages that the
system clears anew; `tests/benchmarks/test_allocator_speed.py` says what that costs.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

#: glibc's names for what `mallopt` sets (malloc.h).
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
#: Blocks below this come from memory that is kept; older glibc takes no larger number.
KEPT_BLOCK = 32 * 2**20
#: So much free memory may lie at the end of the heap.
KEPT_TOTAL = 2**30


def keep_freed_memory() -> bool:
    """For a process of our own, before its work: whether it was done. The user's own settings are left as they are."""
    given = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys()
    set_option = None if given else _glibc("mallopt")
    if set_option is None:
        return False
    return all([set_option(MMAP_THRESHOLD, KEPT_BLOCK), set_option(TRIM_THRESHOLD, KEPT_TOTAL)])


def return_freed_memory() -> None:
    """Give the system what is free, so that a measure of the process's memory begins with what is in use."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Any:
    """A function of the C library; None where it is not there (another system, musl)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
