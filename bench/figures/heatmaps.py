"""Figure 4: an image with its box, and the maps of the whole net and of its class's subnet, method by method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Floats
from ..localisation.entry import read_entries
from ..localisation.maps import MAPS, read_maps
from .style import PAGE, bare, panels

_TITLES = {"normal": "whole net", "subnet": "subnet"}


def nets_pictured(folder: Path) -> list[str]:
    """The nets whose maps a folder holds."""
    return list(dict.fromkeys(name.split("/")[0] for name in sorted(read_maps(folder / MAPS)) if "/" in name))


def figure4(folder: Path, net: str) -> Any:
    """One net: two rows per image (whole net, subnet), with the image first, then a column per method.

    Green: the true box; orange, dashed: the tightest box of heat > alpha x mean at that cell's alpha; both are drawn
    inside the border. The colours of a map run from 0 to its own 99.5th percentile.
    """
    from ..localisation.boxes import threshold_boxes

    arrays = read_maps(folder / MAPS)
    entries = [e for e in read_entries(folder) if e.model.label == net and e.metrics]
    alphas = {(e.method.label, e.variant): e.alpha for e in entries}
    methods = [m for m in dict.fromkeys(e.method.label for e in entries) if f"{net}/{m}/normal" in arrays]
    images, boxes = arrays["images"], arrays["boxes"]
    variants = [v for v in ("normal", "subnet") if any(f"{net}/{m}/{v}" in arrays for m in methods)]
    rows, columns = len(variants) * len(images), 1 + len(methods)
    side = PAGE / columns
    figure, axes = panels(rows, columns, PAGE, rows * (side + 0.04) + 0.75)
    for row in range(rows):
        image, variant = row // len(variants), variants[row % len(variants)]
        line = axes[row * columns : (row + 1) * columns]
        for axis in line:
            bare(axis)
        line[0].imshow(images[image], interpolation="nearest")
        _box(line[0], boxes[image], TRUE, side)
        line[0].set_ylabel(_TITLES[variant])
        for axis, method in zip(line[1:], methods, strict=True):
            if f"{net}/{method}/{variant}" not in arrays:
                continue
            heat = arrays[f"{net}/{method}/{variant}"][image].astype(np.float32)
            axis.imshow(heat, cmap="magma", vmin=0, vmax=_top(heat), interpolation="nearest")
            _box(axis, boxes[image], TRUE, side)
            box = threshold_boxes(heat[None], np.array([alphas[method, variant]]))[0, 0]
            _box(axis, box, TIGHTEST, side)
            if row == 0:
                axis.set_title(method, fontsize=6.5)
    about = entries[0]
    figure.suptitle(f"{about.suite.name}, {net}: {len(images)} test images drawn from seed {about.seed}")
    _legend(figure)
    return figure


def _top(heat: Floats) -> float:
    top = float(np.quantile(heat, 0.995))
    return top if top > 0 else 1.0


@dataclass(frozen=True)
class Outline:
    """How a box is drawn; ``inside``: its distance from the border in line widths, so that two can be told apart."""

    text: str
    colour: str
    dashes: Any
    inside: float


TRUE = Outline("true box", "#009E73", "-", 0.5)
TIGHTEST = Outline("tightest box of heat > alpha x mean", "#E69F00", (0, (3, 1.5)), 1.6)

_WIDTH = 1.1  # of a line, in points


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=outline.colour, linestyle=outline.dashes, linewidth=_WIDTH, label=outline.text)
        for outline in (TRUE, TIGHTEST)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=2.8)


def _box(axes: Any, box: Floats, outline: Outline, inches: float) -> None:
    """A box by its edges in pixels, on axes that are ``inches`` wide, moved inside their border where it touches it."""
    from matplotlib.patches import Rectangle

    right_end, bottom_end = axes.get_xlim()[1], axes.get_ylim()[0]
    gap = outline.inside * _WIDTH / 72 / inches * (right_end + 0.5)
    # Pixel numbers are the coordinates of centres: a pixel's left edge lies half a pixel before.
    left, top, right, bottom = (float(side) - 0.5 for side in box)
    left, top = max(left, -0.5 + gap), max(top, -0.5 + gap)
    right, bottom = min(right, right_end - gap), min(bottom, bottom_end - gap)
    axes.add_patch(
        Rectangle(
            (left, top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=outline.colour,
            linestyle=outline.dashes,
            linewidth=_WIDTH,
        )
    )
