"""Python's search for cyclic garbage, spared where there is none to find: among modules, and at the end of a process.

To import torch makes some hundred thousand objects that live as long as the process. Each full search looks at all of
them, several times while they are being made and again while Python ends: a tenth of a run that finds all in its store.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """No search while the body imports modules, and none among what they made afterwards. For our own process alone."""
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if searching:
            gc.enable()


def end_unsearched() -> None:
    """Let the process end without a search of what it leaves: the system takes all of it back."""
    gc.freeze()
