"""Commands that list what is registered, built in or stored."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from ..core.errors import UserError, first_line
from ..core.store import Store, default_store
from . import console
from .options import StoreOption

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


def list_(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """List what is registered, third-party plug-ins included."""
    from ..core import registry

    described: dict[Kind, Callable[[], Rows]] = {
        Kind.suites: _suites,
        Kind.weights: _weights,
        Kind.detectors: _detectors,
        Kind.attacks: _attacks,
        Kind.arms: _arms,
        Kind.datasets: lambda: _plainly("dataset", registry.datasets),
        Kind.models: lambda: _plainly("model", registry.models),
        Kind.saliencymethods: _saliency,
    }
    console.print_table(kind.value, described[kind]())


def _suites() -> Rows:
    from ..harness.toml import builtin_suites

    return [
        {"suite": name, "title": tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""), "file": str(path)}
        for name, path in builtin_suites().items()
    ]


def _weights() -> Rows:
    from ..models.weights import cards

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


def _detectors() -> Rows:
    from ...detectors.contract import DetectorInfo
    from ..core.registry import detectors
    from ..harness.plugins import info_fault

    broken = dict(detectors.broken)
    rows = []
    for name in detectors:
        cls = detectors.get(name)
        fault = info_fault(cls, DetectorInfo)
        if fault is not None:
            broken.setdefault(name, f"{cls.__module__}: {fault}")
            continue
        rows.append(
            {
                "group": cls.info.kind,
                "detector": name + (" (control)" if cls.info.control else ""),
                "paper": cls.info.title,
                "year": cls.info.year,
                "needs": ", ".join(cls.info.needs),
                "from": "subnetbench" if detectors.is_ours(name) else cls.__module__,
            }
        )
    order = ("proposal", "OOD baseline", "control")
    rows.sort(key=lambda row: order.index(row["group"]))  # stable: by name within a group
    return rows + _broken("detector", broken)


def _attacks() -> Rows:
    from ..core.registry import attacks

    rows = []
    for name in attacks:
        cls = attacks.get(name)  # a third-party attack may have these on its instances alone
        title, year, threat, norm = (_text(getattr(cls, key, "")) for key in ("title", "year", "threat", "norm"))
        rows.append({"attack": name, "paper": title or _first_line(cls), "year": year, "threat": threat, "norm": norm})
    return rows + _broken("attack", attacks.broken)


def _arms() -> Rows:
    from ..core.registry import arms

    rows = []
    for name in arms:
        cls = arms.get(name)
        title, year = (_text(getattr(cls, key, "")) for key in ("title", "year"))
        needs = "the detector's gradient" if getattr(cls, "needs_gradient", False) else "no gradient of it"
        rows.append({"arm": name, "paper": title or _first_line(cls), "year": year, "needs": needs})
    return rows + _broken("arm", arms.broken)


def _saliency() -> Rows:
    from ..core.registry import saliency
    from ..harness.plugins import info_fault
    from ..localisation.contract import SaliencyInfo

    faults = {name: info_fault(saliency.get(name), SaliencyInfo) for name in saliency}
    return _plainly("saliencymethod", saliency, {name: fault for name, fault in faults.items() if fault is not None})


def _plainly(title: str, items: Any, faults: Mapping[str, str] | None = None) -> Rows:
    broken = {**(faults or {}), **items.broken}
    rows = [{title: name, "what": _first_line(items.get(name))} for name in items if name not in (faults or {})]
    return rows + _broken(title, broken, "what")


def _broken(title: str, reasons: Mapping[str, str], column: str = "paper") -> Rows:
    """Rows of plug-ins that are registered and cannot be used, the reason in a column of text."""
    return [{title: f"{name} (broken)", column: reason} for name, reason in reasons.items()]


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) else ""  # a property of a class is neither


def _first_line(item: Any) -> str:
    return first_line(item.__doc__) if isinstance(item.__doc__, str) else ""


def clean(
    kind: Annotated[
        list[str] | None, typer.Argument(help="Kinds of artifacts, such as adversarial; none: all.")
    ] = None,
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """List what the store holds and remove it."""
    where = Store(store or default_store())
    sizes = where.size()
    unknown = sorted(set(kind or ()) - set(sizes))
    if unknown:
        raise UserError(f"The store {where.root} has no kind {unknown[0]!r}; it has {', '.join(sizes) or 'nothing'}.")
    console.print_table(
        str(where.root), [{"kind": k, "files": n, "MB": f"{b / 1e6:.1f}"} for k, (n, b) in sizes.items()]
    )
    if not sizes or not (yes or _confirmed("Remove " + (", ".join(kind) if kind else "all of it") + "?")):
        return
    console.out.print(f"{where.clean(list(kind) if kind else None) / 1e6:.1f} MB freed.")


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort:
        if sys.stdin is not None and sys.stdin.isatty():  # Ctrl-C or Ctrl-D
            raise
        raise UserError("There is nobody to ask before anything is removed; give --yes.") from None
