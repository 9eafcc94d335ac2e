"""Commands for a detector of one's own: a package to start from, and whether it keeps the contract."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ..plugin.checks import Check

#: What is printed to and where notes go; asked for at every call.
Consoles = Callable[[], tuple[Console, Console]]

_STYLES = {"passes": "green", "fails": "bold red", "warning": "yellow", "measured": "dim"}


def add_commands(app: typer.Typer, consoles: Consoles) -> None:
    """Put ``new detector`` and ``validate-detector`` on the command line."""
    new = typer.Typer(help="Write a package to start from.", no_args_is_help=True)
    app.add_typer(new, name="new")

    @new.callback()
    def begin() -> None:
        """Write a package to start from."""

    @new.command()
    def detector(
        name: Annotated[str, typer.Argument(help="What the detector is called: my-score.")],
        into: Annotated[Path, typer.Option("--into", help="The package becomes the folder INTO/NAME.")] = Path("."),
    ) -> None:
        """Write the package of a detector: it works as it is written, and its two methods are there to be edited."""
        from ..plugin.skeleton import write_detector

        out, _ = consoles()
        folder = write_detector(name, into, datetime.date.today().year)
        lines = [f"{path.relative_to(into)}" for path in sorted(folder.rglob("*")) if path.is_file()]
        out.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
        out.print(
            f"\npip install --editable {folder}\n"
            f"subnetbench validate-detector {name}\n"
            f"subnetbench run digits --detector {name}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    @app.command(name="validate-detector")
    def validate_detector(
        name: Annotated[str, typer.Argument(help="A registered detector.")],
        debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a detector that raises.")] = False,
    ) -> None:
        """Run the contract on a detector and measure its scores on digits; exit code 1 where something fails."""
        from ..core import registry
        from ..plugin.trial import examine, ground

        out, console = consoles()
        registry.detectors.get(name)  # before a net is trained
        began = time.monotonic()
        console.print("  train a small net on digits and attack it", highlight=False)
        ground()
        checks = examine(name, debug=debug)
        for check in checks:
            _print(out, check)
        failed, warned = (sum(c.outcome == outcome for c in checks) for outcome in ("fails", "warning"))
        held = sum(c.outcome == "passes" for c in checks)
        out.print(
            f"\n{name}: {held} checks pass, {failed} fail, {warned} warnings ({time.monotonic() - began:.0f} s).",
            highlight=False,
            markup=False,
        )
        if failed:
            raise typer.Exit(1)


def _print(out: Console, check: Check) -> None:
    out.print(f"{check.outcome:<9}", style=_STYLES[check.outcome], end="")
    said = f": {check.message}" if check.message else ""
    out.print(f"{check.name}{said}", markup=False, highlight=False, soft_wrap=True)
