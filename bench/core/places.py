"""A mistake at a place in a suite: what finds it knows the keys, and what read the suite knows file and line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .errors import UserError


class SuiteError(UserError):
    """A mistake at a place in a suite, by keys and positions from its top, as in ``("attacks", 1, "name")``.

    Commands that read the suite from a file put its name and the line in front (`tracks.located`).
    """

    def __init__(self, place: Sequence[str | int], message: str) -> None:
        super().__init__(f"{'.'.join(map(str, place))}: {message}")
        self.place = tuple(place)


class ParameterError(UserError):
    """A parameter's value that its owner refuses; the owner does not know where in a suite it stands."""

    def __init__(self, name: str, value: Any, message: str) -> None:
        super().__init__(message)
        self.name, self.value = name, value


@contextmanager
def placed(place: Sequence[str | int], table: Any = None) -> Iterator[None]:
    """A mistake found in the body is one at this place of the suite, or at the parameter's in the ``table`` there."""
    try:
        yield
    except SuiteError:
        raise
    except ParameterError as error:
        raise SuiteError((*place, *_found(table, error)), str(error)) from None
    except UserError as error:
        raise SuiteError(place, str(error)) from None


def _found(table: Any, error: ParameterError) -> tuple[str | int, ...]:
    """The place of the parameter in a table of tables and lists; () where it is not."""
    items = table.items() if isinstance(table, dict) else enumerate(table) if isinstance(table, list) else ()
    for key, value in items:
        if key == error.name and value == error.value:
            return (key,)
        if inner := _found(value, error):
            return (key, *inner)
    return ()
