"""glibc's allocator, set to keep freed memory, since the next batch needs as much again.

By default glibc returns large blocks to the system at once. Every tensor of a pass then consists of pages that the
system has to clear again; `tests/benchmarks/test_allocator_speed.py` measures the cost.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache
from typing import Any

#: Parameters of glibc's `mallopt` (malloc.h).
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
#: Smaller blocks come from retained memory: the first of these that glibc accepts, which before 2.35 is the second. 250
#: images through a net of width 64 are blocks of 65 MB.
KEPT_BLOCKS = 256 * 2**20, 32 * 2**20
#: Free memory that may remain at the end of the heap.
KEPT_TOTAL = 2**30


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Configure our own process before its work; True if that was done. The user's own settings take precedence.

    Asked again, it does nothing: every process that we start, a worker too, asks before it works.
    """
    user_settings = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys()
    set_option = None if user_settings else _glibc("mallopt")
    if set_option is None:
        return False
    kept = any(set_option(MMAP_THRESHOLD, block) for block in KEPT_BLOCKS)
    return bool(set_option(TRIM_THRESHOLD, KEPT_TOTAL)) and kept


def return_freed_memory() -> None:
    """Return free memory to the system, so that a measurement of the process starts from the memory in use."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _glibc(name: str) -> Any:
    """A function of the C library; None where it does not exist (another system, musl)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
