"""Packages that only some features need: imported when asked for, and one sentence where that fails."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import UserError, reason_of


def optional(module: str, package: str, install: str, refusal: type[UserError] = UserError) -> Any:
    """The module, or ``refusal`` with the reason: ``package`` is not there, or is there and cannot be imported.

    ``install``: what to run for it, and what it installs. An import runs foreign code, which may raise anything.
    """
    try:
        return import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            raise refusal(f"{package} is not installed; {install}.") from None
        raise refusal(
            f"{package} is installed and cannot be imported ({reason_of(error, typed=True)}); install it again: "
            f"{install}."
        ) from None
