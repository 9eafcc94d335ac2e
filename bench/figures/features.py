"""Figures 2 and 3 of Wang, Hu and Su: a map of features of true and adversarial images, and one of subnets."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ..analysis.arrays import FEATURES, REPRESENTATIONS, content_hash, features_file, read_features
from ..analysis.class_names import class_names
from ..analysis.semantics import class_map
from ..analysis.separation import measured
from ..core.errors import UserError, reason_of
from ..core.files import csv_text, write_json, write_text
from ..core.optional import optional
from ..core.store import Arrays
from .style import ADVERSARIAL, CLEAN, INSTALL_PLOTS, PAGE, TEN, bare, outlined, panels

#: The representations that figure 2 shows side by side, as in the paper.
SHOWN = ("full", "subnet")

_COLUMNS = ["net", "image", "predicted", "adversarial", "x", "y"]
#: UMAP's own defaults, and a seed.
_UMAP = {"n_neighbors": 15, "min_dist": 0.1, "metric": "euclidean", "random_state": 0}


class NoUmap(UserError):  # noqa: N818 (a fact about the machine, not a fault)
    """umap-learn is missing or does not work: the figure is left out; if it was requested by name, the run ends."""


def figure2(folder: Path, figures: Path) -> Any:
    """Penultimate features of true and adversarial images in the plane, by the full net and by the predicted class's
    subnet, with the k-NN two-sample AUROC of `separation` in each title: above coloured by predicted class, below the
    same points by what a detector has to tell apart, true and adversarial."""
    arrays, metadata = read_features(folder)
    points = embedding(folder, arrays, figures)
    names = class_names(metadata["dataset"])
    separations = measured(arrays)
    figure, axes = panels(2, len(SHOWN), PAGE, 2 * 2.7 + 0.75)
    for axis, below, net in zip(axes[: len(SHOWN)], axes[len(SHOWN) :], SHOWN, strict=True):
        rows = points[points["net"] == net]
        _scatter(axis, rows, names)
        _scatter_versions(below, rows)
        low, high = separations[net].bounds
        axis.set_title(
            f"{REPRESENTATIONS[net]}\nk-NN AUROC {100 * separations[net].value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        )
    gap = separations["subnet"].minus(separations["full"])
    low, high = gap.bounds
    attack = f", {metadata['attack']}" if "attack" in metadata else ""
    figure.suptitle(
        f"{metadata['dataset']}{attack}: {len(points) // (2 * len(SHOWN))} images; subnet minus full net "
        f"{100 * gap.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points"
    )
    handles = [
        axes[0].scatter([], [], c="#555555", **_MARKS[flag], label=text)
        for flag, text in enumerate(("true image", "adversarial image"))
    ]
    colours = "predicted class" if points["predicted"].max() < len(TEN) else "predicted class, colours repeat"
    handles += [
        axes[0].scatter([], [], c=colour, marker="o", s=9, linewidths=0, label=f"{text}, below")
        for text, colour in (("true", CLEAN), ("adversarial", ADVERSARIAL))
    ]
    title = f"UMAP; colour above: {colours}; below: true or adversarial"
    figure.legend(handles=handles, loc="outside lower center", ncols=4, title=title, title_fontsize=7)
    return figure


_MARKS: tuple[dict[str, Any], dict[str, Any]] = (
    {"marker": "o", "s": 7, "linewidths": 0},
    {"marker": "x", "s": 9, "linewidths": 0.7},
)


def _scatter(axis: Any, points: pd.DataFrame, names: tuple[str, ...] | None) -> None:
    classes = sorted(points["predicted"].unique())
    for flag, marks in enumerate(_MARKS):
        rows = points[points["adversarial"] == flag]
        colours = [TEN[label % len(TEN)] for label in rows["predicted"]]
        axis.scatter(rows["x"], rows["y"], c=colours, alpha=0.75, **marks)
    if len(classes) <= len(TEN):
        for label in classes:
            rows = points[(points["predicted"] == label) & (points["adversarial"] == 0)]
            if len(rows):
                name = names[label] if names is not None and label < len(names) else str(label)
                outlined(axis, (rows["x"].median(), rows["y"].median()), name, TEN[label])
    bare(axis)


def _scatter_versions(axis: Any, points: pd.DataFrame) -> None:
    """Points in a random order: of two that share a place, neither kind always lies on top."""
    mixed = points.sample(frac=1, random_state=0)
    colours = [ADVERSARIAL if flag else CLEAN for flag in mixed["adversarial"]]
    axis.scatter(mixed["x"], mixed["y"], c=colours, s=7, linewidths=0, alpha=0.6)
    bare(axis)


def embedding(folder: Path, arrays: Arrays, figures: Path) -> pd.DataFrame:
    """UMAP coordinates of every row for each of `SHOWN`, kept in ``figure2.csv``.

    UMAP's result differs between machines and versions, so a CSV made from the same features (their sha256 is in
    ``figure2.json``) is read, not made again. Raises `NoUmap` if it must be made and cannot be.
    """
    table, card = figures / "figure2.csv", figures / "figure2.json"
    digest = _digest(folder)
    kept = _kept(table, card, digest, len(SHOWN) * len(arrays["image"]))
    if kept is not None:
        return kept
    reduce = _umap()
    frames = []
    for net in SHOWN:
        points = reduce(np.asarray(arrays[net], np.float32))
        columns = {name: arrays[name] for name in ("image", "predicted", "adversarial")}
        frames.append(pd.DataFrame({"net": net, **columns, "x": points[:, 0], "y": points[:, 1]}))
    text = csv_text(pd.concat(frames)[_COLUMNS], "%.4f")
    write_text(table, text)
    facts = {"features_sha256": digest, "csv_sha256": hashlib.sha256(text.encode()).hexdigest()}
    write_json(card, facts | {"umap-learn": version("umap-learn"), "parameters": _UMAP})
    return pd.read_csv(table)  # rounded, as a redraw would read it


def check_data(folder: Path) -> list[Path]:
    """The data behind figures 2 and 3 of a results folder, checked against their sources.

    Raises UserError if a kept ``figure2.csv`` belongs to other features (a UMAP cannot be reproduced exactly), or if
    ``figure3.csv`` differs from the one that the gates give.
    """
    figures = folder / "figures"
    checked = []
    for name in ("figure2", "figure3"):
        path = figures / f"{name}.csv"
        if not path.is_file():
            continue
        if name == "figure2":
            arrays = read_features(folder)[0]
            rows = len(SHOWN) * len(arrays["image"])
            good = _kept(path, figures / "figure2.json", _digest(folder), rows) is not None
        else:
            good = path.read_text(encoding="utf-8") == csv_text(class_map(folder)[0], "%.6f")
        if not good:
            raise UserError(f"{path} is not what its entries give; run `subnetbench plot {folder}` and commit it.")
        checked.append(path)
    return checked


def _digest(folder: Path) -> str:
    return content_hash(features_file(folder) or folder / FEATURES)


def _kept(table: Path, card: Path, digest: str, rows: int) -> pd.DataFrame | None:
    try:
        facts = json.loads(card.read_text(encoding="utf-8"))
        blob = table.read_bytes()
        if facts["features_sha256"] != digest or facts["csv_sha256"] != hashlib.sha256(blob).hexdigest():
            return None
        frame = pd.read_csv(table)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return frame if list(frame.columns) == _COLUMNS and len(frame) == rows else None


def _umap() -> Callable[[Any], Any]:
    umap = optional("umap", "umap-learn", INSTALL_PLOTS, NoUmap)
    if not hasattr(umap, "UMAP"):
        raise NoUmap(f"The installed umap is another package than umap-learn; uninstall it: {INSTALL_PLOTS}.")

    def reduce(features: Any) -> Any:
        # numba sets the number of threads for all of OpenMP, torch included, and keeps it: the limit undoes that.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as the one that a seed disables its threads
            try:
                return umap.UMAP(n_jobs=1, **_UMAP).fit_transform(features)
            except Exception as error:  # numba compiles here, and fails where it may keep no file
                raise NoUmap(f"umap-learn does not work here ({reason_of(error, typed=True)}).") from None

    return reduce
