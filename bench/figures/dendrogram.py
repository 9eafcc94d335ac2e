"""Figure 3 of many classes: distances between their subnets as a heat map, in the order of a tree drawn beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..analysis.semantics import class_tree
from .style import PAGE, panels

#: Shades of the heat map: with those of type, fewer than the 256 colours of a PNG.
_SHADES = 64

#: Inches of a row, and points of its name: more would not fit on a page with 100 classes.
_ROW, _TYPE = 0.064, 4.6


def tree_figure(folder: Path, frame: pd.DataFrame, dataset: str) -> Any:
    """Every pair of classes by the cosine distance of their gates, the tree of average linkage to the left, names and
    superclasses to the right; lines divide the clusters of ``frame``, which `class_map` gives."""
    from matplotlib import colormaps
    from scipy.cluster.hierarchy import dendrogram

    distance, linked = class_tree(folder)
    count = len(distance)
    figure, (tree, heat) = panels(1, 2, PAGE, _ROW * count + 0.9, width_ratios=(1, 4.2))
    drawn = dendrogram(linked, orientation="left", no_plot=True)
    order = np.array(drawn["leaves"])
    for heights, places in zip(drawn["dcoord"], drawn["icoord"], strict=True):
        # scipy draws the k-th leaf at 5 + 10 k.
        tree.plot(heights, [(place - 5) / 10 for place in places], color="#555555", linewidth=0.5)
    tree.set(xlim=(1.02 * float(linked[:, 2].max()), 0), ylim=(count - 0.5, -0.5), yticks=[])
    tree.set_xlabel("mean distance", fontsize=7)
    tree.spines[:].set_visible(False)
    tree.spines["bottom"].set_visible(True)

    off = distance[~np.eye(count, dtype=bool)]
    shown = distance[np.ix_(order, order)]
    colours = colormaps["magma"].resampled(_SHADES)
    picture = heat.imshow(shown, cmap=colours, vmin=float(off.min()), vmax=float(off.max()), interpolation="nearest")
    heat.set_aspect("auto")
    _name(heat, frame.iloc[order])
    _divide(heat, frame["cluster"].to_numpy()[order])
    bar = figure.colorbar(picture, ax=heat, location="bottom", fraction=0.03, pad=0.01, aspect=40)
    bar.set_label("cosine distance of gates (the diagonal, 0, is as dark as the least)", fontsize=7)
    bar.outline.set_visible(False)
    figure.suptitle(f"{dataset}: subnets of {count} classes, in {frame['cluster'].nunique()} clusters")
    return figure


def _name(axes: Any, ordered: pd.DataFrame) -> None:
    """The class of every row, with its superclass where one is known."""
    pairs = zip(ordered["name"].tolist(), ordered["superclass"].tolist(), strict=True)
    names = [f"{name} ({superclass})" if superclass else str(name) for name, superclass in pairs]
    axes.yaxis.tick_right()
    axes.set_yticks(range(len(names)), names, fontsize=_TYPE)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, pad=1.5)
    axes.spines[:].set_visible(False)


def _divide(axes: Any, clusters: Any) -> None:
    for place in np.flatnonzero(np.diff(clusters)):
        axes.axhline(place + 0.5, color="white", linewidth=0.5)
        axes.axvline(place + 0.5, color="white", linewidth=0.5)
