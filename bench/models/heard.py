"""Tells how far a piece of work has come, by the images that it has passed through a classifier."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from .classifier import Classifier
from .passes import Passes

#: Seconds between two reports at least.
PAUSE = 0.1

#: A backward pass costs about two forward ones.
BACKWARD = 2


class _Ear:
    """A forward hook on the first stage; a copy of the net takes along one that hears nothing."""

    def __init__(self, tell: Callable[[], None] | None = None) -> None:
        self._tell, self._last = tell, time.monotonic()

    def __call__(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        if self._tell is not None and time.monotonic() - self._last >= PAUSE:
            self._last = time.monotonic()
            self._tell()

    def __deepcopy__(self, _memo: Any) -> _Ear:
        return _Ear()

    def __reduce__(self) -> tuple[type[_Ear], tuple[()]]:
        return _Ear, ()


@contextmanager
def heard(classifier: Classifier, passes: Passes, expected: float, tell: Callable[[float], None]) -> Iterator[None]:
    """While the body runs, tell what share of the ``expected`` passes it has made, from 0 to below 1.

    ``passes`` is the count that it runs in; in ``expected``, a backward pass counts as two forward ones. What is
    expected is a guess: a body that makes more passes stays just below 1.
    """

    def report() -> None:
        tell(min((passes.forward + BACKWARD * passes.backward) / max(expected, 1.0), 0.99))

    hook = next(iter(classifier.net)).register_forward_hook(_Ear(report))
    try:
        yield
    finally:
        hook.remove()
