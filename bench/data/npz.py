"""Data sets read from an ``.npz``: the user's own, and official ones, which are recognised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import UserError
from ..core.registry import datasets
from .arrays import check_sizes, check_split
from .dataset import Dataset, Split
from .official import is_official, recognised


def from_npz(name: str, path: Path, *, classes: int | Sequence[str] | None = None) -> Dataset:
    """A data set from ``train_images, train_labels, test_images, test_labels``: uint8 NHWC and integers.

    A boolean column ``<split>_lossless`` marks images whose pixels are the official ones; the others are left out.
    """
    if not path.is_file():
        raise no_file(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            columns = {key: archive[key] for key in archive.files if key.split("_")[-1] in _COLUMNS}
    except Exception as error:  # zipfile, zlib and numpy each raise several types of their own for a damaged file
        raise UserError(
            f"{path} cannot be read as an .npz of plain arrays ({error}); write it with numpy.savez."
        ) from None
    if classes is not None and not isinstance(classes, int):
        raise UserError(
            f"{path} is an .npz, whose classes have numbers but no names; classes are chosen by name from "
            "image folders (the data sets 'imagenet' and 'folder')."
        )
    train, test = (_checked(path, key, columns) for key in ("train", "test"))
    official = recognised(columns)
    if official is not None and official != name and name in datasets:
        raise UserError(
            f"{path} holds the images of {official} but was given as {name}: this is another data set; "
            "give the right file with --data-root."
        )
    check_sizes(str(path), train, test)
    count = _class_count(path, name, train, test, classes or _KNOWN_CLASSES.get(name))
    if name in datasets and datasets.is_ours(name) and not is_official(name, columns):
        raise UserError(
            f"{path} is not the official {name}, whose name its results would carry; give the file a name of its own "
            f'and name it in a suite: [dataset] name = "my-{name}.npz".'
        )
    return Dataset(name, train, test, count, _NOTES.get(name, ""))


def _class_count(path: Path, name: str, train: Split, test: Split, expected: int | None) -> int:
    count = int(max(split.labels.max() for split in (train, test))) + 1
    if expected is not None and count != expected:
        raise UserError(
            f"{path} has labels of {count} classes but {name} has {expected}: this is another data set; "
            "give the right file with --data-root."
        )
    present = np.unique(train.labels)
    if len(present) != count:
        absent = int(np.flatnonzero(np.r_[present, -1] != np.arange(len(present) + 1))[0])
        raise UserError(
            f"{path}: the labels span {count} classes but class {absent} has no training image; number the "
            "classes from 0 without gaps, each with training images."
        )
    return count


def no_file(path: Path) -> UserError:
    return UserError(
        f"There is no data file {path}; give an .npz with train_images, train_labels, test_images, test_labels."
    )


_COLUMNS = ("images", "labels", "lossless")
_KNOWN_CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10, "svhn10k": 10}
_NOTES = {"svhn10k": "SVHN-10k subset: the first 10,000 official test images; a score on it is no SVHN test score"}


def _checked(path: Path, key: str, columns: dict[str, npt.NDArray[Any]]) -> Split:
    for column in (f"{key}_images", f"{key}_labels"):
        if column not in columns:
            raise UserError(
                f"{path} has no array {column!r}; it needs train_images, train_labels, test_images, test_labels."
            )
    images, labels = columns[f"{key}_images"], columns[f"{key}_labels"]
    check_split(str(path), key, images, labels)
    split = Split(images, labels)
    keep = columns.get(f"{key}_lossless")
    if keep is None:
        return split
    if keep.dtype != np.bool_ or keep.shape != labels.shape or not keep.any():
        raise UserError(
            f"{path}: {key}_lossless is {keep.dtype} of shape {keep.shape}, {np.count_nonzero(keep)} true; "
            f"it must hold one boolean for each of the {len(images)} images, some true."
        )
    return split.select(np.flatnonzero(keep))
