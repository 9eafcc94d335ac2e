"""Errors that a user sees: one sentence, without a traceback; and what a foreign error says, fit to stand in one."""

from __future__ import annotations

import unicodedata

from .text import shown

#: The most characters of a foreign text that are shown; some libraries raise pages.
MOST = 400


class UserError(Exception):
    """A mistake in the user's input: one sentence with the problem, its place and the fix, without a traceback.

    Names and values in it may come from files of others, so control characters in it are shown as escapes.
    """

    def __init__(self, message: object) -> None:
        super().__init__(shown(str(message)))

    def _render_traceback_(self, *_: object) -> list[str]:
        """What a notebook shows in place of the traceback."""
        return [f"UserError: {self}"]


def reason_of(error: BaseException, *, typed: bool = False) -> str:
    """The first line of what an error says, without control characters, at most `MOST` long; ``typed``: its type first.

    Any library or plug-in may have raised it: an error without a text, or whose text cannot be made, is its type.
    """
    try:
        text = str(error)
    except Exception:
        text = ""
    name, line = type(error).__name__, first_line(text)
    if not line:
        return name
    return f"{name}: {line}" if typed else line


def first_line(text: str) -> str:
    """The first line with anything to read in it, what a terminal or page would not show as itself left out."""
    for line in text[: 100 * MOST].splitlines():
        readable = "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in line)
        words = " ".join(readable.split())
        if words:
            return words if len(words) <= MOST else f"{words[:MOST].rstrip()} ..."
    return ""
