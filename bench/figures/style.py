"""Code that all figures share: one style, colours that everybody can tell apart, and reproducible files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.files import write_bytes
from ..core.optional import optional

FORMATS = ("png", "svg")

#: What a reader is told to do for the packages that draw.
INSTALL_PLOTS = "`pip install 'subnetbench[plots]'` installs the packages that figures need"

#: Width of a column and of a page in inches, as in journals.
COLUMN, PAGE = 3.4, 7.0

#: Okabe and Ito's (2008) palette without yellow, which is lost on white: distinct in all common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: Ten colours for ten classes: adds a grey, a wine and an olive that differ from the others in lightness.
TEN = (*COLOURS, "#999999", "#882255", "#999933")
CLEAN, ADVERSARIAL = COLOURS[0], COLOURS[1]

_STYLE = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
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


def save(figure: Any, stem: Path, formats: Sequence[str], *, photographs: bool = False) -> list[Path]:
    """Write ``<stem>.<format>`` for each format, without date or version, so that a redraw changes no byte.

    ``photographs``: of few pixels each, which more dots and more than 256 colours only make three times as large.
    """
    written = []
    for name in formats:
        buffer = io.BytesIO()
        metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}[name]
        figure.savefig(buffer, format=name, metadata=metadata, **({"dpi": 100} if photographs else {}))
        if photographs and name == "png":
            buffer = _in_256_colours(buffer)
        path = stem.with_name(f"{stem.name}.{name}")
        write_bytes(path, buffer.getvalue())
        written.append(path)
    return written


def _in_256_colours(picture: io.BytesIO) -> io.BytesIO:
    from PIL import Image  # matplotlib writes its pictures with it

    whole, smaller = Image.open(picture).convert("RGB"), io.BytesIO()
    palette = whole.quantize(256, kmeans=2)
    whole.quantize(256, palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(smaller, format="png", optimize=True)
    return smaller
