"""What runs in a worker: one task after the other, as ``run SUITE --only KEY`` does it, answered by a text."""

from __future__ import annotations

import socket
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

from ..core.device import choose_device
from ..core.errors import UserError, reason_of
from ..core.memory import keep_freed_memory
from ..core.progress import Silent
from ..core.store import Store
from ..harness.context import Context
from ..harness.suite import AnySuite
from ..harness.task import Divisible, Task
from ..tracks import tracks_of
from .marks import DIED, Marks
from .plan import fingerprint, plan
from .request import Answer, Request, Source, Surrounds
from .threads import fixed_threads
from .training import Training

#: Some schedulers start several threads in a process: the number of threads within a task is the process's own.
_ALONE = Lock()

#: The suite of the last task with what it has read and fitted, since the next one is of the same suite nearly always.
_LAST: dict[str, Opened] = {}


class Opened:
    """A suite opened in this process, checked as a run checks it."""

    def __init__(self, surrounds: Surrounds) -> None:
        self.report = Silent()
        self.store = Store(Path(surrounds.store))
        root = None if surrounds.data_root is None else Path(surrounds.data_root)
        device = choose_device(surrounds.device)
        context = Context(self.store, device, root, self.report, failed=dict(surrounds.failed))
        suite = same_suite(surrounds.source)
        runs: list[Any] = [Training(suite, context)]
        if surrounds.command == "run":
            runs = [track.run(suite, context) for track in tracks_of(suite)]
            for running in runs:
                running.check()
        self.tasks = {planned.key: planned for planned in plan(suite, runs)}


def same_suite(source: Source) -> AnySuite:
    """The suite that a run asks for. UserError where this machine has another one, or another version of us."""
    here, ours = socket.gethostname(), version("subnetbench")
    if ours != source.version:
        raise UserError(
            f"The worker on {here} has subnetbench {ours} and the run has {source.version}; install the same there."
        )
    suite = source.load()
    if fingerprint(suite) != source.fingerprint:
        raise UserError(
            f"The worker on {here} has another version of the suite {source.name!r} ({source.suite}); bring the same "
            "file there, or put it into a folder that all machines share."
        )
    return suite


def perform(text: str) -> str:
    """Do the task of a request; whatever happens is told in the answer."""
    keep_freed_memory()  # a worker's process was not begun by our command line
    request = Request.read(text)
    marks = Marks(Path(request.marks))
    with _ALONE:
        try:
            if not marks.begin(request.key):
                return Answer(key=request.key, reason=DIED).text
            with fixed_threads(request.surrounds.threads):
                answer = _performed(request)
        except UserError as mistake:
            answer = Answer(key=request.key, mistake=str(mistake))
        except Exception as error:
            answer = Answer(key=request.key, mistake=f"A worker failed: {reason_of(error, typed=True)}.")
        marks.end(request.key)
    return answer.text


def _performed(request: Request) -> Answer:
    surrounds = request.surrounds.text
    opened = _LAST.get(surrounds)
    if opened is None:
        _LAST.clear()  # release one suite before the next is opened
        opened = _LAST[surrounds] = Opened(request.surrounds)
    store, said = opened.store, len(opened.report.warnings)
    before = store.computed
    planned = opened.tasks[request.key]
    reason = attempted(planned.running, planned.task)
    return Answer(
        key=request.key,
        reason=reason,
        warnings=opened.report.warnings[said:] if said else opened.report.warnings,
        computed=store.computed - before,
    )


def attempted(running: Divisible, task: Task, *, debug: bool = False) -> str:
    """Do a task; why there is no result, or an empty text. UserError for a mistake that concerns more than the task."""
    try:
        return running.compute(task)
    except UserError:
        raise
    except Exception as error:
        if debug:
            raise
        return f"raised {reason_of(error, typed=True)}"
