"""The two consoles: results to standard output, notes and errors to standard error."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.errors import first_line

#: Notes, warnings and errors.
err = Console(stderr=True)

#: Results; wide when not on a terminal, so that lines in a file do not break.
out = Console(width=None if sys.stdout.isatty() else 160)


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
    table = Table(title=title)
    for name in rows[0] if rows else ["nothing"]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(row.get(name, ""))) for name in rows[0]))
    out.print(table)
