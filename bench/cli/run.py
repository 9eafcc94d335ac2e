"""The command that runs a suite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.collector import importing
from ..core.text import counted
from . import console
from .options import (
    RESULTS,
    ClassesOption,
    CollectOption,
    ConfigOption,
    JobsOption,
    LimitOption,
    OnlyOption,
    SeedOption,
    ShardOption,
    SuiteArgument,
    Surroundings,
    When,
    with_surroundings,
)
from .output import with_output

if TYPE_CHECKING:
    from ..runner import Result


@with_output()
@with_surroundings
def run(
    here: Surroundings,
    suite: SuiteArgument = "digits",
    limit: LimitOption = None,
    seed: SeedOption = None,
    classes: ClassesOption = None,
    detector: Annotated[
        list[str] | None,
        typer.Option("--detector", help="A registered detector beside the suite's; repeatable."),
    ] = None,
    when: Annotated[
        When,
        typer.Option(
            help="missing: compute what is absent; always: compute all again; never: leave absent cells out; "
            "cached: stop at the first absent one."
        ),
    ] = When.missing,
    output: Annotated[Path, typer.Option("--output", help="Results go to OUTPUT/<suite>.")] = RESULTS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the grid and an estimate of its cost.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a plug-in that raises.")] = False,
    n_jobs: JobsOption = None,
    parallel_config: ConfigOption = None,
    shard: ShardOption = None,
    only: OnlyOption = None,
    collect: CollectOption = False,
) -> None:
    """Run a suite: from images to tables. Nothing that is in the store is computed again."""
    with importing():
        from ..parallel.request import Changes
        from ..runner import execute
        from ..tracks import load_suite, located
        from .parallel import Ways, dry, settled, some

    changes = Changes(limit=limit, seed=seed, classes=classes, detectors=detector or [])
    ways = Ways.of(n_jobs, parallel_config, shard, only, collect, when, debug=debug)
    chosen = load_suite(suite).overridden(**changes.model_dump())
    with console.progress() as bars, located(suite):
        context = here.context(bars, when=ways.when, debug=debug)
        if dry_run:
            return dry(ways, chosen, context)
        if ways.some:
            return some(ways, chosen, context, output)
        with settled(ways, chosen, context, output), ways.filling(suite, chosen, context, here.device, changes) as fill:
            result = execute(chosen, context, output, fill)
    _show(result)
    console.aside(f"\n{counted(result.computed, 'artifact')} computed, {result.reused} read from {context.store.root}")
    files = [place for part in result.parts for place in part.track.terminal.FILES]
    for name, place, remark in (("Report", "tables/report.md", ""), ("Tables", "tables", _TABLES), *files):
        console.folded_aside(remark, f"{name:<{console.INDENT}}{result.folder / place}")
    for part in result.parts:
        if part.failures:
            console.note(f"\n{len(part.failures)} {part.track.terminal.FAILURES} could not be run:")
        for failure in part.failures:
            console.plain(f"  {failure}", console.err)
    console.finished(bars)
    if result.failures:
        raise typer.Exit(1)


def _show(result: Result) -> None:
    """The tables of every part, each with a legend of what occurs in them."""
    for part in result.parts:
        tables = list(part.track.terminal.shown(part.entries, result.folder))
        for shown in tables:
            console.show(shown)
        console.legend(part.track.terminal.LEGEND.text(tables))


_TABLES = " (CSV and Markdown)"
