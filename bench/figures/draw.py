"""Figures made of a results folder and of nothing else: ROC curves, score histograms, maps, sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..analysis.arrays import FEATURES, GATES
from ..core.errors import UserError
from ..detection.entry import Entry, read_entries
from ..localisation.entry import FOLDER as LOCALISATION
from ..localisation.pictures import MAPS
from .features import NoUmap, figure2
from .heatmaps import figure4, nets_pictured
from .roc import entry_figure, roc_figure
from .sensitivity import sensitivity_figure
from .style import FORMATS, save, style
from .subnets import figure3

FIGURES = ("roc", "histograms", "figure2", "figure3", "sensitivity", "figure4")

#: What a figure is drawn from, beside entries.
_SOURCES = {"figure2": FEATURES, "figure3": GATES, "sensitivity": Path("sensitivity.json"), "figure4": MAPS}


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
    wanted, kinds = chosen(only, FIGURES, "--only"), chosen(formats, FORMATS, "--format")
    places = [path for kind in ("entries", LOCALISATION) for path in folder.rglob(kind) if path.is_dir()]
    folders = sorted({path.parent for path in places})
    if not folders:
        read_entries(folder)  # has the sentence
    written: list[Path] = []
    with style():
        for name in wanted:
            source = _SOURCES.get(name, Path("entries"))
            able = [each for each in folders if (each / source).exists()]
            if not able and only is not None:
                raise UserError(
                    f"{folder} has no {source}, which {name} is drawn from; run a suite that writes it, or "
                    "leave this figure out of --only."
                )
            try:
                for each in able:
                    for stem, figure in _drawn(name, each):
                        written += save(figure, each / "figures" / stem, kinds)
            except NoUmap as missing:
                if only is not None:
                    raise
                note(f"{name} is left out: {missing}")
    return written


def _drawn(name: str, folder: Path) -> Iterator[tuple[str, Any]]:
    """A figure's file names, without their endings, with what is in them."""
    if name == "roc":
        for protocol, own in _protocols(read_entries(folder)).items():
            yield f"roc-{protocol}", roc_figure(folder, own)
    elif name == "histograms":
        for protocol, own in _protocols(read_entries(folder)).items():
            for entry in own:
                yield f"{protocol}/{entry['path'].stem}", entry_figure(folder, entry)
    elif name == "figure4":
        for net in nets_pictured(folder):
            yield f"figure4-{net}", figure4(folder, net)
    elif name == "sensitivity":
        yield name, sensitivity_figure(folder / _SOURCES[name])
    else:
        yield name, {"figure2": figure2, "figure3": figure3}[name](folder, folder / "figures")


def _protocols(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Entries by protocol, proposals before controls."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: bool(entry["detector"]["control"])):
        groups.setdefault(entry["path"].parent.name, []).append(entry)
    return dict(sorted(groups.items()))
