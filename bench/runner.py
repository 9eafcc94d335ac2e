"""Expands a suite into its cells, walks them through the store and writes entries, scores and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch

from .core.device import choose_device
from .core.errors import UserError
from .core.files import write_json
from .core.progress import Reporter, Silent
from .core.store import NotStored, Store, When, default_store
from .detection.entry import Entry, tidy
from .detection.override import override
from .detection.run import _Run, check
from .detection.scoring import Stages
from .detection.sensitivity import variants
from .detection.suite import Suite, load_suite
from .detection.tables import write_tables


@dataclass
class Result:
    """What a run made: the tidy frame, where things were written, and what could not be run."""

    frame: pd.DataFrame
    folder: Path
    entries: list[Entry]
    failures: list[str] = field(default_factory=list)
    computed: int = 0
    reused: int = 0


def run(
    suite: str | Path | Suite = "digits",
    *,
    limit: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    classes: str | Sequence[str] | None = None,
    detectors: Sequence[str] = (),
    data_root: str | Path | None = None,
    store: str | Path | None = None,
    when: When = "missing",
    output: str | Path = "subnetbench-results",
) -> pd.DataFrame:
    """Run a suite and return one row a cell: detector, protocol, fit_on, test_on, auroc, low, high, n, ...

    ``suite`` is a built-in suite's name, a TOML file or a `Suite`. Entries, scores and tables are written below
    ``output``. Raises UserError for whatever the caller can mend.
    """
    chosen = suite if isinstance(suite, Suite) else load_suite(suite)
    return execute(
        override(chosen, limit=limit, seed=seed, classes=classes, detectors=detectors),
        device=choose_device(device),
        data_root=None if data_root is None else Path(data_root),
        store=Store(Path(store) if store else default_store(), when),
        output=Path(output),
    ).frame


def execute(
    suite: Suite,
    *,
    device: torch.device,
    data_root: Path | None,
    store: Store,
    output: Path,
    report: Reporter | None = None,
    debug: bool = False,
) -> Result:
    """Run a checked suite. A detector that fails is a reported cell; a mistake in the suite ends the run."""
    report = report or Silent()
    store.warn = report.warn
    stages = Stages(suite, store, device=device, data_root=data_root, report=report)
    check(suite, stages)
    folder = output / suite.name
    report.overall(2 + len(suite.attacks) + len(suite.detectors) * len(suite.protocols))
    try:
        report.step(f"{suite.name}: classifier")
        _ = stages.classifier
        stages.check_gates()
        for _, variant in variants(suite):
            stages.classifier.gated_paths(str((variant.subnets or {})["position"]))
        for attack in suite.attacks:
            report.step(f"{suite.name}: attack {attack.title}")
            stages.strength(attack)
        report.step(f"{suite.name}: class gates")
        gates = [meta for _, meta in stages.gates]
    except NotStored as missing:
        raise UserError(
            f"The store {store.root} lacks {missing} of this suite, and --when {store.when} computes nothing; "
            "run once with --when missing."
        ) from None
    run = _Run(stages, folder, report, debug)
    entries: list[Entry] = []
    for protocol in suite.protocols:
        entries += run.protocol(protocol)
    (folder / "subnets.json").unlink(missing_ok=True)
    if gates and stages.gate_options is not None:
        said = {"suite": suite.name, "seed": suite.seed, "options": stages.gate_options.model_dump(), "sets": gates}
        write_json(folder / "subnets.json", said)
    write_json(folder / "suite.json", suite.model_dump(mode="json"))
    run.figures()
    run.sensitivity()
    _remove_others(folder, entries)
    write_tables(folder)
    return Result(tidy(entries), folder, entries, run.failures, store.computed, store.reused)


def _remove_others(folder: Path, entries: Sequence[Entry]) -> None:
    """Entries that an earlier form of this suite left behind would stand in tables as if this run had made them."""
    ours = {(entry["protocol"]["name"], entry["detector"]["label"]) for entry in entries}
    protocols = {protocol for protocol, _ in ours}
    for kind in ("entries", "scores"):
        for path in (folder / kind).glob("*/*.*"):
            if (path.parent.name, path.stem) not in ours:
                path.unlink(missing_ok=True)
    for path in (folder / "comparisons").glob("*.json"):
        if path.stem not in protocols:
            path.unlink(missing_ok=True)
