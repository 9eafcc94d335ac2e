"""Errors that code of others raises, in one sentence that names the line."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError, reason_of


def _raised(error: BaseException) -> str:
    """Type and first line of an error, and the line of code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{reason_of(error, typed=True)}{where}"


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
        raise UserError(f"{what} raised {_raised(error)}; correct it there.") from error
