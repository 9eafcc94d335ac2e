"""Commands for plug-ins: write a package to start from, check the contract."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console
from .output import with_output

if TYPE_CHECKING:
    from ..plugin.checks import Check
    from ..plugin.report import Report

_STYLES = {"passes": "green", "fails": "bold red", "warning": "yellow", "measured": "dim"}


def new(
    kind: Annotated[str, typer.Argument(help="detector, attack, model, dataset or saliency.")],
    name: Annotated[str, typer.Argument(help="Its name, such as my-score.")],
    into: Annotated[Path, typer.Option("--into", help="The package becomes the folder INTO/NAME.")] = Path("."),
) -> None:
    """Write a package to start from: a detector, attack, model, dataset or saliency method, which works as it is."""
    from ..plugin.skeleton import next_commands, write

    folder = write(kind, name, into, datetime.date.today().year)
    console.plain("\n".join(f"{path.relative_to(into)}" for path in sorted(folder.rglob("*")) if path.is_file()))
    console.plain("\n" + "\n".join(next_commands(kind, name, folder)))


DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of a plug-in that raises.")]


@with_output("format", "json")
def validate_detector(
    name: Annotated[str, typer.Argument(help="A registered detector.")], debug: DebugOption = False
) -> None:
    """Run the contract on a detector and measure its scores on digits; exit code 1 where something fails."""
    from ..core.registry import detectors
    from ..plugin.trial import WORTH, check_detector, ground

    detectors.get(name)  # before a net is trained
    began = time.monotonic()
    console.err.print("  train a small net on digits and attack it", highlight=False)
    ground()
    report = check_detector(name, debug=debug)
    measured = [check.name for check in report if check.name in WORTH]
    beside = f" A run checks the contract alone, without `{'` and `'.join(measured)}`." if measured else ""
    _show(report, began, beside)


@with_output("format", "json")
def validate_attack(
    name: Annotated[str, typer.Argument(help="A registered attack, such as foolbox/bim.")], debug: DebugOption = False
) -> None:
    """Run the contract on an attack and measure its images on digits; exit code 1 where something fails."""
    from ..core.registry import attacks
    from ..plugin.attack_trial import check_attack

    attacks.get(name)  # before a net is trained
    began = time.monotonic()
    console.err.print("  train a small net on digits and attack it", highlight=False)
    _show(check_attack(name, debug=debug), began)


def _show(report: Report, began: float, beside: str = "") -> None:
    if console.for_programs():
        console.print_table(
            report.name, [{"check": c.name, "outcome": c.outcome, "message": c.message} for c in report]
        )
    else:
        for check in report:
            _print(check)
    console.aside(f"\n{report.summary} ({time.monotonic() - began:.0f} s).{beside}")
    if not all(check.passed for check in report):
        raise typer.Exit(1)


def _print(check: Check) -> None:
    from ..plugin.report import line

    outcome, rest = line(check)[:9], line(check)[9:]
    console.out.print(outcome, style=_STYLES[check.outcome], end="")
    console.plain(rest)
