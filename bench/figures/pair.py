"""Two detectors side by side: both ROC curves, in a file or in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Float64
from ..core.errors import UserError
from ..detection.compare import Compared
from ..detection.scores import GRID
from .roc import _roc_axes
from .style import COLOURS, FORMATS, PAGE, panels, save, style

# -- pictures ---------------------------------------------------------------------------------------------------------


def plot_format(file: Path) -> str:
    """The format given by a file's name."""
    kind = file.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise UserError(f"--plot {file} is neither a .png nor a .svg nor a .pdf file; give such a name.")
    return kind


def plot(compared: Sequence[Compared], file: Path) -> Path:
    """Draw both ROC curves of every seen attack, one row per protocol, into ``file``."""
    kind = plot_format(file)
    columns = max(len(pair.attacks) for pair in compared)
    with style():
        size = min(2.4, 2 * PAGE / columns)
        figure, axes = panels(len(compared), columns, max(size * columns, 3.4), (size + 0.45) * len(compared) + 0.5)
        for row, pair in enumerate(compared):
            row_axes = axes[row * columns : (row + 1) * columns]
            for axis, attack in zip(row_axes, pair.attacks, strict=False):
                draw_pair(axis, pair.labels, pair.curves(attack), f"{pair.protocol}, seen {attack}")
            for spare in row_axes[len(pair.attacks) :]:
                spare.axis("off")
        handles, names = axes[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside lower center", ncols=2)
        head = compared[0].entries[0]
        figure.suptitle(f"{head.suite.name}: {head.dataset.name}, {head.model.name}")
        return save(figure, file.with_suffix(""), [kind])[0]


def terminal_picture(compared: Compared, *, width: int = 64, height: int = 14) -> str:
    """Both ROC curves on the attack where the two differ most, in characters that every terminal has.

    The false-positive rate has a root scale, as in figures: detectors differ near 0.
    """
    import plotille

    attack = compared.furthest
    figure = plotille.Figure()
    figure.width, figure.height, figure.with_colors = width, height, False
    figure.set_x_limits(0, 1)
    figure.set_y_limits(0, 1)
    figure.x_label, figure.y_label = "FPR (root)", "TPR"
    figure.x_ticks_fkt = lambda low, high: f"{low * low:.2f}"
    figure.y_ticks_fkt = lambda low, high: f"{low:.2f}"
    for label, curve, marker in zip(compared.labels, compared.curves(attack), (None, "+"), strict=True):
        if curve is not None:
            value = compared.values(compared.labels.index(label)).get((attack, attack))
            text = label if value is None else f"{label} {100 * value:.1f}"
            _line(figure, np.sqrt(GRID), curve, text, marker)
    drawn = "\n".join(line.rstrip("\u2800 ") for line in figure.show(legend=True).splitlines())
    return f"\nROC on {attack} (seen), where they differ most, protocol {compared.protocol}\n{drawn}"


def _line(figure: Any, x: Float64, y: Float64, label: str, marker: str | None) -> None:
    """A curve; the second of two is drawn with a marker, since colour alone is not enough and a pipe has none."""
    if marker is None:
        figure.plot(x.tolist(), y.tolist(), label=label)
    else:
        figure.scatter(x[::8].tolist(), y[::8].tolist(), label=label, marker=marker)


def draw_pair(axis: Any, labels: tuple[str, str], curves: tuple[Float64 | None, Float64 | None], title: str) -> None:
    """The ROC curves of two detectors; one that was not run has no curve."""
    for label, curve, colour, dash in zip(labels, curves, COLOURS, ("-", (0, (4, 1.5))), strict=False):
        if curve is not None:
            axis.plot(GRID, curve, label=label, color=colour, linestyle=dash)
    _roc_axes(axis, title)
