"""Threads within a process, fixed: sums over more of them may differ in the last bit, and `-j` is to change none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


def inner_threads(stated: int | None = None) -> int:
    """The number stated, else OMP_NUM_THREADS, else 1: the same whatever the number of workers."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return stated or (int(told) if told.isdigit() and int(told) else 1)


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """The body with this many threads in torch, BLAS and OpenMP."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
