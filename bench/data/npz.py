"""Data sets read from an ``.npz``: the user's own, and official ones, which are recognised."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import UserError
from ..core.registry import datasets
from .dataset import Dataset, Split


def from_npz(name: str, path: Path, *, classes: int | Sequence[str] | None = None) -> Dataset:
    """A data set from ``train_images, train_labels, test_images, test_labels``: uint8 NHWC and integers.

    A boolean column ``<split>_lossless`` marks images whose pixels are the official ones; the others are left out.
    """
    if not path.is_file():
        raise UserError(
            f"There is no data file {path}; give an .npz with train_images, train_labels, test_images, test_labels."
        )
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
    splits = {}
    for key in ("train", "test"):
        splits[key] = _checked(path, key, columns)
    official = _recognised(columns)
    if official is not None and official != name and name in datasets:
        raise UserError(
            f"{path} holds the images of {official} but was given as {name}: this is another data set; "
            "give the right file with --data-root."
        )
    if splits["train"].images.shape[1:] != splits["test"].images.shape[1:]:
        raise UserError(
            f"{path}: train_images {splits['train'].images.shape[1:]} and test_images "
            f"{splits['test'].images.shape[1:]} differ in size; resize one of them."
        )
    count = int(max(s.labels.max() for s in splits.values())) + 1
    expected = classes or _KNOWN_CLASSES.get(name)
    if expected is not None and count != expected:
        raise UserError(
            f"{path} has labels of {count} classes but {name} has {expected}: this is another data set; "
            "give the right file with --data-root."
        )
    present = np.unique(splits["train"].labels)
    if len(present) != count:
        absent = int(np.flatnonzero(np.r_[present, -1] != np.arange(len(present) + 1))[0])
        raise UserError(
            f"{path}: the labels span {count} classes but class {absent} has no training image; number the "
            "classes from 0 without gaps, each with training images."
        )
    return Dataset(name, splits["train"], splits["test"], count, _NOTES.get(name, ""))


_COLUMNS = ("images", "labels", "lossless")
_KNOWN_CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10, "svhn10k": 10}
_NOTES = {"svhn10k": "SVHN-10k subset: the first 10,000 official test images; a score on it is no SVHN test score"}


#: First digits of the sha256 of the first training image: enough to identify a data set, even a shortened one.
_FIRST = {
    "7cbda40c52a00fdb": "cifar10",
    "000cd43650c147e3": "cifar100",
    "f3253c487aa8b833": "svhn10k",
}
#: Numbers of training and test images that no other data set here has.
_COUNTS = {(73_257, 26_032): "svhn"}


def _recognised(columns: dict[str, npt.NDArray[Any]]) -> str | None:
    """The official data set that these arrays certainly belong to; None if they are in no table."""
    train, test = columns["train_images"], columns["test_images"]
    first = hashlib.sha256(np.ascontiguousarray(train[0]).tobytes()).hexdigest()[:16]
    return _FIRST.get(first) or _COUNTS.get((len(train), len(test)))


def _checked(path: Path, key: str, columns: dict[str, npt.NDArray[Any]]) -> Split:
    for column in (f"{key}_images", f"{key}_labels"):
        if column not in columns:
            raise UserError(
                f"{path} has no array {column!r}; it needs train_images, train_labels, test_images, test_labels."
            )
    images, labels = columns[f"{key}_images"], columns[f"{key}_labels"]
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise UserError(f"{path}: {key}_images holds NaN or infinite values; store uint8 pixels in 0..255.")
    if images.dtype != np.uint8:
        low, high = (images.min(), images.max()) if images.size and images.dtype.kind in "biufc" else (0, 0)
        raise UserError(
            f"{path}: {key}_images is {images.dtype} with values in [{low:g}, {high:g}]; "
            "store uint8 pixels in 0..255 (multiply images in [0, 1] by 255 and round)."
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UserError(f"{path}: {key}_images has shape {images.shape}; it must be (N, height, width, 1 or 3).")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise UserError(
            f"{path}: {key}_labels is {labels.dtype} of shape {labels.shape}; it must hold one integer for "
            f"each of the {len(images)} images."
        )
    if len(labels) == 0 or labels.min() < 0:
        raise UserError(f"{path}: {key}_labels must be 0 or greater and not empty.")
    split = Split(images, labels.astype(np.int64))
    keep = columns.get(f"{key}_lossless")
    if keep is None:
        return split
    if keep.dtype != np.bool_ or keep.shape != labels.shape or not keep.any():
        raise UserError(
            f"{path}: {key}_lossless is {keep.dtype} of shape {keep.shape}, {np.count_nonzero(keep)} true; "
            f"it must hold one boolean for each of the {len(images)} images, some true."
        )
    return split.select(np.flatnonzero(keep))
