"""Data sets of images by Hugging Face's `datasets`: from the hub by name, or from a folder on this machine.

`pip install 'subnetbench[datasets]'` installs the library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UserError, reason_of
from ..core.optional import optional
from ..core.parameters import seed_of, whole
from ..core.registry import register_dataset
from .dataset import Dataset, Split
from .pictures import Encoded, Reader

INSTALL = "pip install 'subnetbench[datasets]' installs it"

#: What columns of images and of labels are called, where the suite names none.
IMAGES, LABELS = ("image", "img", "images"), ("label", "labels", "fine_label")


@register_dataset("huggingface")
def huggingface(
    *,
    root: Path | None = None,
    repository: str = "",
    config: str | None = None,
    revision: str | None = None,
    train: str = "train",
    test: str = "test",
    image: str | None = None,
    label: str | None = None,
    size: int | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Any data set of images with labels that Hugging Face's `datasets` reads (an extra of the installation).

    ``repository`` is its name on the hub, such as ``"uoft-cs/cifar10"``, of which ``revision`` names one state; without
    it, the folder that --data-root names is read: one that ``save_to_disk`` wrote, or one of parquet or image files.
    ``train`` and ``test`` are splits (``"train[:5000]"``); ``image`` and ``label`` columns (default: the usual names).
    Text labels are numbered in the order of the text. ``size`` is as in ``folder``; without it, images of one size
    keep it. ``*_images`` keeps a random sample drawn from ``seed``. Code that comes with a data set is never run.
    """
    seed_of("huggingface", "seed", seed)
    library = optional("datasets", "Hugging Face's datasets", INSTALL)
    title = repository or (root.name if root is not None else "")
    if not title:
        raise UserError(
            "The data set 'huggingface' needs a name on the hub in dataset.parameters.repository, or a folder given "
            "with --data-root."
        )
    with _quiet(library):
        tables = [_table(library, root, repository, config, revision, split) for split in (train, test)]
    columns = _column(tables[0], image, IMAGES, "image"), _column(tables[0], label, LABELS, "label")
    names = _names(tables, columns[1])
    limits = _limit("train_images", train_images), _limit("test_images", test_images)
    chosen = [_drawn(table, limit, seed) for table, limit in zip(tables, limits, strict=True)]
    pictures = [_pictures(library, table, columns[0], rows) for table, rows in zip(tables, chosen, strict=True)]
    side = size if size is not None else _side([picture for of_split in pictures for picture in of_split], title)
    reader = Reader(side, side)
    labels = [np.array([names[value] for value in table[columns[1]]], np.int64) for table in tables]
    splits = [Split(reader.read(pictures[k]), labels[k][chosen[k]], chosen[k]) for k in (0, 1)]
    reader.refuse_broken()
    return Dataset(title.split("/")[-1], splits[0], splits[1], len(names), warnings=tuple(reader.warnings))


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Without the library's own progress bars, which would lie across those of a run."""
    shown = not library.utils.are_progress_bars_disabled()
    library.utils.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            library.utils.enable_progress_bars()


def _table(
    library: Any, root: Path | None, repository: str, config: str | None, revision: str | None, split: str
) -> Any:
    """One split; a UserError for whatever the library raises, which may be about the network, names or files."""
    try:
        if repository:
            return library.load_dataset(repository, config, split=split, revision=revision)
        assert root is not None  # there is one of them
        if (root / "dataset_dict.json").is_file() or (root / "state.json").is_file():
            saved = library.load_from_disk(str(root))
            if split not in saved:
                raise ValueError(f"its splits are {', '.join(map(str, saved))}")
            return saved[split]
        return library.load_dataset(str(root), config, split=split)
    except Exception as error:
        source = f"the data set {repository!r} of the hub" if repository else f"a data set in {root}"
        advice = (
            "with no network, save it where there is one (`save_to_disk`) and give its folder with --data-root"
            if repository
            else "give a folder that `save_to_disk` wrote, or one of parquet or image files"
        )
        raise UserError(
            f"Hugging Face's datasets cannot read the split {split!r} of {source} ({reason_of(error, typed=True)}); "
            f"{advice}."
        ) from None


def _column(table: Any, name: str | None, usual: tuple[str, ...], what: str) -> str:
    there = list(table.column_names)
    chosen = name if name is not None else next((column for column in usual if column in there), None)
    if chosen not in there:
        raise UserError(
            f"dataset.parameters.{what}: the data set has no column {chosen or ' or '.join(usual)}; name one of "
            f"{', '.join(there)}."
        )
    return str(chosen)


def _names(tables: list[Any], column: str) -> Mapping[Any, int]:
    """The number of every label: its own where labels are numbered already, else its place in the order of the text."""
    feature = tables[0].features[column]
    if getattr(feature, "names", None) is not None:
        return {number: number for number in range(len(feature.names))}
    values = {value for table in tables for value in table[column]}
    if not all(isinstance(value, str) or (isinstance(value, int) and value >= 0) for value in values):
        example = next(value for value in values if not isinstance(value, str | int) or value in (-1, None))
        raise UserError(
            f"dataset.parameters.label: the column {column!r} holds {example!r}; labels are whole numbers from 0, or "
            "texts."
        )
    if all(isinstance(value, int) for value in values):
        return {number: number for number in range(max(values) + 1)}
    return {value: number for number, value in enumerate(sorted(map(str, values)))}


def _limit(name: str, limit: int | None) -> int | None:
    if limit is not None:
        whole("huggingface", name, limit, 1)
    return limit


def _drawn(table: Any, limit: int | None, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    order = np.random.default_rng(seed).permutation(len(table))
    return np.sort(order[:limit]).astype(np.int64)


def _pictures(library: Any, table: Any, column: str, rows: np.ndarray[Any, np.dtype[np.int64]]) -> list[Encoded]:
    """The image files as they lie in the table, not decoded."""
    if not isinstance(table.features[column], library.Image):
        raise UserError(f"dataset.parameters.image: the column {column!r} holds no images; name one of the type Image.")
    files = table.cast_column(column, library.Image(decode=False)).select(rows)[column]
    pictures = []
    for number, file in zip(rows.tolist(), files, strict=True):
        data = file["bytes"] if file["bytes"] is not None else Path(file["path"]).read_bytes()
        pictures.append(Encoded(f"{number} of {column}", data))
    return pictures


def _side(pictures: list[Encoded], title: str) -> int:
    """The side of square images that are all of one size. UserError for others: then a size has to be named."""
    import io

    import PIL.Image

    sizes = set()
    for picture in pictures:
        try:
            with PIL.Image.open(io.BytesIO(picture.data)) as opened:
                sizes.add(opened.size)
        except Exception:  # the reader counts and names it
            continue
    if len(sizes) == 1 and len(set(next(iter(sizes)))) == 1:
        return int(next(iter(sizes))[0])
    example = sorted(sizes)[len(sizes) // 2] if sizes else (0, 0)
    raise UserError(
        f"The images of {title} are not all squares of one size (one is {example[0]} x {example[1]}); name the size "
        "that they are brought to in dataset.parameters.size, such as 64."
    )
