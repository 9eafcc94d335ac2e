"""Parameters that a suite gives to a registered factory, checked against the annotations of its signature."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .places import ParameterError, SuiteError

#: Seeds are below this: numpy and the attacks' libraries take no larger ones, and torch none that exceed 64 bits when
#: multiplied.
SEEDS = 2**32

_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path as text",
    type(None): "left out",
}


def check_parameters(factory: Callable[..., Any], given: Mapping[str, Any], place: Sequence[str | int] = ()) -> None:
    """Raise `SuiteError` for a value that does not fit the annotation of the factory's parameter.

    ``place`` is the table in the suite that gives the parameters. A parameter without an annotation, or with one that
    no value in a suite has, takes anything; names that the factory does not take are not looked at.
    """
    for name, hint in annotations_of(factory).items():
        if name in given and not fits(given[name], hint):
            raise SuiteError((*place, name), f"it must be {described(hint)} (given: {given[name]!r}).")


def annotations_of(factory: Callable[..., Any]) -> dict[str, Any]:
    """The annotation of each parameter that has one; none where they cannot be evaluated or there is no signature."""
    try:
        signature = inspect.signature(factory, eval_str=True)
    except Exception:  # an annotation is any expression of the plug-in's
        return {}
    return {n: p.annotation for n, p in signature.parameters.items() if p.annotation is not inspect.Parameter.empty}


def fits(value: Any, hint: Any) -> bool:
    """Whether a value, as TOML gives it, is of an annotated type. A bool is no number, a text no list."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return is_number(value)
    if hint in (str, Path):
        return isinstance(value, str | hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in inner)
    if origin is Annotated:
        return fits(value, inner[0])
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in inner)
    kind = origin or hint
    if not inspect.isclass(kind):
        return True
    if issubclass(kind, Sequence):
        return isinstance(value, list | tuple) and _items_fit(value, kind, inner)
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping)
    return True


def _items_fit(value: Sequence[Any], kind: type, inner: tuple[Any, ...]) -> bool:
    if not inner:
        return True
    if issubclass(kind, tuple) and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(fits(item, hint) for item, hint in zip(value, inner, strict=True))
    return all(fits(item, inner[0]) for item in value)


def described(hint: Any) -> str:
    """An annotation in words."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is None or hint in _WORDS:
        return _WORDS[type(None) if hint is None else hint]
    if origin in (Union, types.UnionType):
        return " or ".join(described(option) for option in inner if option is not type(None))
    if origin is Annotated:
        return described(inner[0])
    if origin is Literal:
        return f"one of {', '.join(repr(option) for option in inner)}"
    kind = origin or hint
    if inspect.isclass(kind) and issubclass(kind, Sequence):
        if issubclass(kind, tuple) and inner and inner[-1] is not Ellipsis:
            return f"a list of {len(inner)}, each {described(inner[0])}"
        return f"a list, each item {described(inner[0])}" if inner else "a list"
    return "a table" if inspect.isclass(kind) and issubclass(kind, Mapping) else str(hint)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that is no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def at_least(owner: str, name: str, value: Any, low: float, *, most: float | None = None, strict: bool = False) -> None:
    """Raise unless ``value`` is a finite number that is at least (``strict``: above) ``low`` and at most ``most``."""
    if not is_number(value):
        wanted = "a number"
    elif not (value > low if strict else value >= low):
        wanted = f"{'above' if strict else 'at least'} {low:g}"
    elif most is not None and value > most:
        wanted = f"at most {most:g}"
    else:
        return
    raise ParameterError(name, value, f"{owner}: {name} is {value!r}; it must be {wanted}.")


def whole(owner: str, name: str, value: Any, low: int, *, most: int | None = None) -> None:
    """Raise unless ``value`` is a whole number that is at least ``low`` and at most ``most``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ParameterError(name, value, f"{owner}: {name} is {value!r}; it must be a whole number.")
    if value < low or (most is not None and value > most):
        bound = f"at least {low}" if value < low else f"at most {most}"
        raise ParameterError(name, value, f"{owner}: {name} is {value}; it must be {bound}.")


def seed_of(owner: str, name: str, value: Any) -> None:
    """Raise unless ``value`` is a seed that numpy and torch both take."""
    whole(owner, name, value, 0, most=SEEDS - 1)
