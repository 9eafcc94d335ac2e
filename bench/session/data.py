"""A data set that is handed over: a `Dataset`, or the four arrays of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import UserError
from ..data.arrays import check_dataset
from ..data.dataset import Dataset, Split

#: The arrays of a data set, in the order of a tuple.
COLUMNS = ("train_images", "train_labels", "test_images", "test_labels")

#: Values in [0, 1] that are further than this from a multiple of 1/255 were no pixels of eight bits.
ROUNDING = 1e-5


def dataset_of(thing: Any) -> Dataset:
    """The data set that is handed over, its arrays checked as those of a file are.

    Images are uint8 ``(N, H, W, C)``, or float in [0, 1] ``(N, C, H, W)``, which are rounded to eight bits; labels are
    integers from 0, each class with training images. Raises UserError, one sentence, for anything else.
    """
    if isinstance(thing, Dataset):
        return _whole(check_dataset(f"The data set {thing.name!r}", thing))
    columns = _columns(thing)
    (train, rounded), (test, other) = (_split(columns, key) for key in ("train", "test"))
    note = "pixels were rounded to eight bits" if rounded or other else ""
    unnumbered = Dataset("my-data", train, test, 0, note)
    check_dataset("dataset", unnumbered)  # before the labels are counted
    return _whole(replace(unnumbered, classes=int(max(train.labels.max(), test.labels.max())) + 1))


class Given:
    """The factory of a data set that is handed over."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __call__(self, *, root: Path | None = None) -> Dataset:
        return replace(self._dataset)


def _columns(thing: Any) -> dict[str, Any]:
    if isinstance(thing, Mapping):
        lacking = [name for name in COLUMNS if name not in thing]
        if lacking:
            raise UserError(f"dataset has no {lacking[0]!r}; it needs {', '.join(COLUMNS)}.")
        return dict(thing)
    if isinstance(thing, tuple | list) and len(thing) == len(COLUMNS):
        return dict(zip(COLUMNS, thing, strict=True))
    count = f" and length {len(thing)}" if isinstance(thing, tuple | list) else ""
    raise UserError(
        f"dataset is of type {type(thing).__name__}{count}; give a registered name, a Dataset, or the arrays "
        f"({', '.join(COLUMNS)})."
    )


def _split(columns: Mapping[str, Any], key: str) -> tuple[Split, bool]:
    """A split, and whether its images were rounded."""
    images, rounded = _images(columns[f"{key}_images"], f"{key}_images")
    return Split(images, _array(columns[f"{key}_labels"], f"{key}_labels")), rounded


def _array(value: Any, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except Exception as error:  # numpy raises several types for ragged lists and foreign objects
        raise UserError(f"dataset: {name} is no array ({type(error).__name__}); give a numpy array.") from None


def _images(value: Any, name: str) -> tuple[npt.NDArray[Any], bool]:
    """Images as a file would hold them, and whether anything was lost: float ``(N, C, H, W)`` becomes uint8 NHWC."""
    images = _array(value, name)
    if images.dtype.kind != "f":
        return images, False
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UserError(
            f"dataset: {name} is {images.dtype} of shape {images.shape}; images in [0, 1] are (N, 1 or 3, height, "
            "width), images of uint8 (N, height, width, 1 or 3)."
        )
    if not np.isfinite(images).all():
        raise UserError(f"dataset: {name} holds NaN or infinite values; give images in [0, 1].")
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    if low < 0 or high > 1:
        raise UserError(
            f"dataset: {name} has values in [{low:g}, {high:g}]; give images in [0, 1] and let the net normalise them "
            "(Classifier has mean and std), or uint8 pixels."
        )
    scaled = images.astype(np.float64) * 255
    pixels = np.round(scaled)
    lossy = bool((np.abs(scaled - pixels) > 255 * ROUNDING).any())
    return np.ascontiguousarray(pixels.astype(np.uint8).transpose(0, 2, 3, 1)), lossy


def _whole(dataset: Dataset) -> Dataset:
    """The data set if each of its classes has training images."""
    present = np.unique(dataset.train.labels)
    absent = np.setdiff1d(np.arange(dataset.classes), present)
    if len(absent):
        raise UserError(
            f"The data set {dataset.name!r} has {dataset.classes} classes and class {absent[0]} has no training image; "
            "number the classes from 0 without gaps, each with training images."
        )
    return dataset
