"""The tracks by name: a new one is a folder of modules with known names (`harness.track`) and one line here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from .core.errors import UserError
from .core.keywords import named_arguments
from .core.places import SuiteError
from .harness.entry import entry_files, home_of, read_entry
from .harness.extends import read_suite
from .harness.keys import misplaced
from .harness.suite import AnySuite
from .harness.toml import checked_suite
from .harness.track import Track

#: Tables of a suite that only suites of detectors have.
_DETECTION = ("detectors", "attacks", "protocols", "adaptive", "shift")

TRACKS = {
    track.name: track
    for track in (
        Track("detection", _DETECTION, "entries", ("entries", "scores")),
        Track("adaptive", (), home="adaptive", folders=("adaptive",), part="adaptive"),
        Track("shift", (), home="shift", folders=("shift",), part="shift"),
        Track("localisation", ("saliency", "models"), home="localisation", folders=("localisation",)),
    )
}


def load_suite(source: str | Path) -> AnySuite:
    """The built-in suite of this name, or the suite in this file. Raises UserError with file, line and key."""
    tracks_of_tables = {table: track for track in TRACKS.values() for table in track.tables_of_suite}
    read = read_suite(source, {table: track.name for table, track in tracks_of_tables.items()})
    theirs = {table: track for table, track in tracks_of_tables.items() if table in read.content}
    most = Counter(track.name for track in theirs.values()).most_common(1)  # the first of two with as many
    form = TRACKS[most[0][0] if most else "detection"]
    for table, track in theirs.items():
        if track is not form:
            of_form = " and ".join(f"[{name}]" for name in theirs if theirs[name] is form)
            raise UserError(
                f"{read.where((table, 0))}: {table}: only a {track.name} suite has it, and with {of_form} this is a "
                f"{form.name} suite; remove it."
            )
    return checked_suite(form.form, read.content, read.where)


@contextmanager
def located(source: str | Path | AnySuite) -> Iterator[None]:
    """A mistake found in the body at a place of the suite is reported with file and line, where a file has it."""
    try:
        yield
    except SuiteError as error:
        if isinstance(source, AnySuite):
            raise
        read = read_suite(source)
        try:
            where = read.where(error.place)
        except (IndexError, ValueError):  # a part that the command line added is in no file
            where = str(read.path)
        raise UserError(f"{where}: {misplaced(error.place, read.content, str(error))}") from None


@named_arguments
def load_results(folder: str | Path) -> pd.DataFrame:
    """All entries at or below a results folder, of every track, as one frame.

    The detection track gives one row per cell: suite, dataset, model, protocol, detector, control, fit_on, test_on,
    seen, auroc, low, high (in [0, 1]), n, ...; of a part ``[adaptive]`` one row per detector and budget, with
    ``adaptive`` as test_on, and epsilon, robust, accuracy, ... The localisation track gives one row per metric: suite,
    dataset, net, method, variant, alpha, images, metric, value, low, high. Raises UserError if there is no entry or one
    is damaged.
    """
    entries = {track: entry_files(track.entry, Path(folder)) for track in TRACKS.values()}
    if not any(entries.values()):
        raise UserError(f"There are no entries under {folder}; run a suite first, or give its output folder.")
    # One entry at a time is in memory: of a large grid they are together many times as large as the frame.
    frames = [t.tables.frame(read_entry(t.entry, p) for p in paths) for t, paths in entries.items() if paths]
    return pd.concat(frames, ignore_index=True)


def tracks_of(suite: AnySuite) -> list[Track]:
    """The tracks whose entries a run of the suite makes, in order: its own, then what its parts ask for besides."""
    return [track for track in TRACKS.values() if track.is_asked_by(suite)]


def track_of_file(path: Path) -> Track | None:
    """The track whose home folder contains an entry's file, or None."""
    homes = {track.home: track for track in TRACKS.values()}
    home = home_of(path, homes)
    return None if home is None else homes[home.name]
