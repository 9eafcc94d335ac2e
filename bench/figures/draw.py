"""Figures made of a results folder and of nothing else: ROC curves, score histograms, maps, sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..analysis.arrays import FEATURES, GATES
from ..core.errors import UserError
from ..detection.entry import Entry, read_entries
from ..localisation.maps import MAPS
from ..tracks import TRACKS
from .features import NoUmap, figure2
from .heatmaps import figure4, nets_pictured
from .roc import entry_figure, roc_figure
from .sensitivity import sensitivity_figure
from .style import FORMATS, save, style
from .subnets import figure3

Drawn = Iterator[tuple[str, Any]]

SENSITIVITY = Path("sensitivity.json")


def _protocols(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries by protocol, proposals before controls."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: bool(entry.detector.control)):
        groups.setdefault(entry.protocol_name, []).append(entry)
    return dict(sorted(groups.items()))


def _roc(folder: Path) -> Drawn:
    for protocol, entries in _protocols(read_entries(folder)).items():
        yield f"roc-{protocol}", roc_figure(folder, entries)


def _histograms(folder: Path) -> Drawn:
    for protocol, entries in _protocols(read_entries(folder)).items():
        for entry in entries:
            yield f"{protocol}/{entry.label}", entry_figure(folder, entry)


def _heatmaps(folder: Path) -> Drawn:
    for net in nets_pictured(folder):
        yield f"figure4-{net}", figure4(folder, net)


@dataclass(frozen=True)
class Figure:
    """The place in a results folder that a figure is drawn from, and how; each picture comes with its file's stem."""

    source: Path
    draw: Callable[[Path], Drawn]


#: All figures by the names that ``--only`` takes.
FIGURES: Mapping[str, Figure] = {
    "roc": Figure(Path("entries"), _roc),
    "histograms": Figure(Path("entries"), _histograms),
    "figure2": Figure(FEATURES, lambda folder: iter([("figure2", figure2(folder, folder / "figures"))])),
    "figure3": Figure(GATES, lambda folder: iter([("figure3", figure3(folder, folder / "figures"))])),
    "sensitivity": Figure(
        SENSITIVITY, lambda folder: iter([("sensitivity", sensitivity_figure(folder / SENSITIVITY))])
    ),
    "figure4": Figure(MAPS, _heatmaps),
}


def chosen(text: str | None, known: Sequence[str], option: str) -> tuple[str, ...]:
    """The names in a comma-separated option, in the order of ``known``; all where it was not given."""
    if text is None:
        return tuple(known)
    given = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        raise UserError(
            f"{option} {unknown[0] if unknown else repr(text)} is unknown; choose among {', '.join(known)}."
        )
    return tuple(name for name in known if name in given)


def write_plots(
    folder: Path, only: str | None = None, formats: str | None = None, note: Callable[[str], None] = lambda text: None
) -> list[Path]:
    """Draw the figures of a results folder, or of one that holds several, each into its own ``figures``.

    ``only`` and ``formats`` are comma-separated names of `FIGURES` and of png, svg. A figure whose data no folder
    has is left out, unless ``only`` names it: then it is a UserError, as are an unknown name and no entries.
    ``note`` hears what is left out. Returns the files that hold pictures.
    """
    wanted, kinds = chosen(only, list(FIGURES), "--only"), chosen(formats, FORMATS, "--format")
    folders = sorted({place for track in TRACKS.values() for place in track.folders_below(folder)})
    if not folders:
        read_entries(folder)  # has the sentence
    written: list[Path] = []
    with style():
        for name in wanted:
            source = FIGURES[name].source
            able = [each for each in folders if (each / source).exists()]
            if not able and only is not None:
                raise UserError(
                    f"{folder} has no {source}, which {name} is drawn from; run a suite that writes it, or "
                    "leave this figure out of --only."
                )
            try:
                for each in able:
                    for stem, figure in FIGURES[name].draw(each):
                        written += save(figure, each / "figures" / stem, kinds)
            except NoUmap as missing:
                if only is not None:
                    raise
                note(f"{name} is left out: {missing}")
    return written
