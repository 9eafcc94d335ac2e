"""The command line: run, ls, train, validate, tables, compare, clean. Mistakes are one sentence and exit code 2."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.errors import UserError
from ..core.memory import keep_freed_memory
from ..core.progress import Bars
from ..core.store import Store
from ..harness.suite import NetSuite
from ..harness.toml import builtin_suites
from .detector import add_commands as register_commands
from .exchange import add_commands as share_commands
from .results import add_commands as board_commands

app = typer.Typer(
    name="subnetbench",
    help="Honest benchmarks for detectors of adversarial examples.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)
out = Console(width=None if sys.stdout.isatty() else 160)


class When(StrEnum):
    missing = "missing"
    always = "always"
    never = "never"
    cached = "cached"


class Kind(StrEnum):
    datasets = "datasets"
    models = "models"
    attacks = "attacks"
    detectors = "detectors"
    saliencymethods = "saliencymethods"
    suites = "suites"
    weights = "weights"


#: Where results go and are looked for.
RESULTS = Path("subnetbench-results")

#: The exit code of a command that Ctrl-C ended, as shells have it.
INTERRUPTED = 130

StoreOption = Annotated[Path | None, typer.Option("--store", help="Folder of artifacts; default: the user's cache.")]
RootOption = Annotated[
    Path | None, typer.Option("--data-root", help="Folder with <data set>.npz or torchvision's files.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Instead of the suite's.")]


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A built-in suite or a TOML file.")] = "digits",
    limit: Annotated[int | None, typer.Option("--limit", help="Test images that are attacked.")] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="Only these classes of an image folder: n01443537,n01629819 or a file of them."),
    ] = None,
    detector: Annotated[
        list[str] | None, typer.Option("--detector", help="A registered detector beside the suite's own; repeatable.")
    ] = None,
    data_root: RootOption = None,
    store: StoreOption = None,
    when: Annotated[
        When,
        typer.Option(
            help="missing: compute what is absent; always: all anew; never: leave absent cells out; "
            "cached: end at the first absent one."
        ),
    ] = When.missing,
    output: Annotated[Path, typer.Option("--output", help="Results go to OUTPUT/<suite>.")] = RESULTS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the grid and an estimate of its cost.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of a plug-in that raises.")] = False,
) -> None:
    """Run a suite: from images to tables. What is in the store is not computed again."""
    from .. import runner
    from ..core.device import choose_device
    from ..core.store import default_store
    from ..detection.override import override
    from ..localisation.suite import WsolSuite
    from ..tracks import load_any

    found = load_any(suite)
    where = Store(store or default_store(), when.value)
    if isinstance(found, WsolSuite):
        from .run import run_wsol

        if detector:
            raise UserError(f"--detector goes with suites of detectors; {suite} compares saliency methods.")
        run_wsol(
            found,
            limit=limit,
            seed=seed,
            classes=classes,
            device=choose_device(device),
            data_root=data_root,
            store=where,
            output=output,
            dry_run=dry_run,
            console=console,
            out=out,
        )
        return
    chosen = override(found, limit=limit, seed=seed, classes=classes, detectors=detector or ())
    with Bars(console) as bars:
        if dry_run:
            from ..detection.estimate import plan

            title, rows = plan(chosen, where, choose_device(device), data_root, bars)
            _print_table(title, rows)
            return
        result = runner.execute(
            chosen,
            device=choose_device(device),
            data_root=data_root,
            store=where,
            output=output,
            report=bars,
            debug=debug,
        )
    for table in _result_tables(result.entries, result.folder):
        out.print(table)
    out.print(
        "AUROC in percent, ± half the width of its 95% interval. Unknown: the combiner was fitted on the first attack. "
        "[bold green]Bold[/]: highest of its column; † cannot be told apart from it; * see the remarks in report.md. "
        "Last column: AUROC on mere noise of the first attack's norm, which should be near 50."
    )
    folder = result.folder
    out.print(
        f"\n{result.computed} artifacts computed, {result.reused} read from {where.root}\n"
        f"Report    {folder / 'tables' / 'report.md'}\nTables    {folder / 'tables'} (CSV and Markdown)\n"
        f"Entries   {folder / 'entries'}\nScores    {folder / 'scores'} (one row an image, parquet)",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    if result.failures:
        console.print(f"\n{len(result.failures)} detectors could not be run:", style="yellow")
        for failure in result.failures:
            console.print(f"  {failure}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _result_tables(entries: list[dict[str, Any]], folder: Path) -> Iterable[Table]:
    """The terminal's form of Table 2: no brackets, half the interval's width instead."""
    from ..core.files import read_json
    from ..detection.cells import column_title, columns_of

    for name in dict.fromkeys(entry["protocol"]["name"] for entry in entries):
        rows = [entry for entry in entries if entry["protocol"]["name"] == name]
        rows.sort(key=lambda entry: entry["detector"]["control"])
        comparisons = read_json(folder / "comparisons" / f"{name}.json")
        best = {(b["fit_on"], b["test_on"]): b for b in comparisons["best"]}
        attacks = list(rows[0]["attacks"])
        pairs = columns_of(attacks)
        head = rows[0]
        table = Table(
            title=f"{head['suite']['name']}: {head['dataset']['name']}, {head['model']['name']} "
            f"({head['model']['accuracy']:.1%} right), protocol {name}"
        )
        table.add_column("detector", no_wrap=True)
        for pair in pairs:
            table.add_column(column_title(pair).replace(" ", "\n", 1), justify="right", no_wrap=True)
        table.add_column("noise", justify="right", style="dim")
        for entry in rows:
            label, control = entry["detector"]["label"], entry["detector"]["control"]
            cells = {(c["fit_on"], c["test_on"]): c for c in entry["cells"]}
            shown = [_shown(cells[pair], best.get(pair), label) for pair in pairs]
            noise = cells[attacks[0], attacks[0]].get("noise_auroc")
            shown.append("–" if noise is None else f"{100 * noise:.0f}")
            table.add_row(escape(label) + (" [dim](control)[/]" if control else ""), *shown)
        yield table


def _shown(cell: dict[str, Any], best: dict[str, Any] | None, label: str) -> str:
    if cell["auroc"] is None:
        return "–"
    mark = "*" if cell["remark"] else ""
    text = f"{100 * cell['auroc']:.1f}{mark}±{50 * (cell['high'] - cell['low']):.1f}"
    if best and best["best"] == label:
        return f"[bold green]{text}[/]"
    return f"{text}†" if best and label in best["not_separable"] else text


def _print_table(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title)
    for name in rows[0] if rows else ["nothing"]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    out.print(table)


@app.command(name="ls")
def list_(kind: Annotated[Kind, typer.Argument(help="What to list.")]) -> None:
    """List what is registered, strangers' plug-ins included."""
    from ..core import registry

    if kind is Kind.suites:
        rows = [
            {
                "suite": name,
                "title": tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""),
                "file": str(path),
            }
            for name, path in builtin_suites().items()
        ]
    elif kind is Kind.weights:
        from ..models.weights import cards

        rows = [
            {
                "weights": name,
                "data": card["data"],
                "right": f"{float(card['test_accuracy']):.2%}",
                "of": card["test_images"],
                "MB": f"{card['bytes'] / 1e6:.1f}",
            }
            for name, card in cards().items()
        ]
    elif kind is Kind.detectors:
        rows = []
        for name in registry.detectors:
            cls = registry.detectors.get(name)
            rows.append(
                {
                    "detector": name + (" (control)" if cls.info.control else ""),
                    "paper": cls.info.title,
                    "year": cls.info.year,
                    "needs": ", ".join(cls.info.needs),
                    "from": "subnetbench" if registry.detectors.is_ours(name) else cls.__module__,
                }
            )
    elif kind is Kind.attacks:
        rows = []
        for name in registry.attacks:
            cls = registry.attacks.get(name)  # a stranger's may say these of its instances alone
            told = [getattr(cls, key, "") for key in ("title", "year", "threat", "norm")]
            rows.append(
                {
                    "attack": name,
                    "paper": str(told[0] or _first_line(cls)),
                    "year": str(told[1]),
                    "threat": str(told[2]),
                    "norm": str(told[3]),
                }
            )
    else:
        items: Any = {
            Kind.datasets: registry.datasets,
            Kind.models: registry.models,
            Kind.saliencymethods: registry.saliency,
        }[kind]
        rows = [{kind.value[:-1]: name, "what": _first_line(items.get(name))} for name in items]
    _print_table(kind.value, rows)


def _first_line(item: Any) -> str:
    return (item.__doc__ or "").strip().splitlines()[0] if item.__doc__ else ""


@app.command()
def validate(file: Annotated[str, typer.Argument(help="A suite file or a built-in suite.")]) -> None:
    """Check a suite file without running it."""
    import tempfile

    import torch

    from ..core.progress import Silent
    from ..detection.run import check
    from ..detection.scoring import Stages
    from ..localisation.suite import WsolSuite
    from ..tracks import load_any

    suite = load_any(file)
    if isinstance(suite, WsolSuite):
        from ..localisation import run as wsol

        wsol.check(suite)
        maps = len(suite.models) * len(suite.saliency) * len(suite.localisation.variants)
        out.print(
            f"{escape(file)} is a valid suite: {len(suite.models)} nets x {len(suite.saliency)} methods "
            f"x {len(suite.localisation.variants)} variants = {maps} kinds of maps."
        )
        return
    report = Silent()
    with tempfile.TemporaryDirectory() as folder:
        stages = Stages(suite, Store(Path(folder)), device=torch.device("cpu"), data_root=None, report=report)
        check(suite, stages)
    for warning in report.warnings:
        console.print(warning, style="yellow", markup=False, highlight=False, soft_wrap=True)
    cells = len(suite.detectors) * len(suite.attacks) ** 2 * len(suite.protocols)
    out.print(
        f"{escape(file)} is a valid suite: {len(suite.detectors)} detectors x {len(suite.attacks)} attacks "
        f"x {len(suite.protocols)} protocols = {cells} cells."
    )


@app.command()
def train(
    suite: Annotated[str, typer.Argument(help="Train the classifier of this suite.")] = "digits",
    net: Annotated[str | None, typer.Option("--net", help="Only this one of a suite that has several.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Also write the weights to this .safetensors file.")
    ] = None,
    ship: Annotated[
        Path | None,
        typer.Option("--ship", help="Also publish the weights as float16, with their card, into this folder."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", help="Publish under this name instead of <data set>/<net>.")
    ] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    data_root: RootOption = None,
    store: StoreOption = None,
) -> None:
    """Train a suite's nets into the store; an interrupted training goes on after its last epoch."""
    from ..core.device import choose_device
    from ..core.store import default_store
    from ..detection.override import override
    from ..harness.suite import changed
    from ..localisation.suite import WsolSuite
    from ..tracks import load_any
    from .train import train_net

    found = load_any(suite)
    if isinstance(found, WsolSuite):
        again = changed(found, limit=None, seed=seed)
        nets: list[NetSuite] = [again.of(part) for part in again.models if net in (None, part.title)]
        if not nets:
            titles = ", ".join(part.title for part in again.models)
            raise UserError(f"{suite} has no net labelled {net!r}; it has {titles}.")
    elif net is not None:
        raise UserError(f"{suite} has one net; --net goes with suites that have several.")
    else:
        nets = [override(found, limit=None, seed=seed)]
    if out_file is not None and len(nets) > 1:
        raise UserError(f"{suite} has {len(nets)} nets and --out names one file; choose one with --net.")
    if name is not None and (len(nets) > 1 or not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name)):
        raise UserError(f"--as {name} must name the weights of one net as <data set>/<net>, in letters, digits, . _ -.")
    command = f"subnetbench train {suite}" + (f" --ship {ship}" if ship else "") + (f" --as {name}" if name else "")
    for each in nets:
        train_net(
            each,
            Store(store or default_store()),
            device=choose_device(device),
            data_root=data_root,
            out_file=out_file,
            ship=ship,
            name=name,
            command=command + (f" --seed {seed}" if seed is not None else ""),
            console=console,
            out=out,
        )


@app.command()
def tables(
    folder: Annotated[Path, typer.Argument(help="A results folder, or one that holds several.")] = Path(
        "subnetbench-results"
    ),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a table is not what entries give.")
    ] = False,
) -> None:
    """Rewrite every table from stored entries."""
    from ..detection.tables import write_tables
    from ..figures.features import check_data
    from ..localisation.entry import FOLDER as LOCALISATION
    from ..localisation.tables import write_wsol_tables

    if not folder.is_dir():
        raise UserError(f"There is no results folder {folder}; run a suite first, or give its output folder.")
    folders = sorted({path.parent for path in folder.rglob("entries") if path.is_dir()})
    located = sorted({path.parent for path in folder.rglob(LOCALISATION) if path.is_dir()})
    if not folders and not located:
        raise UserError(f"There are no entries under {folder}; run a suite first, or give its output folder.")
    for each in folders:
        _said(each, write_tables(each, check=check), check)
        if check:
            check_data(each)
    for each in located:
        _said(each, write_wsol_tables(each, check=check), check)
    if folders and folder not in folders:
        from ..detection.summary import write_summary

        _said(folder, write_summary(folder, folders, check=check), check)


def _said(folder: Path, written: list[Path], check: bool) -> None:
    out.print(
        f"{folder}: {len(written)} tables {'are what their entries give' if check else 'written'}", soft_wrap=True
    )


@app.command()
def plot(
    folder: Annotated[Path, typer.Argument(help="A results folder, or one that holds several.")] = RESULTS,
    only: Annotated[
        str | None,
        typer.Option("--only", help="Some of roc,histograms,figure2,figure3,figure4,sensitivity; default: all."),
    ] = None,
    formats: Annotated[str | None, typer.Option("--format", help="png, svg or both, with a comma.")] = None,
) -> None:
    """Draw figures from stored entries into FOLDER/figures."""
    from ..figures.draw import write_plots

    def note(text: str) -> None:
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    written = write_plots(folder, only, formats, note)
    for place in dict.fromkeys(path.parent for path in written):
        count = sum(path.parent == place for path in written)
        out.print(f"{place}: {count} pictures written", markup=False, soft_wrap=True)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A detector's label.")],
    second: Annotated[str, typer.Argument(help="Another one's.")],
    folder: Annotated[Path, typer.Option("--results", help="A suite's results folder.")] = Path(
        "subnetbench-results/digits"
    ),
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Also draw both ROC curves of every attack into this .png or .svg.")
    ] = None,
) -> None:
    """Paired differences of two detectors, cell by cell, from their stored scores, and both ROC curves."""
    from ..detection.compare import compare_detectors
    from ..figures.pair import plot, plot_format, terminal_picture

    if picture is not None:
        plot_format(picture)
    compared = compare_detectors(folder, first, second)
    for each in compared:
        _print_table(each.title, each.rows)
    for each in compared if out.encoding.lower().startswith("utf") else ():  # dots of Braille
        out.print(terminal_picture(each), markup=False, highlight=False, no_wrap=True, crop=False)
    if picture is not None:
        out.print(f"Picture   {plot(compared, picture)}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def clean(
    kind: Annotated[
        list[str] | None, typer.Argument(help="Kinds of artifacts, such as adversarial; none: all.")
    ] = None,
    store: StoreOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Say what the store holds and remove it."""
    from ..core.store import default_store

    where = Store(store or default_store())
    sizes = where.size()
    unknown = sorted(set(kind or ()) - set(sizes))
    if unknown:
        raise UserError(f"The store {where.root} has no kind {unknown[0]!r}; it has {', '.join(sizes) or 'nothing'}.")
    _print_table(str(where.root), [{"kind": k, "files": n, "MB": f"{b / 1e6:.1f}"} for k, (n, b) in sizes.items()])
    if not sizes or not (yes or typer.confirm("Remove " + (", ".join(kind) if kind else "all of it") + "?")):
        return
    out.print(f"{where.clean(list(kind) if kind else None) / 1e6:.1f} MB freed.")


board_commands(app, lambda: (out, console))
register_commands(app, lambda: (out, console))
share_commands(app, lambda: (out, console))


def main() -> None:
    """Entry point: one sentence for a user's mistake, 130 for Ctrl-C, which keeps all finished work."""
    keep_freed_memory()
    try:
        code = app(standalone_mode=False)  # commands return nothing: a number is the code of an Exit, Ctrl-C's too
    except UserError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        # Typer brings click by one name or another, according to its version: known by what it can do.
        show = getattr(error, "show", None)
        if callable(show) and hasattr(error, "exit_code"):
            show()
            sys.exit(error.exit_code)
        raise
    if code == INTERRUPTED:
        console.print("stopped; all finished work is kept, and the same command goes on from there", style="yellow")
    if code:
        sys.exit(code)
