"""The command for a ladder of Table 2: its tables and its figure, from the results of its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import UserError
from . import console
from .options import RESULTS, ResultsArgument
from .output import with_output


def _ladders(incomplete: str) -> list[str]:
    from ..detection.ladder import builtin_ladders

    return [name for name in builtin_ladders() if name.startswith(incomplete)]


@with_output()
def ladder(
    name: Annotated[str, typer.Argument(help="A ladder that ships, or a TOML file.", autocompletion=_ladders)],
    folder: ResultsArgument = RESULTS,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a table differs from its entries.")
    ] = False,
    figure: Annotated[str, typer.Option("--figure", help="png, svg or png,svg; none: no figure.")] = "png",
) -> None:
    """What each step from our setting to the paper's changes: AUROC, differences, published figures, cost.

    Steps that FOLDER does not hold are shown as not run. Tables go to FOLDER/tables, figures to FOLDER/figures.
    """
    from ..detection.climbed import ladder_report, ran
    from ..detection.ladder import climb, load_ladder
    from ..detection.ladder_terminal import LEGEND, margins, steps
    from ..figures.draw import chosen
    from ..figures.ladder import ladder_figures
    from ..figures.style import FORMATS, save, style
    from ..harness.tables import write_tables
    from ..tracks import TRACKS

    if not folder.is_dir():
        raise UserError(
            f"There is no results folder {folder}; run a step of the ladder first, or give its output folder."
        )
    stated = load_ladder(name)
    kinds = [kind for kind in chosen(figure, (*FORMATS, "none"), "--figure") if kind != "none"]
    result = climb(stated, TRACKS["detection"].folders_below(folder))
    if not any(step.ran for step in result.steps):
        raise UserError(
            f"{folder} holds no step of the ladder {name}; run one first, such as "
            f"`subnetbench run {stated.steps[0].suite} --output {folder}`."
        )
    stem = Path(name).stem
    written = write_tables(folder, ladder_report(result, stem), check)
    settings, differences = steps(result), margins(result)
    console.print_table(settings.title, settings.rows)
    console.show(differences)
    console.legend(LEGEND.text([differences]))
    console.folded_aside(ran(result))
    if kinds and not check:
        with style():
            for suffix, picture in ladder_figures(result):
                for path in save(picture, folder / "figures" / f"ladder-{stem}-{suffix}", kinds):
                    console.aside(f"Picture   {path}")
    console.aside(f"{folder}: {len(written)} tables {'are what their entries give' if check else 'written'}")
