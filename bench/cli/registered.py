"""Rows of what is registered, for `subnetbench ls`: whatever a plug-in raises is its own row's reason."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..core import registry
from ..core.declared import Declared, declared
from ..core.errors import UserError, first_line, reason_of
from ..core.recall import recall, remember
from ..core.registry import Family, Registry, module_of, origin
from ..harness.plugins import info_fault

Row = dict[str, Any]

#: Headings of detectors, in their order.
_GROUPS = ("proposal", "OOD baseline", "control")


class _Fault(Exception):  # noqa: N818 (a reason for a reader)
    """What is wrong with a plug-in that could be loaded."""


def detectors() -> list[Row]:
    rows = _listed("detector", registry.detectors, _detector)
    return sorted(rows, key=lambda row: _GROUPS.index(row["group"]) if "group" in row else len(_GROUPS))


def attacks() -> list[Row]:
    return _listed("attack", registry.attacks, _attack)


def arms() -> list[Row]:
    return _listed("arm", registry.arms, _arm)


def saliency_methods() -> list[Row]:
    return _listed("saliencymethod", registry.saliency, _saliency, "what")


def datasets() -> list[Row]:
    return _listed("dataset", registry.datasets, partial(_factory, "dataset", root=None), "what")


def models() -> list[Row]:
    families = _families()  # first: to count a library's nets imports it, and then ours need not be read
    return (
        _listed("model", registry.models, partial(_factory, "model", classes=10, shape=(3, 32, 32)), "what") + families
    )


def _families() -> list[Row]:
    """A row of each library; how many nets it has is what an earlier look at the same installation found."""
    known: list[Row] | None = None if registry.models.is_loaded else recall("ls-families")
    if known is None:
        known = [_family(prefix, family) for prefix, family in registry.models.families.items()]
        remember("ls-families", known)
    return known


def _family(prefix: str, family: Family) -> Row:
    """One line for all nets of a library; without the library, how to install it."""
    try:
        name, what = family.row()
    except UserError as error:
        return {"model": f"{prefix}/...", "what": str(error)}
    return {"model": name, "what": what}


def _listed(title: str, items: Registry[Any], row: Callable[[str, Any], Row], text: str = "paper") -> list[Row]:
    """A row of each, in order, and then of each that cannot be used, with the reason in the column ``text``.

    Rows of ours, whose import takes seconds, are those of an earlier look at the same code, or what their sources
    declare; plug-ins are always loaded.
    """
    new = not items.is_loaded
    known: dict[str, tuple[str, Row]] = (recall(f"ls-{title}") if new else None) or {}
    if new and not known:
        known = read(title, items, row)
        remember(f"ls-{title}", known)
    others = items.beside({name: place for name, (place, _) in known.items()}) if known else dict(_all(items))
    rows, broken = {name: row for name, (_, row) in known.items()}, dict(items.broken)
    for name, item in others.items():
        try:
            rows[name] = row(name, item)
        except _Fault as fault:
            broken.setdefault(name, f"{module_of(item)}: {fault}")
        except (Exception, SystemExit) as error:
            broken.setdefault(name, f"{module_of(item)}: what it says of itself raised {reason_of(error, typed=True)}")
    if new and not known:  # what their sources declare could not be read
        ours = {name: origin(item) for name, item in others.items() if items.is_from_home(item)}
        remember(f"ls-{title}", {name: (place, rows[name]) for name, place in ours.items()})
    listed = [row for _, row in sorted(rows.items())]
    return listed + [{title: f"{name} (broken)", text: reason} for name, reason in sorted(broken.items())]


#: Registries whose decorator has another name than their rows.
_WORDS = {"saliencymethod": "saliency"}


def read(title: str, items: Registry[Any], row: Callable[[str, Any], Row]) -> dict[str, tuple[str, Row]]:
    """Origin and row of each of ours without an import; none where the sources do not tell."""
    try:
        ours = declared(items.home, _WORDS.get(title, title))
        return {name: (origin(item), row(name, item)) for name, item in sorted(ours.items())}
    except Exception:  # mostly `Unread`; whatever else a reading of ours raises, the import may do well
        return {}


def _all(items: Registry[Any]) -> Iterator[tuple[str, Any]]:
    return ((name, items.get(name)) for name in items)


def _detector(name: str, item: Any) -> Row:
    from ...detectors.contract import DetectorInfo

    _refuse(info_fault(item, DetectorInfo))
    info = item.info
    return {
        "group": info.kind,
        "detector": name + (" (control)" if info.control else ""),
        "paper": info.title,
        "year": info.year,
        "needs": ", ".join(info.needs),
        "from": "subnetbench" if registry.detectors.is_from_home(item) else module_of(item),
    }


def _attack(name: str, item: Any) -> Row:
    from ...attacks.contract import AttackInfo

    info = item if isinstance(item, Declared) else _told(item, AttackInfo)  # an attack's info repeats its class
    if info is None:
        return {"attack": name, "paper": _first_line(item), "year": "", "threat": "", "norm": ""}
    return {"attack": name, "paper": info.title, "year": info.year, "threat": info.threat, "norm": info.norm}


def _told(item: Any, form: type) -> Any:
    """The info of a class, or of an instance that is made without arguments; None where there can be none to look at.

    An attack may know its budget, and so its info, only when it is made.
    """
    if isinstance(getattr(item, "info", None), form):
        _refuse(info_fault(item, form))
        return item.info
    if _wants_arguments(item):
        known = {member for base in getattr(item, "__mro__", ()) for member in (*vars(base), *_annotated(base))}
        if inspect.isclass(item) and "info" not in known:
            raise _Fault(f"it has no info; declare it by subnetbench.bench's {form.__name__}")
        return None
    try:
        made = item()
    except (Exception, SystemExit) as error:
        raise _Fault(f"its constructor raised {reason_of(error, typed=True)}") from None
    if not hasattr(made, "info"):
        raise _Fault(f"it has no info; declare it by subnetbench.bench's {form.__name__}")
    _refuse(info_fault(made, form))
    return made.info


def _annotated(cls: type) -> list[str]:
    return list(vars(cls).get("__annotations__", {}))


def _wants_arguments(item: Any) -> bool:
    try:
        inspect.signature(item).bind()
    except TypeError:
        return True
    except ValueError:  # a builtin without a signature
        return False
    return False


def _arm(name: str, item: Any) -> Row:
    title, year = getattr(item, "title", None), getattr(item, "year", None)
    if not isinstance(title, str) or not isinstance(year, int):
        raise _Fault("it has no title and year; declare them in the class, as subnetbench.bench's Arm has them")
    needs = "the detector's gradient" if getattr(item, "needs_gradient", False) else "no gradient of it"
    return {"arm": name, "paper": str(title), "year": int(year), "needs": needs}


def _saliency(name: str, item: Any) -> Row:
    from ..localisation.contract import SaliencyInfo

    _refuse(info_fault(item, SaliencyInfo))
    return {"saliencymethod": name, "what": _first_line(item)}


def _factory(title: str, name: str, item: Any, **offered: Any) -> Row:
    """A factory that is called with arguments by these names."""
    if isinstance(item, Declared):
        return {title: name, "what": _first_line(item)}
    try:
        inspect.signature(item).bind_partial(**offered)
    except TypeError as error:
        raise _Fault(f"it has to take {', '.join(offered)} by name ({reason_of(error)})") from None
    except ValueError:  # a builtin without a signature
        pass
    return {title: name, "what": _first_line(item)}


def _refuse(fault: str | None) -> None:
    if fault is not None:
        raise _Fault(fault)


def _first_line(item: Any) -> str:
    text = item.__doc__
    return first_line(text) if isinstance(text, str) else ""
