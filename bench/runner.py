"""The one loop: check a suite of either track, run it entry by entry, write the entries and make the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .core import registry
from .core.device import choose_device
from .core.errors import UserError
from .core.files import write_json
from .core.home import DATA, expanded, stated
from .core.keywords import named_arguments
from .core.packed import plain
from .core.progress import Printed
from .core.seeding import seeded
from .core.store import NotStored, Store, When, default_store
from .harness.audit import suite_beside
from .harness.context import Context
from .harness.entry import Entry
from .harness.folder import clear_earlier, one_run_at_a_time, without_folders
from .harness.stale import clear_stale
from .harness.suite import AnySuite
from .harness.tables import write_tables
from .harness.track import Running, Track
from .parallel.config import config_of
from .parallel.filling import filling
from .session.suite import Objects, lent
from .tracks import load_suite, located, tracks_of

#: Fills the store with what these runs of a suite will read.
Fill = Callable[[AnySuite, Sequence[Running]], None]


@dataclass(frozen=True)
class Part:
    """What one track made of a suite: its entries and its failures."""

    track: Track
    entries: Sequence[Entry]
    failures: Sequence[str]

    @property
    def frame(self) -> pd.DataFrame:
        """One row per figure."""
        return self.track.tables.frame(self.entries)


@dataclass(frozen=True)
class Result:
    """The outcome of a run: its parts, the suite's track first, their folder, and the artifacts computed and reused."""

    parts: Sequence[Part]
    folder: Path
    computed: int
    reused: int

    @property
    def entries(self) -> Sequence[Entry]:
        """The entries of the suite's own track."""
        return self.parts[0].entries

    @property
    def failures(self) -> list[str]:
        return [failure for part in self.parts for failure in part.failures]

    @property
    def frame(self) -> pd.DataFrame:
        """One row per figure of the suite's own track."""
        return self.parts[0].frame


@named_arguments
def run(
    suite: str | Path | AnySuite = "digits",
    *,
    limit: int | None = None,
    device: str = "auto",
    seed: int | None = None,
    classes: str | Sequence[str] | None = None,
    detectors: Sequence[Any] = (),
    attacks: Sequence[Any] = (),
    model: Any = None,
    dataset: Any = None,
    only: bool = False,
    data_root: str | Path | None = None,
    store: str | Path | None = None,
    when: When = "missing",
    output: str | Path = "subnetbench-results",
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Run a suite of any track and return its figures as a frame, one row each.

    ``suite`` is a built-in suite's name, a TOML file or a suite. ``limit`` caps the number of test images, ``seed``
    replaces the suite's; ``classes`` (names, one text of them, or a file) chooses classes of an image folder.

    ``detectors`` and ``attacks`` are added to the suite's: classes, instances, functions that make one, or registered
    names. ``only`` leaves out the suite's own detectors, and its attacks if ``attacks`` are given. ``model`` takes the
    place of its net (a trained torch module or `Classifier`, or a registered name), ``dataset`` that of its data (a
    `Dataset`; ``(train_images, train_labels, test_images, test_labels)`` with images uint8 NHWC or float NCHW in
    [0, 1]; a registered name). All of these go with suites of detectors alone, and nothing stays registered.

    ``device`` is auto, cpu, cuda, cuda:1, ...; ``data_root`` the folder with ``<data set>.npz``, torchvision's files or
    images (default: the one in SUBNETBENCH_DATA); ``store`` the folder of artifacts (default: the one in
    SUBNETBENCH_STORE, or else the user's cache). ``when``: "missing" computes what the store
    lacks, "always" everything, "never" leaves absent results out, "cached" ends at the first one. Entries, scores and
    tables are written below ``output/<suite>``; with ``attacks``, ``model``, ``dataset`` or ``only``, the suite's name
    gets theirs behind it.

    ``n_jobs`` worker processes, of one thread each (or OMP_NUM_THREADS), do the work, -1 one per core; the results are
    those of ``n_jobs=1``. Objects of this session are in no other process: with them, everything runs in this one.

    Detection: fit_on, test_on, auroc, low, high, n, ... per cell (rows of a part ``[adaptive]`` are in
    `load_results`). Localisation: net, method, variant, metric, value,
    low, high. Raises UserError, one sentence, for a mistake in the arguments or the suite.
    """
    chosen = suite if isinstance(suite, AnySuite) else load_suite(suite)
    objects = Objects(_listed(detectors, "detectors"), _listed(attacks, "attacks"), model, dataset, only)
    artifacts = Store(expanded(store) if store else default_store(), when)
    root = stated(DATA) if data_root is None else expanded(data_root)
    context = Context(artifacts, choose_device(device), root, Printed())
    chosen = chosen.overridden(limit=limit, seed=seed, classes=classes)
    config = None if n_jobs is None else config_of(n_jobs, None)
    with (
        lent(chosen, objects, context) as ready,
        located(ready if objects else suite),
        filling(config, ready, ready, context, device, of_session=objects.any_object) as fill,
    ):
        return execute(ready, context, expanded(output), fill).frame


def _listed(things: Any, name: str) -> list[Any]:
    """Several parts, where one alone is easily given without its brackets."""
    if isinstance(things, str | type) or not isinstance(things, Iterable):
        return [things]
    if isinstance(things, Mapping):
        raise UserError(f"{name} is a {type(things).__name__}; give a list.")
    return list(things)


def execute(suite: AnySuite, context: Context, output: Path, fill: Fill | None = None) -> Result:
    """Run a suite into ``output/<suite>``: each entry as it is made, then the files beside them, then tables.

    A detector or method that fails on its own becomes an entry with the reason; a mistake in the suite ends the run.
    ``fill``, where given, has the store filled by others before the first entry is made.
    """
    folder = output / suite.name
    runs = [(track, track.run(suite, context)) for track in tracks_of(suite)]
    for _, running in runs:
        running.check()
    context.store.suite = suite.name
    context.report.overall(lambda: _weights([running for _, running in runs]))
    with one_run_at_a_time(folder):
        parts = []
        for _, running in runs:
            _announce(running)
        if fill is not None:
            fill(suite, [running for _, running in runs])
        for track, running in runs:
            entries = _made(running, folder, context)
            _settle(track, suite, folder, entries, context)
            parts.append(Part(track, entries, running.failures))
    return Result(parts, folder, context.store.computed, context.store.reused)


def _weights(runs: Sequence[Running]) -> list[float]:
    """About how many seconds each step takes; what is drawn to find out leaves the random numbers of the run alone."""
    with seeded(0):
        return [seconds for running in runs for seconds in running.steps()]


def _announce(running: Running) -> None:
    """Say whether the third-party detectors of a suite keep their contract, before anything is attacked."""
    from .detection.run import Run

    if isinstance(running, Run) and not all(registry.detectors.is_ours(part.name) for part in running.suite.detectors):
        from .plugin.kept import announce  # with what only checks need

        announce(running.scoring)


def _made(running: Running, folder: Path, context: Context) -> list[Entry]:
    """Every entry as it is made, and the files beside them."""
    entries: list[Entry] = []
    try:
        for entry, scores in running.made():
            entries.append(entry.made_by(context.store.used.taken()).write(folder, scores))
    except NotStored as missing:
        store = context.store
        raise UserError(
            f"The store {store.root} lacks {missing} of this suite, and --when {store.when} computes nothing; "
            "run once with --when missing."
        ) from None
    running.finish(folder)
    return entries


def _settle(track: Track, suite: AnySuite, folder: Path, entries: list[Entry], context: Context) -> None:
    """Write the suite and the tables, once it is settled what stays of an earlier run into the same folder."""
    stated = track.form.model_validate(without_folders(suite.model_dump(mode="json")))
    earlier = suite_beside(track.form, folder)
    added = [] if isinstance(earlier, str) else stated.added_by(earlier)
    kept, removed = clear_earlier(track.entry, folder, entries, added)
    if kept:
        context.report.warn(
            f"Of an earlier run, {', '.join(kept)} {'stays' if len(kept) == 1 else 'stay'} in {folder}; to leave "
            f"{'it' if len(kept) == 1 else 'them'} out, delete {'this file' if len(kept) == 1 else 'these files'} and "
            "run again."
        )
    if removed:
        context.report.warn(
            f"Of an earlier form of the suite, {', '.join(removed)} {'was' if len(removed) == 1 else 'were'} removed "
            f"from {folder}."
        )
    names = [name for name in added if any(Path(file).stem == name for file in kept)]
    write_json(folder / "suite.json", stated.with_added(names).model_dump(mode="json"))
    written = {plain(path).name for path in write_tables(folder, track.tables.report(folder))}
    clear_stale(folder, track.tables.FILES, written)
