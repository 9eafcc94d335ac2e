"""Who does the tasks: ``-j N``, or a TOML file with a backend and keys that are passed on to it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.near import did_you_mean
from ..harness.toml import read_toml
from .threads import inner_threads

BACKENDS = ("loky", "dask", "submitit", "ray")

#: Keys of the file that are ours, whatever the backend.
OURS = ("backend", "n_jobs", "inner_max_num_threads")


@dataclass(frozen=True)
class Config:
    """A backend, the number of its workers (None: as the backend has it), threads of each, and the backend's keys."""

    backend: str = "loky"
    n_jobs: int | None = None
    threads: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    where: str = "-j"

    @property
    def alone(self) -> bool:
        """Whether this process does everything itself."""
        return self.backend == "loky" and self.n_jobs == 1

    def refuse_unknown(self, known: Any) -> None:
        """UserError that names the nearest key for one that the backend does not know."""
        names = [*OURS, *known]
        for key in self.options:
            if key not in names:
                raise UserError(
                    f"{self.where}: the backend {self.backend!r} has no key {key!r}.{did_you_mean(key, names)} Remove "
                    "it or correct it."
                )


def config_of(n_jobs: int | None, file: str | Path | None) -> Config | None:
    """What ``-j`` and the file ask for together, the former in place of the file's ``n_jobs``; None for neither."""
    if file is None:
        return None if n_jobs is None else Config(n_jobs=_workers(n_jobs, "-j"), threads=inner_threads())
    path = Path(file)
    _, content = read_toml(path)
    backend = content.get("backend", "loky")
    if backend not in BACKENDS:
        raise UserError(
            f"{path}: there is no backend {backend!r}.{did_you_mean(str(backend), BACKENDS)} Give one of "
            f"{', '.join(BACKENDS)}."
        )
    threads = _whole(content.get("inner_max_num_threads"), "inner_max_num_threads", path)
    if threads is not None and threads < 1:
        raise UserError(f"{path}: inner_max_num_threads is {threads}; give 1 or more.")
    stated = _whole(content.get("n_jobs"), "n_jobs", path)
    wanted = stated if n_jobs is None else n_jobs
    workers = None if wanted is None else _workers(wanted, f"{path}: n_jobs" if n_jobs is None else "-j")
    if backend == "loky" and workers is None:
        workers = _workers(-1, "-j")
    options = {key: value for key, value in content.items() if key not in OURS}
    return Config(backend, workers, inner_threads(threads), options, str(path))


def _whole(value: Any, key: str, path: Path) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise UserError(f"{path}: {key} is {value!r}; give a whole number.")


def _workers(count: int, where: str) -> int:
    """A number of workers; -1 is one per core, -2 one fewer, and so on."""
    if count == 0:
        raise UserError(f"{where} is 0, and nothing runs without a worker; give 1 or more, or -1 for one per core.")
    return count if count > 0 else max(1, (os.cpu_count() or 1) + 1 + count)


def names_of(function: Callable[..., Any]) -> list[str]:
    """The names of a function's parameters."""
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind not in kinds and parameter.name != "self"]
