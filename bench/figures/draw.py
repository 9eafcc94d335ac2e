"""Figures drawn from a results folder and nothing else: ROC curves, score histograms, maps, sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..adaptive.entry import read_entries as read_adaptive
from ..analysis.arrays import FEATURES, GATES, PLAIN_FEATURES
from ..core.errors import UserError
from ..detection.entry import Entry, read_entries
from ..localisation.maps import MAPS
from ..tracks import TRACKS
from .curves import curves_figure, entry_curves
from .features import NoUmap, figure2
from .heatmaps import figure4, nets_pictured
from .roc import entry_figure
from .rocs import roc_figure
from .sensitivity import sensitivity_figure
from .style import DRAWN, FORMATS, save, style
from .subnets import figure3

Drawn = Iterator[tuple[str, Any]]

SENSITIVITY = Path("sensitivity.json")


def _protocols(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries by protocol, proposals before controls."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: bool(entry.detector.control)):
        groups.setdefault(entry.protocol_name, []).append(entry)
    return groups


def _roc(folder: Path) -> Drawn:
    for protocol, entries in _protocols(read_entries(folder)).items():
        yield f"roc-{protocol}", roc_figure(folder, entries)


def _histograms(folder: Path) -> Drawn:
    for protocol, entries in _protocols(read_entries(folder)).items():
        for entry in entries:
            yield f"{protocol}/{entry.label}", entry_figure(folder, entry)


def _adaptive(folder: Path) -> Drawn:
    entries = [entry for entry in read_adaptive(folder) if entry.cells]
    if entries:
        yield "adaptive", curves_figure(sorted(entries, key=lambda entry: entry.detector.control))
    for entry in entries:
        yield f"adaptive/{entry.label}", entry_curves(entry)


def _features(folder: Path) -> Drawn:
    yield "figure2", figure2(folder, folder / "figures")


def _heatmaps(folder: Path) -> Drawn:
    for net in nets_pictured(folder):
        yield f"figure4-{net}", figure4(folder, net)


@dataclass(frozen=True)
class Figure:
    """A figure: its source in a results folder, and a function that yields each picture with its file's stem."""

    source: Path
    draw: Callable[[Path], Drawn]
    photographs: bool = False
    earlier: Path | None = None  # the source's name in results of earlier versions

    def is_in(self, folder: Path) -> bool:
        return any((folder / source).exists() for source in (self.source, self.earlier) if source is not None)


#: All figures by the names that ``--only`` takes.
FIGURES: Mapping[str, Figure] = {
    "roc": Figure(Path("entries"), _roc),
    "histograms": Figure(Path("entries"), _histograms),
    "adaptive": Figure(Path("adaptive"), _adaptive),
    "figure2": Figure(FEATURES, _features, earlier=PLAIN_FEATURES),
    "figure3": Figure(GATES, lambda folder: iter([("figure3", figure3(folder, folder / "figures"))])),
    "sensitivity": Figure(
        SENSITIVITY, lambda folder: iter([("sensitivity", sensitivity_figure(folder / SENSITIVITY))])
    ),
    "figure4": Figure(MAPS, _heatmaps, photographs=True),
}


def chosen(text: str | None, known: Sequence[str], option: str) -> tuple[str, ...]:
    """The names in a comma-separated option, in the order of ``known``; all of them if the option is not given."""
    if text is None:
        return tuple(known)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UserError(
            f"{option} {unknown[0] if unknown else repr(text)} is unknown; choose among {', '.join(known)}."
        )
    return tuple(name for name in known if name in names)


def write_plots(
    folder: Path, only: str | None = None, formats: str | None = None, note: Callable[[str], None] = lambda text: None
) -> list[Path]:
    """Draw the figures of a results folder, or of a folder that holds several, each into its own ``figures``.

    ``only`` and ``formats`` are comma-separated: names of `FIGURES`, and png, svg or pdf. A figure without data in any
    folder is left out, unless ``only`` names it: then it is a UserError, as are an unknown name and a lack of entries.
    ``note`` is called for each figure left out. Returns the picture files.
    """
    wanted = chosen(only, list(FIGURES), "--only")
    kinds = DRAWN if formats is None else chosen(formats, FORMATS, "--format")
    folders = sorted({place for track in TRACKS.values() for place in track.folders_below(folder)})
    if not folders:
        read_entries(folder)  # raises the error
    written: list[Path] = []
    with style():
        for name in wanted:
            source = FIGURES[name].source
            sources = [root for root in folders if FIGURES[name].is_in(root)]
            if not sources and only is not None:
                raise UserError(
                    f"{folder} has no {source}, which {name} is drawn from; run a suite that writes it, or "
                    "leave this figure out of --only."
                )
            try:
                for root in sources:
                    for stem, figure in FIGURES[name].draw(root):
                        shown = FIGURES[name].photographs
                        written += save(figure, root / "figures" / stem, kinds, photographs=shown)
            except NoUmap as error:
                if only is not None:
                    raise
                note(f"{name} is left out: {error}")
    return written
