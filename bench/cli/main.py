"""The command line. A user's mistake gives one sentence and exit code 2."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from ..core.errors import UserError
from ..core.memory import keep_freed_memory
from . import console, detector, exchange, ls, results, run, train

#: The exit code of a command that Ctrl-C ended, as in shells.
INTERRUPTED = 130

app = typer.Typer(
    name="subnetbench",
    help="Honest benchmarks for detectors of adversarial examples.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        console.plain(f"subnetbench {version('subnetbench')}")
        raise typer.Exit


@app.callback()
def begin(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Honest benchmarks for detectors of adversarial examples."""


app.command()(run.run)
app.command(name="ls")(ls.list_)
app.command()(run.validate)
app.command()(train.train)
app.command()(results.tables)
app.command()(results.plot)
app.command()(results.compare)
app.command()(ls.clean)
app.command()(results.leaderboard)
app.add_typer(detector.new, name="new")
app.command(name="validate-detector")(detector.validate_detector)
app.command()(exchange.verify)
app.command()(exchange.export)
app.command(name="import")(exchange.import_)


def main() -> None:
    """Entry point: one sentence for a user's mistake, 130 for Ctrl-C, which keeps all finished work."""
    keep_freed_memory()
    try:
        with console.plain_warnings():
            code = app(standalone_mode=False)  # commands return nothing: a number is the code of an Exit, Ctrl-C's too
    except UserError as error:
        console.plain(f"error: {error}", console.err, "red")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        # The module of click's errors depends on the version of Typer, so they are recognised by their attributes.
        show = getattr(error, "show", None)
        if callable(show) and hasattr(error, "exit_code"):
            show()
            sys.exit(error.exit_code)
        raise
    if code == INTERRUPTED:
        console.note("stopped; all finished work is kept, and the same command goes on from there")
    if code:
        sys.exit(code)
