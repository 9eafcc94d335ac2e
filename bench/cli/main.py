"""The command line. A user's mistake gives one sentence and exit code 2."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from ..core.collector import end_unsearched
from ..core.errors import UserError
from ..core.memory import keep_freed_memory
from ..core.near import did_you_mean
from . import console, exchange, ladder, ls, plugin, results, run, store, train, validate
from .options import with_paths
from .stopping import STOPPED, Stopping, end

#: The exit code of a command that Ctrl-C ended, as in shells.
INTERRUPTED = 130

app = typer.Typer(
    name="subnetbench",
    help="Honest benchmarks for detectors of adversarial examples.",
    no_args_is_help=True,
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


COMMANDS: dict[str, Callable[..., None]] = {
    "run": run.run,
    "ls": ls.list_,
    "validate": validate.validate,
    "train": train.train,
    "tables": results.tables,
    "pack": results.pack,
    "plot": results.plot,
    "compare": results.compare,
    "ladder": ladder.ladder,
    "store": store.store,
    "clean": ls.clean,
    "leaderboard": results.leaderboard,
    "new": plugin.new,
    "validate-detector": plugin.validate_detector,
    "validate-attack": plugin.validate_attack,
    "verify": exchange.verify,
    "export": exchange.export,
    "import": exchange.import_,
}
for verb, command in COMMANDS.items():
    app.command(name=verb)(with_paths(command))


def in_our_words(message: str) -> str:
    """A library's message on an option, without the names of its own classes, and with the nearest choice."""
    message = message.removeprefix("Value error, ")
    if wrong := re.fullmatch(r"'(.*?)' is not one of (.*?)\.?", message):
        hint = did_you_mean(wrong[1], re.findall(r"'([^']*)'", wrong[2]))
        return f"{message.removesuffix('.')}.{hint}"
    if message.startswith("Input should be "):
        return f"it should be {message.removeprefix('Input should be ').partition(',')[0]}"
    return message


def main() -> None:
    """Entry point: one sentence for a user's mistake; Ctrl-C and SIGTERM keep all finished work."""
    keep_freed_memory()
    console.keep_to_encoding()
    with Stopping() as stopping:
        code = _code(stopping)
        if stopping.code or code == INTERRUPTED:
            console.note(STOPPED)
        if stopping.code:
            end(stopping.code)
    end_unsearched()
    if code:
        sys.exit(code)


def _code(stopping: Stopping) -> int:
    """The command's exit code."""
    try:
        with console.plain_warnings():
            return int(app(standalone_mode=False) or 0)  # commands return nothing: this is an Exit's code
    except UserError as error:
        console.plain(f"error: {error}", console.err, "red")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        if stopping.code:  # libraries turn a KeyboardInterrupt into errors of their own
            return stopping.code
        # The module of click's errors depends on the version of Typer, so they are recognised by their attributes.
        show = getattr(error, "show", None)
        if callable(show) and hasattr(error, "exit_code"):
            if isinstance(message := getattr(error, "message", None), str):
                vars(error)["message"] = in_our_words(message)
            show()
            return int(error.exit_code)
        raise
