"""Names of arguments that a function of the public face does not take: one sentence in place of a TypeError."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from .errors import UserError
from .near import did_you_mean

P = ParamSpec("P")
T = TypeVar("T")


def named_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """The function; a keyword that it does not take is a UserError with the nearest that it does take."""

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        _check(function.__name__, function, args, kwargs)
        return function(*args, **kwargs)

    return checked


def named_fields(cls: type[T]) -> type[T]:
    """The class, whose constructor refuses unknown keywords in the same way."""
    made = cls.__init__

    @wraps(made)
    def checked(self: T, *args: object, **kwargs: object) -> None:
        _check(cls.__name__, made, (self, *args), kwargs)
        made(self, *args, **kwargs)

    setattr(cls, "__init__", checked)  # noqa: B010 (mypy refuses the assignment of a method)
    return cls


def _check(name: str, function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    signature = inspect.signature(function)
    known = [key for key in signature.parameters if key != "self"]
    unknown = next((key for key in kwargs if key not in known), None)
    if unknown is not None:
        raise UserError(
            f"{name}() takes no argument {unknown!r}.{did_you_mean(unknown, known)} It takes {', '.join(known)}."
        )
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UserError(f"{name}(): {error}; it takes {', '.join(known)}.") from None
