"""A mistake at a place in a suite: what finds it knows the keys, and what read the suite knows file and line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .errors import UserError


class SuiteError(UserError):
    """A mistake at a place in a suite, by keys and positions from its top, as in ``("attacks", 1, "name")``.

    Commands that read the suite from a file put its name and the line in front (`tracks.located`).
    """

    def __init__(self, place: Sequence[str | int], message: str) -> None:
        super().__init__(f"{'.'.join(map(str, place))}: {message}")
        self.place = tuple(place)


@contextmanager
def placed(place: Sequence[str | int]) -> Iterator[None]:
    """A mistake found in the body is one at this place of the suite."""
    try:
        yield
    except SuiteError:
        raise
    except UserError as error:
        raise SuiteError(place, str(error)) from None
