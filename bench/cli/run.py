"""What the command line shows of a localisation run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.errors import UserError
from ..core.progress import Bars
from ..core.store import Store
from ..harness.suite import changed
from ..localisation import run as wsol
from ..localisation.entry import Entry
from ..localisation.suite import WsolSuite


def run_wsol(
    suite: WsolSuite,
    *,
    limit: int | None,
    seed: int | None,
    classes: str | None,
    device: torch.device,
    data_root: Path | None,
    store: Store,
    output: Path,
    dry_run: bool,
    console: Console,
    out: Console,
) -> None:
    """Run a localisation suite and print its tables; with ``dry_run`` only what it would do."""
    if classes is not None:
        raise UserError(
            "--classes goes with suites of detectors; a localisation suite lists its classes in "
            "dataset.parameters.classes."
        )
    chosen = changed(suite, limit=limit, seed=seed)
    if dry_run:
        wsol.check(chosen)
        out.print(grid(chosen))
        return
    with Bars(console) as bars:
        result = wsol.execute(chosen, device=device, data_root=data_root, store=store, output=output, report=bars)
    for table in error_tables(result.entries):
        out.print(table)
    out.print(
        "Localisation error in percent (GT-known class, IoU >= .5), ± half the width of its 95% interval over images. "
        "* has constant or undefined maps, which count as misses. Lower is better."
    )
    folder = result.folder
    out.print(
        f"\n{result.computed} artifacts computed, {result.reused} read from {store.root}\n"
        f"Report    {folder / 'tables' / 'report.md'}\nTables    {folder / 'tables'} (CSV and Markdown)\n"
        f"Entries   {folder / 'localisation'} (with one row an image, parquet)",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    if result.failures:
        console.print(f"\n{len(result.failures)} maps could not be made:", style="yellow")
        for failure in result.failures:
            console.print(f"  {failure}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def grid(suite: WsolSuite) -> Table:
    """What a run would do."""
    table = Table(title=f"{suite.name}: {suite.limit or 'all'} test images, seed {suite.seed}")
    for name in ("net", "weights", "methods", "of"):
        table.add_column(name, overflow="fold")
    for part in suite.models:
        weights = part.weights or "trained first"
        table.add_row(
            part.title, weights, ", ".join(s.title for s in suite.saliency), ", ".join(suite.localisation.variants)
        )
    return table


def error_tables(entries: list[Entry]) -> Iterable[Table]:
    """One table a net: methods by variants; the last one holds the controls without a net."""
    for net in dict.fromkeys(entry["model"]["label"] for entry in entries):
        own = [entry for entry in entries if entry["model"]["label"] == net]
        head = own[0]
        named = head["model"]["accuracy"]
        about = f"{head['suite']['name']}: {head['dataset']['name']}, {net}"
        title = net if named is None else f"{about} ({named:.1%} right)"
        table = Table(title=title)
        table.add_column("method", no_wrap=True)
        variants = list(dict.fromkeys(entry["variant"] for entry in own))
        for variant in variants:
            table.add_column(variant, justify="right", no_wrap=True)
        for method in dict.fromkeys(entry["method"]["label"] for entry in own):
            cells = {e["variant"]: e for e in own if e["method"]["label"] == method}
            table.add_row(escape(method), *(_shown(cells.get(variant)) for variant in variants))
        yield table


def _shown(entry: dict[str, Any] | None) -> str:
    if entry is None or not entry.get("metrics"):
        return "–"
    error = entry["metrics"]["error"]
    mark = "*" if entry["unusable_maps"] else ""
    return f"{100 * error['value']:.1f}{mark}±{50 * (error['high'] - error['low']):.1f}"
