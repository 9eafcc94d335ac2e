"""The command that makes a site of results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def add_commands(app: typer.Typer, consoles: Callable[[], tuple[Console, Console]]) -> None:
    """Put ``leaderboard`` on the command line."""

    @app.command()
    def leaderboard(
        folder: Annotated[Path, typer.Argument(help="A results folder, or one that holds several.")] = Path(
            "subnetbench-results"
        ),
        out_folder: Annotated[
            Path | None, typer.Option("--out", help="The site's folder; default, without --single: site.")
        ] = None,
        single: Annotated[
            Path | None, typer.Option("--single", help="One self-contained page, to attach to a mail.")
        ] = None,
    ) -> None:
        """Make a static site of results, which opens from disk.

        An entry that is damaged, or whose scores do not give what it states, is named and left out, and the rest is
        built: the exit code is 0 then, and 2 only where nothing can be shown.
        """
        from ..board.build import write_single, write_site

        out, console = consoles()
        built = [write_site(folder, out_folder or Path("site"))] if out_folder or not single else []
        built += [write_single(folder, single)] if single else []
        for each_left in built[0].left_out:
            console.print(str(each_left), style="yellow", markup=False, highlight=False, soft_wrap=True)
        left = len(built[0].left_out)
        if left:
            console.print(f"{left} {'file was' if left == 1 else 'files were'} left out.", style="yellow")
        for each in built:
            on = f"{each.boards} {'board' if each.boards == 1 else 'boards'}"
            out.print(f"{each.start}: {each.entries} entries on {on}", markup=False, highlight=False, soft_wrap=True)
