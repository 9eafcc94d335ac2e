"""Jobs of a Slurm cluster, or of submitit's local executor: an array for each wave."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.errors import UserError, first_line, reason_of
from ..core.optional import optional
from ..core.store import Store
from .config import Config
from .pools import Pool, Work, WorkersDied

#: Seconds between two looks at the jobs.
EVERY = 0.5

#: Keys of ours; all others are submitit's, for every cluster or with ``slurm_`` or ``local_`` in front.
OURS = ("cluster", "folder", "tasks_per_job")


@contextlib.contextmanager
def submitted(config: Config, store: Store) -> Iterator[Pool]:
    """Jobs of submitit. UserError for a key that it does not know, and where there is no such cluster."""
    submitit = optional("submitit", "submitit", "pip install 'subnetbench[slurm]' installs it")
    executors = {"slurm": submitit.SlurmExecutor, "local": submitit.LocalExecutor}
    shared = submitit.AutoExecutor._typed_parameters()
    config.refuse_unknown(
        [*OURS, *shared, *(f"{n}_{p}" for n, e in executors.items() for p in {*e._valid_parameters(), *shared})]
    )
    options = dict(config.options)
    cluster, folder = options.pop("cluster", "slurm"), options.pop("folder", str(store.root / "submitit"))
    size = options.pop("tasks_per_job", None)
    if cluster not in executors:
        raise UserError(f"{config.where}: cluster is {cluster!r}; give 'slurm' or 'local'.")
    if config.n_jobs is not None and cluster == "slurm":
        options.setdefault("slurm_array_parallelism", config.n_jobs)
    options.setdefault("timeout_min", 24 * 60)
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**options)
    except Exception as error:
        raise UserError(
            f"{config.where}: submitit refuses this ({reason_of(error, typed=True)}); correct it."
        ) from None
    yield Submitted(executor, cluster, size, config.n_jobs)


class Batch:
    """What a job does: some tasks, one after the other. Slurm's notice of preemption or of its time limit requeues it.

    What a requeued job has done already is read from the store.
    """

    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, texts: str) -> str:
        return json.dumps([self.work(text) for text in json.loads(texts)])

    def checkpoint(self, texts: str) -> Any:
        """What submitit is to submit again."""
        import submitit

        return submitit.helpers.DelayedSubmission(self, texts)


class Submitted:
    """An executor of submitit."""

    def __init__(self, executor: Any, cluster: str, size: int | None, n_jobs: int | None) -> None:
        self._executor, self._cluster, self._size, self._n_jobs = executor, cluster, size, n_jobs
        self.title = f"submitit on {cluster}"

    def answers(self, work: Work, texts: Sequence[str]) -> Iterator[str]:
        left = self._submit(work, texts)
        died = False
        try:
            while left:
                done = [job for job in left if job.done()]
                for job in done:
                    left.remove(job)
                    answers = _answers(job)
                    died = died or answers is None
                    yield from answers or ()
                if left and not done:
                    time.sleep(EVERY)
        finally:
            for job in left:  # where somebody has stopped the run
                with contextlib.suppress(Exception):
                    job.cancel()
        if died:
            raise WorkersDied

    def _submit(self, work: Work, texts: Sequence[str]) -> list[Any]:
        # A machine without a queue gets as many jobs as it has workers, each with several tasks.
        size = self._size or (1 if self._cluster == "slurm" else -(-len(texts) // (self._n_jobs or 2)))
        batches = [json.dumps(texts[begin : begin + size]) for begin in range(0, len(texts), size)]
        try:
            return list(self._executor.map_array(Batch(work), batches))
        except Exception as error:
            raise UserError(f"{self.title} takes no jobs ({reason_of(error, typed=True)}); correct its keys.") from None


def _answers(job: Any) -> list[str] | None:
    """A finished job's answers; None where it ended without any. UserError where tasks cannot be done there at all."""
    error = job.exception()
    if error is None:
        return [str(answer) for answer in json.loads(job.result())]
    if type(error).__name__ == "FailedJobError":  # it raised, which no task of ours does
        lines = [line for line in str(error).splitlines() if first_line(line)]
        last = first_line(lines[-1]) if lines else "no reason given"
        raise UserError(
            f"The job {job.job_id} cannot do tasks ({last}); it needs the same subnetbench and the same packages as "
            "this process."
        )
    return None
