"""Workers of a backend as one call: texts in, answers out as they come. joblib feeds those of loky and ray."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..core.errors import UserError, reason_of
from ..core.optional import optional
from ..core.store import Store
from ..core.text import counted
from .config import Config, names_of

#: Does the task of a text and answers with a text.
Work = Callable[[str], str]


class WorkersDied(Exception):  # noqa: N818 (not an error of ours: an event)
    """Some workers ended without an answer; what has not been answered may be asked again."""


class Pool(Protocol):
    """Workers for the length of a run."""

    @property
    def title(self) -> str:
        """The backend and its workers in words."""

    def answers(self, work: Work, texts: Sequence[str]) -> Iterator[str]:
        """Each answer as it comes. Raises WorkersDied once no more will, and UserError where none can."""


@contextlib.contextmanager
def faults_of(title: str, death: type[Exception]) -> Iterator[None]:
    """What goes wrong while workers answer: ``death`` becomes WorkersDied, all else one sentence about the workers."""
    try:
        yield
    except death as error:
        raise WorkersDied from error
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"The workers of {title} cannot do tasks ({reason_of(error, typed=True)}); they need the same "
            "subnetbench and the same packages as this process."
        ) from None


def opened(config: Config, store: Store) -> AbstractContextManager[Pool]:
    """The workers that a configuration asks for. UserError where they cannot be had."""
    if config.backend == "submitit":
        from .submitted import submitted

        return submitted(config, store)
    if config.backend == "dask":
        from .scheduled import scheduled

        return scheduled(config)
    return {"loky": _loky, "ray": _ray}[config.backend](config)


class Joblib:
    """Workers that joblib feeds through one of its backends."""

    def __init__(self, title: str, n_jobs: int, **backend: Any) -> None:
        self.title, self._n_jobs, self._backend = title, n_jobs, backend

    def answers(self, work: Work, texts: Sequence[str]) -> Iterator[str]:
        import joblib
        from joblib.externals.loky.process_executor import BrokenProcessPool

        with (
            faults_of(self.title, BrokenProcessPool),
            joblib.parallel_config(n_jobs=self._n_jobs, **self._backend),
            warnings.catch_warnings(),
        ):
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
            parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")
            yield from parallel(joblib.delayed(work)(text) for text in texts)


@contextlib.contextmanager
def _loky(config: Config) -> Iterator[Pool]:
    config.refuse_unknown(("temp_folder", "idle_worker_timeout"))
    count = config.n_jobs or 1
    words = {"inner_max_num_threads": config.threads, **config.options}
    try:
        yield Joblib(f"loky with {counted(count, 'worker')}", count, backend="loky", **words)
    finally:  # idle, they would keep their images in memory
        optional("joblib", "joblib", "pip install joblib installs it").externals.loky.get_reusable_executor().shutdown(
            wait=False, kill_workers=True
        )


@contextlib.contextmanager
def _ray(config: Config) -> Iterator[Pool]:
    ray = optional("ray", "ray", "pip install ray installs it")
    joblib_of_ray = optional("ray.util.joblib", "ray", "pip install ray installs it")
    config.refuse_unknown([f"ray_{name}" for name in names_of(ray.init)])
    try:
        ray.init(**{key.removeprefix("ray_"): value for key, value in config.options.items()})
    except Exception as error:
        raise UserError(f"{config.where}: ray does not start ({reason_of(error, typed=True)}); correct it.") from None
    try:
        joblib_of_ray.register_ray()
        yield Joblib("ray", config.n_jobs or -1, backend="ray")
    finally:
        ray.shutdown()
