"""Progress of a run: the current stage and the time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Tick = Callable[[int, int, str], None]


class Reporter(Protocol):
    def stage(self, text: str) -> AbstractContextManager[Tick]:
        """Show a running stage; call the tick with (done, total, remark)."""
        ...

    def overall(self, total: int) -> None: ...

    def step(self, text: str) -> None:
        """Begin the next of ``total`` steps."""
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

    def stage(self, text: str) -> AbstractContextManager[Tick]:
        return nullcontext(lambda done, total, remark: None)

    def overall(self, total: int) -> None: ...

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


class Bars:
    """Two bars on a terminal: the whole suite and the running stage. Plain lines without a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.warnings: list[str] = []
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._whole = self._bars.add_task("suite", total=None)
        self._begun = False

    def __enter__(self) -> Bars:
        if self.console.is_interactive:  # elsewhere, bars that stop leave an empty line
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_interactive:
            self._bars.stop()

    @contextmanager
    def stage(self, text: str) -> Iterator[Tick]:
        task = self._bars.add_task(f"  {text}", total=None)
        if not self.console.is_interactive:
            self.console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

        def tick(done: int, total: int, remark: str) -> None:
            description = f"  {text}{f' ({remark})' if remark else ''}"
            self._bars.update(task, completed=done, total=total, description=description)

        try:
            yield tick
        finally:
            self._bars.remove_task(task)

    def overall(self, total: int) -> None:
        self._bars.update(self._whole, total=total)

    def step(self, text: str) -> None:
        if self._begun:
            self._bars.advance(self._whole)
        self._begun = True
        self._bars.update(self._whole, description=text)

    def warn(self, message: str) -> None:
        if message in self.warnings:
            return
        self.warnings.append(message)
        self.console.print(f"warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)

    def note(self, message: str) -> None:
        self.console.print(message, markup=False, highlight=False, soft_wrap=True)
