"""The two consoles: results to standard output, notes and errors to standard error."""

from __future__ import annotations

import codecs
import io
import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console

from ..core.errors import first_line
from ..core.grid import Grid, Listing
from ..core.text import span
from . import output

if TYPE_CHECKING:
    from ..core.bars import Bars

#: Notes, warnings and errors.
err = Console(stderr=True, markup=False, highlight=False)


def _width() -> int | None:
    """What COLUMNS says; without it the terminal's own width, or a wide one where lines go into a file."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdecimal() and int(stated):
        return int(stated)
    return None if sys.stdout.isatty() else 160


#: Columns that names take before what they name, and further lines of it.
INDENT = 10

_WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}

#: Results. Brackets are no markup in either.
out = Console(width=_width(), markup=False, highlight=False)

#: What stands in for our own signs where a stream cannot carry them: one character each, as tables are laid out before.
_STAND_INS = str.maketrans({"±": "~", "†": "^", "–": "-", "−": "-", "×": "x", "…": ".", "‡": "#", "§": "$", "¹": "!"})


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


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print records as a table, a row each, in the form that was asked for."""
    output.show(Listing(title, rows), out)


def show(shown: Grid | str) -> None:
    """Print a table of figures, or a line that belongs to the tables."""
    if isinstance(shown, Grid):
        output.show(shown, out)
    elif output.current.is_data():
        plain(shown, err)
    elif output.current.form_on(out) is output.Form.markdown:
        plain(f"{shown}\n")
    else:
        out.print(shown)


def aside(text: str) -> None:
    """Print something beside the results: to standard error where the output is for a program, and not with --quiet."""
    if not output.current.quiet:
        plain(text, err if output.current.is_data() else out)


def folded_aside(text: str, beside: str = "") -> None:
    """The same in lines of the terminal's width. ``beside``: what stands before it, such as a path, and is not broken.

    Where both have no room on one line, the text begins below.
    """
    width = out.width if output.current.form_on(out) is output.Form.text and not output.current.wide else None
    if width is not None and cell_len(f"{beside}{text}") > width:
        indent = " " * INDENT if beside else ""
        lines = textwrap.wrap(text.strip(), width, initial_indent=indent, subsequent_indent=indent, **_WHOLE_WORDS)
        text = "\n".join([beside.rstrip(), *lines] if beside else lines)
        beside = ""
    aside(f"{beside}{text}")


def progress() -> Bars:
    """Bars on standard error; with --quiet, warnings alone."""
    from ..core.bars import Bars  # here alone: commands that list or check show none

    return Bars(err, quiet=output.current.quiet)


def legend(markup: str) -> None:
    """Print what the signs of the tables above mean."""
    if not output.current.quiet and not output.current.is_data():
        output.legend(markup, out)


def finished(bars: Bars) -> None:
    """Say how long a command took, last of all."""
    if not output.current.quiet:
        plain(f"finished in {span(bars.seconds)}", err)


def draws() -> bool:
    """Whether pictures of Braille dots can be shown, and are wanted."""
    current = output.current
    return not current.quiet and not current.is_data() and out.encoding.lower().startswith("utf")


def wide() -> bool:
    """Whether tables are printed at their own width, whatever the terminal's."""
    return output.current.wide


def for_data() -> bool:
    """Whether the output is CSV or JSON, in which sizes and times are numbers."""
    return output.current.is_data()


def for_programs() -> bool:
    """Whether a table was asked for in place of lines: as Markdown, CSV or JSON."""
    return output.current.form not in (None, output.Form.text)
