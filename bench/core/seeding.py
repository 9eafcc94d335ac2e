"""Code of others that draws from global generators, made to draw the same numbers every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """All global generators seeded inside the block, and as they were after it; ``device``: a GPU's, too."""
    state, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 (what code of others may draw from)
    with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(legacy)  # noqa: NPY002
