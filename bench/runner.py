"""The one loop: check a suite of either track, run it entry by entry, write the entries and make the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .core.device import choose_device
from .core.errors import UserError
from .core.files import write_json
from .core.home import expanded
from .core.store import NotStored, Store, When, default_store
from .harness.context import Context
from .harness.entry import Entry, remove_others
from .harness.suite import AnySuite
from .harness.tables import write_tables
from .harness.track import Track
from .tracks import load_suite, located, track_of


@dataclass(frozen=True)
class Result:
    """The outcome of a run: its entries, their folder, its failures, and how many artifacts were computed or reused."""

    track: Track
    folder: Path
    entries: Sequence[Entry]
    failures: Sequence[str]
    computed: int
    reused: int

    @property
    def frame(self) -> pd.DataFrame:
        """One row per figure."""
        return self.track.tables.frame(self.entries)


def run(
    suite: str | Path | AnySuite = "digits",
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
    """Run a suite of any track and return its figures as a frame, one row each.

    ``suite`` is a built-in suite's name, a TOML file or a suite. ``limit`` caps the number of test images, ``seed``
    replaces the suite's; ``classes`` (names, one text of them, or a file) chooses classes of an image folder and
    ``detectors`` adds registered detectors with their defaults, both only in suites of detectors. ``device`` is auto,
    cpu, cuda, cuda:1, ...; ``data_root`` the folder with ``<data set>.npz``, torchvision's files or images; ``store``
    the folder of artifacts (default: the user's cache). ``when``: "missing" computes what the store lacks, "always"
    everything, "never" leaves absent results out, "cached" ends at the first one. Entries, scores and tables are
    written below ``output/<suite>``.

    Detection: fit_on, test_on, auroc, low, high, n, ... per cell. Localisation: net, method, variant, metric, value,
    low, high. Raises UserError, one sentence, for a mistake in the arguments or the suite.
    """
    chosen = suite if isinstance(suite, AnySuite) else load_suite(suite)
    chosen = chosen.overridden(limit=limit, seed=seed, classes=classes, detectors=detectors)
    artifacts = Store(expanded(store) if store else default_store(), when)
    context = Context(artifacts, choose_device(device), None if data_root is None else expanded(data_root))
    with located(suite):
        return execute(chosen, context, expanded(output)).frame


def execute(suite: AnySuite, context: Context, output: Path) -> Result:
    """Run a suite into ``output/<suite>``: each entry as it is made, then the files beside them, then tables.

    A detector or method that fails on its own becomes an entry with the reason; a mistake in the suite ends the run.
    """
    track, folder = track_of(suite), output / suite.name
    running = track.run(suite, context)
    running.check()
    entries: list[Any] = []
    try:
        for entry, scores in running.made():
            entries.append(entry.write(folder, scores))
    except NotStored as missing:
        store = context.store
        raise UserError(
            f"The store {store.root} lacks {missing} of this suite, and --when {store.when} computes nothing; "
            "run once with --when missing."
        ) from None
    write_json(folder / "suite.json", suite.model_dump(mode="json"))
    running.finish(folder)
    remove_others(folder, entries, track.folders)
    write_tables(folder, track.tables.report(folder))
    return Result(track, folder, entries, running.failures, context.store.computed, context.store.reused)
