"""Errors that a user sees: one sentence, without a traceback."""

from __future__ import annotations

from .text import shown


class UserError(Exception):
    """A mistake in the user's input: one sentence with the problem, its place and the fix, without a traceback.

    Names and values in it may come from files of others, so control characters in it are shown as escapes.
    """

    def __init__(self, message: object) -> None:
        super().__init__(shown(str(message)))
