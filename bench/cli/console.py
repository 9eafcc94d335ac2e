"""The two consoles: results to standard output, notes and errors to standard error."""

from __future__ import annotations

import codecs
import io
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..core.errors import first_line

#: Notes, warnings and errors.
err = Console(stderr=True, markup=False, highlight=False)

#: Results; wide when not on a terminal, so that lines in a file do not break. Brackets are no markup in either.
out = Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False)

#: What stands in for our own signs where a stream cannot carry them: one character each, as tables are laid out before.
_STAND_INS = str.maketrans({"±": "~", "†": "^", "–": "-", "×": "x", "…": ".", "‡": "#", "§": "$"})


def keep_to_encoding() -> None:
    """Let both streams write a stand-in or an escape for a character that they cannot carry, instead of raising."""
    codecs.register_error("stand-in", _stand_in)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="stand-in")


def _stand_in(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end].translate(_STAND_INS)
    return bad.encode("ascii", "backslashreplace").decode("ascii"), error.end


def plain(text: str, to: Console | None = None, style: str | None = None) -> None:
    """Print text as it is: no markup, no highlighting, no line breaks."""
    (to or out).print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print something that a user should know, in yellow."""
    plain(text, err, "yellow")


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show Python's warnings to a user as a sentence, once each, without the line of code that gave them."""
    said: set[str] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category is not UserWarning:
                show(message, category, *place, **more)
            elif str(message) not in said:
                said.add(str(message))
                note(f"warning: {first_line(str(message))}")

        warnings.showwarning = tell
        yield


def print_table(title: str, rows: Sequence[Mapping[str, Any]], *, whole: bool = False) -> None:
    """Print rows whose long texts are folded, or ``whole`` as `print_whole` does."""
    table = Table(title=Text(title))
    for name in rows[0] if rows else ["nothing"]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name in rows[0]))
    print_whole(table) if whole else out.print(table)


def print_whole(shown: Table | str) -> None:
    """Print a table of figures at its own width: a narrow terminal breaks lines, but never cuts a figure."""
    width = 0 if isinstance(shown, str) else Measurement.get(out, out.options.update(width=10_000), shown).maximum
    wide = Console(file=out.file, width=width, markup=False, highlight=False) if width > out.width else out
    wide.print(shown)
