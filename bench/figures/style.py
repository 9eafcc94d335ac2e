"""Code that all figures share: one style, colours that everybody can tell apart, and reproducible files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.files import write_bytes
from ..core.optional import optional
from .palette import fewer_colours

#: Formats of pictures, and those that are drawn unless others are asked for.
FORMATS = ("png", "svg", "pdf")
DRAWN = ("png", "svg")

#: What a reader is told to do for the packages that draw.
INSTALL_PLOTS = "`pip install 'subnetbench[plots]'` installs the packages that figures need"

#: Width of a column and of a page in inches, as in journals.
COLUMN, PAGE = 3.3, 7.0

#: Okabe and Ito's (2008) palette without yellow, which is lost on white: distinct in all common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Ten colours for ten classes: adds a grey, a wine and an olive that differ from the others in lightness.
TEN = (*COLOURS, "#999999", "#882255", "#999933")
CLEAN, ADVERSARIAL = COLOURS[0], COLOURS[1]

_STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200,
    "svg.hashsalt": "subnetbench",  # otherwise the ids in an SVG are random
    "svg.fonttype": "path",  # looks the same where the font is missing
    "pdf.fonttype": 42,  # TrueType, as journals ask for
}


def _matplotlib() -> Any:
    matplotlib, _ = (optional(name, "matplotlib", INSTALL_PLOTS) for name in ("matplotlib", "matplotlib.figure"))
    return matplotlib


@contextmanager
def style() -> Iterator[None]:
    """Context in which figures are drawn and saved: the house style, whatever the user's own settings are."""
    matplotlib = _matplotlib()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def panels(rows: int, columns: int, width: float, height: float, **more: Any) -> tuple[Any, list[Any]]:
    """A figure of ``width`` x ``height`` inches with a grid of axes, row by row, without pyplot's global state."""
    figure = _matplotlib().figure.Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **more).ravel())


def bare(axes: Any) -> None:
    """Remove the ticks: the axes of a map have no unit."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#bbbbbb")


def outlined(axes: Any, place: tuple[float, float], text: str, colour: str) -> None:
    """Bold text slightly above a place, readable on top of points."""
    from matplotlib import patheffects

    effects = [patheffects.withStroke(linewidth=2, foreground="white")]
    axes.annotate(
        text,
        place,
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        va="center",
        color=colour,
        weight="bold",
        fontsize=7,
        path_effects=effects,
    )


#: What each format would state of time and program.
_WITHOUT: Mapping[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def save(figure: Any, stem: Path, formats: Sequence[str], *, photographs: bool = False) -> list[Path]:
    """Write ``<stem>.<format>`` for each format, without date or version, so that a redraw changes no byte.

    ``photographs``: of few pixels each, which more dots only make larger.
    """
    written = []
    for name in formats:
        buffer = io.BytesIO()
        metadata = _WITHOUT[name]
        figure.savefig(buffer, format=name, metadata=metadata, **({"dpi": 100} if photographs else {}))
        if name == "png":
            buffer = fewer_colours(buffer, photographs=photographs)
        path = stem.with_name(f"{stem.name}.{name}")
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written
