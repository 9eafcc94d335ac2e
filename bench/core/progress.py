"""Progress of a run, and what it has to say meanwhile: the interface, and the two forms that print no bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Protocol

Tick = Callable[[int, int, str], None]

#: About how many seconds each step of a run takes, in order; called only by who shows it.
Weights = Callable[[], Sequence[float]]


class Reporter(Protocol):
    def stage(self, text: str, part: tuple[int, int] = (0, 1)) -> AbstractContextManager[Tick]:
        """Show a running stage; call the tick with (done, total, remark).

        ``part``: of a step whose stages are alike, the number of those before this one, and of all.
        """
        ...

    def overall(self, weights: Weights) -> None:
        """Begin a run of as many steps as there are weights."""
        ...

    def step(self, text: str) -> None:
        """Begin the next step."""
        ...

    def warn(self, message: str) -> None:
        """Say something that the user should know, once however often it is found."""
        ...

    def note(self, message: str) -> None:
        """Say something that was found to be in order."""
        ...


class Silent:
    """Prints nothing, but keeps what was said."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def stage(self, text: str, part: tuple[int, int] = (0, 1)) -> AbstractContextManager[Tick]:
        return nullcontext(silent)

    def overall(self, weights: Weights) -> None: ...

    def step(self, text: str) -> None: ...

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    def note(self, message: str) -> None:
        self.notes.append(message)


class Printed(Silent):
    """Prints warnings and notes alone, each once, as a notebook shows them."""

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            print(f"warning: {message}", file=sys.stderr)
        super().warn(message)

    def note(self, message: str) -> None:
        print(message)
        super().note(message)


def silent(done: int, total: int, remark: str) -> None:
    """A tick that nobody sees."""


@contextmanager
def late_stage(report: Reporter, text: str, part: tuple[int, int] = (0, 1)) -> Iterator[Tick]:
    """A stage that is shown from its first tick on: one whose results all lie in the store never is."""
    with ExitStack() as opened:
        ticks: list[Tick] = []

        def tick(done: int, total: int, remark: str) -> None:
            if not ticks:
                ticks.append(opened.enter_context(report.stage(text, part)))
            ticks[0](done, total, remark)

        yield tick
