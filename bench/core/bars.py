"""Progress on a terminal, in bars that move, and in a pipe or a file, in lines with the time of day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from .progress import Tick, Weights

#: Seconds between two lines on one stage, where there is no terminal.
BETWEEN_LINES = 60.0

#: The share of a step that its stages can fill; the rest is what comes after them.
STAGES = 0.95


class Bars:
    """Two bars on a terminal: the whole run and the running stage. Plain lines without one; ``quiet``: warnings alone.

    The bar of the whole is weighted by how long each step is estimated to take.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self.warnings: list[str] = []
        self._began = time.monotonic()
        self._shown = console.is_interactive and not quiet
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28 if console.width >= 100 else 10),
            _Done(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._whole = self._bars.add_task("suite", total=None, whole=True)
        self._weigh: Weights | None = None
        self._weights: list[float] = []
        self._step, self._within = -1, 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the bars were made."""
        return time.monotonic() - self._began

    def __enter__(self) -> Bars:
        if self._shown:  # elsewhere, bars that stop leave an empty line
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._bars.stop()

    @contextmanager
    def stage(self, text: str, part: tuple[int, int] = (0, 1)) -> Iterator[Tick]:
        if self._shown and self._weigh is not None:  # a run that only reads its store has no stage, and does without
            weigh, self._weigh = self._weigh, None
            self._weights = [max(weight, 0.0) for weight in weigh()]
        task = self._bars.add_task(f"  {text}", total=None, whole=False)
        self._line(text)
        last = time.monotonic()

        def tick(done: int, total: int, remark: str) -> None:
            nonlocal last
            description = f"  {text}{f' ({remark})' if remark else ''}"
            self._bars.update(task, completed=done, total=total, description=description)
            self._move((part[0] + done / max(1, total)) / part[1])
            if done < total and time.monotonic() - last >= BETWEEN_LINES:
                last = time.monotonic()
                self._line(f"{text}: {done} of {total}{f', {remark}' if remark else ''}")

        try:
            yield tick
        finally:
            self._bars.remove_task(task)

    def overall(self, weights: Weights) -> None:
        self._weigh, self._weights = weights, []
        self._step, self._within = -1, 0.0

    def step(self, text: str) -> None:
        self._step, self._within = self._step + 1, 0.0
        self._bars.update(self._whole, description=text)
        self._move(0.0)

    def warn(self, message: str) -> None:
        if message in self.warnings:
            return
        self.warnings.append(message)
        self.console.print(f"warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)

    def note(self, message: str) -> None:
        if not self.quiet:
            self.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def _line(self, text: str) -> None:
        """A line with the time of day, where there are no bars."""
        if not self.quiet and not self._shown:
            now = time.strftime("%H:%M:%S")
            self.console.print(f"  {now} {text}", markup=False, highlight=False, soft_wrap=True)

    def _move(self, share: float) -> None:
        """Move the bar of the whole to a share of the running step; it never goes back."""
        self._within = max(self._within, min(1.0, share) * STAGES)
        if self._weights:
            before = sum(self._weights[: max(0, self._step)])
            running = self._weights[self._step] if 0 <= self._step < len(self._weights) else 0.0
            self._bars.update(self._whole, completed=before + running * self._within, total=sum(self._weights))


class _Done(ProgressColumn):
    """A share of the whole run, and a count of the stage's images, epochs or sets; nothing before either is known."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        if task.fields["whole"]:
            return Text(f"{task.percentage:.0f}%", "progress.download")
        return Text(f"{task.completed:.0f}/{task.total:.0f}", "progress.download")
