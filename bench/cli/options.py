"""Options that several commands share, and three of them as one object: data, store and device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.collector import importing
from ..core.home import DATA, STORE, usable
from .signature import declare

if TYPE_CHECKING:
    from ..core.progress import Reporter
    from ..harness.context import Context


class When(StrEnum):
    missing = "missing"
    always = "always"
    never = "never"
    cached = "cached"


#: Where results go and are looked for.
RESULTS = Path("subnetbench-results")


def _suites(incomplete: str) -> list[str]:
    """Built-in suites for a shell that completes a name; files it completes itself."""
    from ..harness.toml import builtin_suites

    return [name for name in builtin_suites() if name.startswith(incomplete)]


SuiteArgument = Annotated[str, typer.Argument(help="A built-in suite or a TOML file.", autocompletion=_suites)]
ResultsArgument = Annotated[Path, typer.Argument(help="A results folder, or one that holds several.")]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help=f"Folder of artifacts; default: the one in {STORE}, or else the user's cache; for `verify` an empty one.",
    ),
]
RootOption = Annotated[
    Path | None,
    typer.Option(
        "--data-root", envvar=DATA, help="Folder with <data set>.npz, torchvision's files or images; or an .npz."
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed in place of the suite's.")]
LimitOption = Annotated[int | None, typer.Option("--limit", help="Number of test images to attack.")]
ClassesOption = Annotated[
    str | None,
    typer.Option("--classes", help="Only these classes of an image folder: n01443537,n01629819 or a file of them."),
]
JobsOption = Annotated[
    int | None,
    typer.Option("-j", "--n-jobs", help="Worker processes on this machine; -1: one per core. Changes no result."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--parallel-config", help="TOML file with a backend (loky, dask, submitit, ray) and its keys."),
]
ShardOption = Annotated[
    str | None, typer.Option("--shard", help="i/N: only the cells whose key modulo N is i, into the store.")
]
OnlyOption = Annotated[
    str | None, typer.Option("--only", help="Only the cell of this key, as --dry-run lists it, into the store.")
]
CollectOption = Annotated[
    bool, typer.Option("--collect", help="Compute nothing: entries and tables of what shards have put into the store.")
]


@dataclass(frozen=True)
class Surroundings:
    """The options --device, --data-root and --store."""

    device: str
    data_root: Path | None
    store: Path | None

    def context(self, report: Reporter, *, when: When = When.missing, debug: bool = False) -> Context:
        """Open the store and choose the device; UserError where either is impossible."""
        with importing():
            from ..core.device import choose_device  # imports torch, seconds that help and lists do without
            from ..core.store import Store, default_store
            from ..harness.context import Context

        store = Store(self.store or default_store(), when.value)
        return Context(store, choose_device(self.device), self.data_root, report, debug)


def with_surroundings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with --device, --data-root and --store in place of its parameter ``here``."""

    @wraps(command)
    def wrapper(*, device: str, data_root: Path | None, store: Path | None, **options: Any) -> None:
        command(here=Surroundings(device, data_root, store), **options)

    shared = {"device": (DeviceOption, "auto"), "data_root": (RootOption, None), "store": (StoreOption, None)}
    declare(wrapper, command, shared, without="here")
    return wrapper


def with_paths(command: Callable[..., None]) -> Callable[..., None]:
    """The command with ``~`` expanded in all its paths; UserError for one that the system cannot look at."""

    def ready(value: Any) -> Any:
        if isinstance(value, list):
            return [ready(item) for item in value]
        return usable(value) if isinstance(value, Path) else value

    @wraps(command)
    def wrapper(**options: Any) -> None:
        command(**{name: ready(value) for name, value in options.items()})

    return wrapper
