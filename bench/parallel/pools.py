"""Workers of a backend as one call: texts in, answers out as they come. joblib feeds them all but Slurm's."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..core.errors import UserError, reason_of
from ..core.optional import optional
from ..core.store import Store
from .config import Config

#: Does the task of a text and answers with a text.
Work = Callable[[str], str]

#: Seconds in which a scheduler has to answer, unless the file says otherwise.
PATIENCE = 10


class WorkersDied(Exception):  # noqa: N818 (not an error of ours: an event)
    """Some workers ended without an answer; what has not been answered may be asked again."""


class Pool(Protocol):
    """Workers for the length of a run."""

    @property
    def title(self) -> str:
        """The backend and its workers in words."""

    def answers(self, work: Work, texts: Sequence[str]) -> Iterator[str]:
        """Each answer as it comes. Raises WorkersDied once no more will, and UserError where none can."""


def opened(config: Config, store: Store) -> AbstractContextManager[Pool]:
    """The workers that a configuration asks for. UserError where they cannot be had."""
    if config.backend == "submitit":
        from .submitted import submitted

        return submitted(config, store)
    return {"loky": _loky, "dask": _dask, "ray": _ray}[config.backend](config)


class Joblib:
    """Workers that joblib feeds through one of its backends."""

    def __init__(self, title: str, n_jobs: int, **backend: Any) -> None:
        self.title, self._n_jobs, self._backend = title, n_jobs, backend

    def answers(self, work: Work, texts: Sequence[str]) -> Iterator[str]:
        import joblib
        from joblib.externals.loky.process_executor import BrokenProcessPool

        try:
            with joblib.parallel_config(n_jobs=self._n_jobs, **self._backend), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
                parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch="all")
                yield from parallel(joblib.delayed(work)(text) for text in texts)
        except BrokenProcessPool as error:
            raise WorkersDied from error
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"The workers of {self.title} cannot do tasks ({reason_of(error, typed=True)}); they need the same "
                "subnetbench and the same packages as this process."
            ) from None


@contextlib.contextmanager
def _loky(config: Config) -> Iterator[Pool]:
    config.refuse_unknown(("temp_folder", "idle_worker_timeout"))
    count = config.n_jobs or 1
    words = {"inner_max_num_threads": config.threads, **config.options}
    try:
        yield Joblib(f"loky with {count} worker{'s' if count > 1 else ''}", count, backend="loky", **words)
    finally:  # idle, they would keep their images in memory
        optional("joblib", "joblib", "pip install joblib installs it").externals.loky.get_reusable_executor().shutdown(
            wait=False, kill_workers=True
        )


@contextlib.contextmanager
def _dask(config: Config) -> Iterator[Pool]:
    distributed = optional("distributed", "dask", "pip install 'subnetbench[dask]' installs it")
    config.refuse_unknown(
        [
            *(f"dask_{name}" for name in _names(distributed.Client.__init__)),
            "wait_for_workers_timeout",
            *(name for name in _names(distributed.Client.submit) if name not in ("func", "key", "pure")),
        ]
    )
    clients = {key.removeprefix("dask_"): v for key, v in config.options.items() if key.startswith("dask_")}
    rest = {key: value for key, value in config.options.items() if not key.startswith("dask_")}
    address = clients.pop("address", None)
    if address is None:
        raise UserError(
            f"{config.where}: the backend 'dask' needs the address of a scheduler; give dask_address, or take the "
            "backend 'loky' for workers on this machine."
        )
    client = _connected(distributed, address, {"timeout": PATIENCE, **clients}, config.where)
    try:
        with contextlib.suppress(Exception):
            client.wait_for_workers(1, timeout=rest.get("wait_for_workers_timeout", PATIENCE))
        count = len(client.ncores())
        if not count:
            raise UserError(f"The dask scheduler at {address} has no workers; start some: dask worker {address}.")
        yield Joblib(f"dask with {count} worker{'s' if count > 1 else ''}", -1, backend="dask", client=client, **rest)
    finally:
        client.close()


def _connected(distributed: Any, address: Any, words: dict[str, Any], where: str) -> Any:
    import logging

    logging.getLogger("distributed").setLevel(logging.ERROR)  # a log beside our one sentence
    try:
        return distributed.Client(address, set_as_default=False, **words)
    except Exception as error:
        raise UserError(
            f"There is no dask scheduler at {address} ({reason_of(error, typed=True)}); start one (dask scheduler), or "
            f"correct dask_address in {where}."
        ) from None


@contextlib.contextmanager
def _ray(config: Config) -> Iterator[Pool]:
    ray = optional("ray", "ray", "pip install ray installs it")
    joblib_of_ray = optional("ray.util.joblib", "ray", "pip install ray installs it")
    config.refuse_unknown([f"ray_{name}" for name in _names(ray.init)])
    try:
        ray.init(**{key.removeprefix("ray_"): value for key, value in config.options.items()})
    except Exception as error:
        raise UserError(f"{config.where}: ray does not start ({reason_of(error, typed=True)}); correct it.") from None
    try:
        joblib_of_ray.register_ray()
        yield Joblib("ray", config.n_jobs or -1, backend="ray")
    finally:
        ray.shutdown()


def _names(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind not in kinds and parameter.name != "self"]
