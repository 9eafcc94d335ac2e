"""The two consoles: results to standard output, notes and errors to standard error."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

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


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title=title)
    for name in rows[0] if rows else ["nothing"]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    out.print(table)
