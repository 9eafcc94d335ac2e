"""The form of a command's output: --format, --json, --quiet and --wide, and the tables printed by them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import wraps
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from ..core.fold import BEST, arranged, cards, drawn, listed
from ..core.grid import Grid, Listing
from ..core.plain import csv_text, json_text, markdown
from .signature import declare


class Form(StrEnum):
    text = "text"
    markdown = "markdown"
    csv = "csv"
    json = "json"


@dataclass
class Output:
    """How one command prints, and the tables that it has printed so far into a form that is written at its end."""

    form: Form | None = None
    quiet: bool = False
    wide: bool = False
    kept: list[Grid | Listing] = field(default_factory=list)
    #: Whether a table was folded, and whether that has been said.
    folded: bool = False
    told: bool = False

    def form_on(self, console: Console) -> Form:
        """The form that was asked for; else text on a terminal or for a stated width, and Markdown elsewhere."""
        if self.form is not None:
            return self.form
        return Form.text if console.is_terminal or "COLUMNS" in os.environ else Form.markdown

    def is_data(self) -> bool:
        """Whether standard output is for a program, so that all but tables goes to standard error."""
        return self.form in (Form.csv, Form.json)


#: The output of the command that is running.
current = Output()


def show(table: Grid | Listing, console: Console) -> None:
    """Print a table on a console, in the form of the running command."""
    form = current.form_on(console)
    if form in (Form.csv, Form.json):
        current.kept.append(table)
    elif form is Form.markdown:
        console.print(markdown(table), markup=False, highlight=False, soft_wrap=True)
    elif isinstance(table, Grid):
        _grid(table, console)
    else:
        _listing(table, console)


def _grid(grid: Grid, console: Console) -> None:
    best = best_mark(console)
    form = arranged(grid, None if current.wide else console.width, best)
    console.print(Text(grid.title, "italic"))
    for table in drawn(grid, form, best):
        _whole(table, console)
    if not form.spreads:
        console.print(f"Intervals are left out: {console.width} columns have no room for them; --wide prints them.")
    current.folded |= len(form.stacks) > 1


def _listing(listing: Listing, console: Console) -> None:
    table = listed(listing, None if current.wide else console.width)
    console.print(Text(listing.title, "italic"))
    if table is not None:
        _whole(table, console)
        return
    for card in cards(listing, console.width):
        console.print(card)
    current.folded = True


def _whole(table: Any, console: Console) -> None:
    """Print at the table's own width, so that a terminal narrower than it breaks lines, and cuts no figure."""
    width = Measurement.get(console, console.options.update(width=10_000), table).maximum
    before, console.width = console.width, max(width, console.width)
    try:
        console.print(table)
    finally:
        console.width = before


def best_mark(console: Console) -> str:
    """The sign of the highest figure: none where it is bold."""
    return "" if console.color_system is not None else BEST


def legend(markup: str, console: Console) -> None:
    """Print what the signs of a table mean; where its highest figure is not bold, the sign that it has instead."""
    form = current.form_on(console)
    if form is Form.markdown:
        text = Text.from_markup(markup).plain.replace("Bold:", "**Bold**:").replace("*", r"\*")
        text = text.replace(r"\*\*Bold\*\*", "**Bold**")
        console.print(f"{text}\n", markup=False, highlight=False, soft_wrap=True)
    elif best_mark(console):
        console.print(Text(Text.from_markup(markup).plain.replace("Bold:", f"{BEST}:")))
    else:
        console.print(Text.from_markup(markup))
    if current.folded and not current.told:
        current.told = True
        console.print("Tables are folded to the terminal's width; --wide prints each whole.", highlight=False)


FormOption = Annotated[
    Form | None,
    typer.Option("--format", help="Tables as text, markdown, csv or json; default: text, markdown in pipes and files."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, no explanations: only results, warnings and errors.")
]
WideOption = Annotated[bool, typer.Option("--wide", help="Do not fold tables to the terminal's width.")]

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "format": (FormOption, None),
    "json": (JsonOption, False),
    "wide": (WideOption, False),
    "quiet": (QuietOption, False),
}


def with_output(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command with these of the options --format, --json, --wide and --quiet; without names, with all."""
    chosen = names or tuple(_OPTIONS)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def wrapper(**options: Any) -> None:
            said = {name: options.pop(name) for name in chosen}
            form = Form.json if said.get("json") else said.get("format")
            with _printed(Output(form, said.get("quiet", False), said.get("wide", False))):
                command(**options)

        declare(wrapper, command, {name: _OPTIONS[name] for name in chosen})
        return wrapper

    return decorate


@contextmanager
def _printed(output: Output) -> Iterator[None]:
    """The body prints by this output; tables that it keeps are written at the end, also of one that exits with 1."""
    global current
    before, current = current, output
    try:
        try:
            yield
        except typer.Exit:
            _write(output)
            raise
        _write(output)
    finally:
        current = before


def _write(output: Output) -> None:
    if output.form is Form.csv:
        typer.echo(csv_text(output.kept), nl=False)
    elif output.form is Form.json:
        typer.echo(json_text(output.kept))
