"""The one process that asks: wave by wave it has all tasks done that the store lacks, and reports what failed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from ..core.errors import UserError
from ..core.progress import Tick
from ..core.text import counted
from ..harness.context import Context
from ..harness.suite import AnySuite
from .config import Config
from .marks import DIED, MOST, Marks
from .plan import Planned, plan, waves
from .pools import Pool, WorkersDied, opened
from .request import Answer, Request, Source, Surrounds
from .worker import perform

#: Stages without which there is nothing to go on with.
NEEDED = ("net", "gates")


class Driver:
    """Has a suite's tasks done by workers. ``device`` is the user's word, since a worker's machine has its own."""

    def __init__(self, config: Config, source: Source, context: Context, device: str, command: str = "run") -> None:
        self._config, self._context, self._failed = config, context, context.failed
        self._surrounds = {
            "source": source,
            "command": command,
            "store": str(context.store.root.absolute()),
            "device": device,
            "data_root": None if context.data_root is None else str(context.data_root.absolute()),
            "threads": config.threads,
        }

    def fill(self, suite: AnySuite, runs: Sequence[Any]) -> None:
        """Have everything done that the runs will read from the store; failures are in the context afterwards.

        Raises UserError for a mistake in the suite, and for workers that cannot be had.
        """
        with ExitStack() as stack:
            workers: tuple[Pool, Marks] | None = None
            for wave in waves(plan(suite, runs)):
                todo = [planned for planned in wave if not planned.running.stored(planned.task)]
                if todo:
                    workers = workers or self._begun(stack)
                    self._wave(*workers, todo)

    def _begun(self, stack: ExitStack) -> tuple[Pool, Marks]:
        """Workers and the folder of their marks, until the stack ends."""
        store = self._context.store
        pool = stack.enter_context(opened(self._config, store))
        marks = Marks.new(store)
        stack.callback(marks.remove)
        return pool, marks

    def _wave(self, pool: Pool, marks: Marks, todo: Sequence[Planned]) -> None:
        report, threads = self._context.report, self._config.threads
        each = f"{counted(threads, 'thread')} each"
        stages = " and ".join(dict.fromkeys(planned.task.stage for planned in todo))
        with report.stage(f"{stages}: {counted(len(todo), 'task')}, {pool.title}, {each}") as tick:
            Wave(self, pool, todo, marks, tick).run()
        for planned in todo:
            if planned.task.stage in NEEDED and planned.title in self._failed:
                raise UserError(f"{planned.title} could not be done: {self._failed[planned.title]}.")
            if not self._failed and not planned.running.stored(planned.task):
                raise UserError(
                    f"The workers have done {planned.title} ({planned.key}) and the store {self._context.store.root} "
                    "does not have it; the store has to be the same folder on every machine."
                )

    def request(self, planned: Planned, marks: Marks) -> str:
        """What a worker is asked."""
        surrounds = Surrounds(**self._surrounds, failed=self._failed)
        return Request(surrounds=surrounds, marks=str(marks.folder.absolute()), key=planned.key).text

    def take(self, planned: Planned, answer: Answer) -> None:
        """What a worker answers. UserError for a mistake that ends the run."""
        store, report = self._context.store, self._context.report
        for message in answer.warnings:
            report.warn(message)
        if answer.mistake:
            raise UserError(answer.mistake)
        store.computed += answer.computed  # what it read, this process reads as well
        if answer.reason:
            self._failed[planned.title] = answer.reason


class Wave:
    """Tasks that can be done at the same time; one whose worker dies is done once more, by a worker of its own."""

    def __init__(self, driver: Driver, pool: Pool, todo: Sequence[Planned], marks: Marks, tick: Tick) -> None:
        self._driver, self._pool, self._marks, self._tick = driver, pool, marks, tick
        self._left = {planned.key: planned for planned in todo}
        self._total = len(self._left)
        # All as one list of texts: what fails meanwhile concerns no task of the same wave.
        self._texts = {key: driver.request(planned, marks) for key, planned in self._left.items()}

    def run(self) -> None:
        self._tick(0, self._total, "")
        unexplained = 0
        while self._left:
            if self._asked(list(self._left)):
                continue
            suspects = [key for key in self._left if self._marks.count(key)]
            unexplained = 0 if suspects else unexplained + 1
            if unexplained >= MOST:
                raise UserError(
                    f"The workers of {self._pool.title} end before they begin a task; start `python -c 'import "
                    "subnetbench.bench.parallel.worker'` there, which may say why."
                )
            for key in suspects:
                self._again(key)

    def _again(self, key: str) -> None:
        """One task alone, so that no other can have killed its worker; given up where that dies again."""
        if self._marks.count(key) < MOST and self._asked([key]):
            return
        if self._marks.count(key) >= MOST:
            self._answered(Answer(key=key, reason=DIED))

    def _asked(self, keys: Sequence[str]) -> bool:
        """Ask for these tasks; False where some worker died."""
        try:
            for text in self._pool.answers(perform, [self._texts[key] for key in keys]):
                self._answered(Answer.read(text))
        except WorkersDied:
            return False
        return True

    def _answered(self, answer: Answer) -> None:
        planned = self._left.pop(answer.key, None)
        if planned is not None:  # some schedulers do a task twice
            self._driver.take(planned, answer)
            self._tick(self._total - len(self._left), self._total, planned.title)
