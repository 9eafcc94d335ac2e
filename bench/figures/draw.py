"""Figures made of a results folder and of nothing else: ROC curves, score histograms, maps, sensitivity."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..analysis.separation import FEATURES, GATES
from ..core.arrays import UserError
from ..detection.entry import Entry, read_entries
from ..localisation.entry import FOLDER as LOCALISATION
from .features import NoUmap, figure2, figure3
from .heatmaps import MAPS, figure4, nets_pictured
from .roc import entry_figure, roc_figure
from .style import COLOURS, COLUMN, FORMATS, panels, save, style

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
                raise UserError(f"{folder} has no {source}, which {name} is drawn from; run a suite that writes it, or "
                                "leave this figure out of --only.")  # fmt: skip
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


def read_points(path: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """The sensitivity file's head and its points; UserError where it is none."""
    needed = ["l1", "gamma", "position", "active", "attack", "difference", "low", "high"]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        points = pd.DataFrame(content["points"])
        missing = [name for name in needed if name not in points]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read as a sensitivity file ({error}); run its suite again.") from None
    if missing:
        raise UserError(f"The points of {path} lack {missing[0]!r}; run its suite again.")
    return content, points


def sensitivity_figure(path: Path) -> Any:
    """What choices of gate training change: AUROC against the baseline's over the share of active channels.

    A panel an attack; marker: where the gates sit; colour: how L1 is normalised; hollow and grey: random gates.
    """
    head, points = read_points(path)
    attacks = list(dict.fromkeys(points["attack"]))
    columns = min(2, len(attacks))
    rows = -(-len(attacks) // columns)
    figure, axes = panels(rows, columns, COLUMN * columns, 2.3 * rows + 0.75, sharex=True)
    markers = dict(zip(dict.fromkeys(points["position"]), cycle("osD^v<>P"), strict=False))
    colours = dict(zip(dict.fromkeys(points["l1"]), cycle(COLOURS), strict=False))
    for axis, attack in zip(axes, attacks, strict=False):
        axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        for row in points[points["attack"] == attack].to_dict("records"):
            marker = markers[row["position"]]
            if not pd.isna(row.get("random_difference", np.nan)):
                _point(axis, row, "random_", marker, "#999999", hollow=True)
            _point(axis, row, "", marker, colours[row["l1"]], hollow=False)
        axis.set_title(f"seen {attack}")
    for axis in axes[max(0, len(attacks) - columns) : len(attacks)]:
        axis.set_xlabel("active channels (%)")
        axis.tick_params(labelbottom=True)
    for axis in axes[::columns]:
        axis.set_ylabel(f"AUROC minus that of\n{head.get('baseline', 'mahalanobis')} (points)")
    for axis in axes[len(attacks) :]:
        axis.axis("off")
    about = ", ".join(str(head[key]) for key in ("suite", "protocol") if key in head)
    figure.suptitle(f"{about}: {head.get('detector', 'subnet-mahalanobis')}")
    marks = [axes[0].plot([], [], linestyle="", marker=m, color="#333333", markersize=4, label=str(position))[0]
             for position, m in markers.items()]  # fmt: skip
    marks += [axes[0].plot([], [], linestyle="", marker="s", color=c, markersize=4, label=f"L1 {norm}")[0]
              for norm, c in colours.items()]  # fmt: skip
    marks += axes[0].plot([], [], linestyle="", marker="o", color="#999999", markerfacecolor="white", markersize=4,
                          label="random gates (control)")  # fmt: skip
    figure.legend(handles=marks, loc="outside lower center", ncols=4 if columns > 1 else 2, columnspacing=1.2)
    return figure


def _point(axis: Any, row: Mapping[str, Any], prefix: str, marker: str, colour: str, *, hollow: bool) -> None:
    value, low, high = (100 * row[f"{prefix}{name}"] for name in ("difference", "low", "high"))
    axis.errorbar(
        100 * row["active"], value, [[max(0.0, value - low)], [max(0.0, high - value)]], marker=marker, markersize=4,
        color=colour, markerfacecolor="white" if hollow else colour, linestyle="", elinewidth=0.7, capsize=1.5,
        capthick=0.7, zorder=2 if hollow else 3,
    )  # fmt: skip
