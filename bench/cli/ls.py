"""Commands that list what is registered, built in or stored."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.errors import UserError
from . import console
from .options import StoreOption
from .output import with_output

Rows = list[dict[str, Any]]


class Kind(StrEnum):
    datasets = "datasets"
    models = "models"
    attacks = "attacks"
    arms = "arms"
    detectors = "detectors"
    saliencymethods = "saliencymethods"
    suites = "suites"
    weights = "weights"


@with_output("format", "json", "wide")
def list_(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """List what is registered, third-party plug-ins included."""
    from . import registered

    described: dict[Kind, Callable[[], Rows]] = {
        Kind.suites: _suites,
        Kind.weights: _weights,
        Kind.detectors: registered.detectors,
        Kind.attacks: registered.attacks,
        Kind.arms: registered.arms,
        Kind.datasets: registered.datasets,
        Kind.models: registered.models,
        Kind.saliencymethods: registered.saliency_methods,
    }
    console.print_table(kind.value, described[kind]())


def _suites() -> Rows:
    from ..harness.toml import builtin_suites

    files = console.wide() or console.for_programs()  # a path takes a terminal's whole width
    suites = sorted(builtin_suites().items(), key=lambda item: "-ladder-" in item[0])  # parts of a ladder come last
    return [{"suite": name, "title": _title(path)} | ({"file": str(path)} if files else {}) for name, path in suites]


def _title(path: Path) -> str:
    return str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))


def _weights() -> Rows:
    from ..models.cards import cards

    return [
        {
            "weights": name,
            "data": card["data"],
            "right": f"{float(card['test_accuracy']):.2%}",
            "of": card["test_images"],
            "MB": f"{card['bytes'] / 1e6:.1f}",
        }
        for name, card in cards().items()
    ]


@with_output("format", "json", "quiet")
def clean(
    kind: Annotated[
        list[str] | None, typer.Argument(help="Kinds of artifacts, such as adversarial; none: all.")
    ] = None,
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """List what the store holds and remove it."""
    from ..core.store import Store, default_store

    where = Store(store or default_store())
    sizes = where.size()
    unknown = sorted(set(kind or ()) - set(sizes))
    if unknown:
        raise UserError(f"The store {where.root} has no kind {unknown[0]!r}; it has {', '.join(sizes) or 'nothing'}.")
    console.print_table(str(where.root), [{"kind": k, "files": n, **_size(b)} for k, (n, b) in sizes.items()])
    if not sizes or not (yes or _confirmed("Remove " + (", ".join(kind) if kind else "all of it") + "?")):
        return
    console.aside(f"{where.clean(list(kind) if kind else None) / 1e6:.1f} MB freed.")


def _size(count: int) -> dict[str, Any]:
    return {"bytes": count} if console.for_data() else {"MB": f"{count / 1e6:.1f}"}


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question, err=console.for_data())
    except typer.Abort:
        if sys.stdin is not None and sys.stdin.isatty():  # Ctrl-C or Ctrl-D
            raise
        raise UserError("There is nobody to ask before anything is removed; give --yes.") from None
