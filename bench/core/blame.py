"""Errors that code of others raises, in one sentence that names the line."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError


def reason_of(error: BaseException) -> str:
    """Type and first line of an error, and the line of code that raised it."""
    first = next(iter(str(error).splitlines()), "")
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{f': {first}' if first else ''}{where}"


@contextmanager
def blamed(what: str, *, debug: bool = False) -> Iterator[None]:
    """Any error in the body but a UserError as a UserError that says whose it is; ``debug`` lets it through."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if debug:
            raise
        raise UserError(f"{what} raised {reason_of(error)}; correct it there.") from error
