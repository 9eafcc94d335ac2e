"""Arrays of a data set, from a file or from a factory, checked before anything is computed from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.errors import UserError
from .dataset import Dataset, Split


def check_dataset(title: str, dataset: Any) -> Dataset:
    """What a factory returned, if it is a data set whose arrays are as everything else expects them."""
    if not isinstance(dataset, Dataset):
        raise UserError(f"{title} is a {type(dataset).__name__}; its factory must return a Dataset.")
    for key, split in (("train", dataset.train), ("test", dataset.test)):
        check_split(title, key, split.images, split.labels)
    check_sizes(title, dataset.train, dataset.test)
    return dataset


def check_sizes(title: str, train: Split, test: Split) -> None:
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(
            f"{title}: train_images {train.images.shape[1:]} and test_images {test.images.shape[1:]} differ in size; "
            "resize one of them."
        )


def check_split(title: str, key: str, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
    """UserError unless images are uint8 NHWC of one or three channels, and labels an integer for each of them."""
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise UserError(f"{title}: {key}_images holds NaN or infinite values; store uint8 pixels in 0..255.")
    if images.dtype != np.uint8:
        low, high = (images.min(), images.max()) if images.size and images.dtype.kind in "biufc" else (0, 0)
        raise UserError(
            f"{title}: {key}_images is {images.dtype} with values in [{low:g}, {high:g}]; "
            "store uint8 pixels in 0..255 (multiply images in [0, 1] by 255 and round)."
        )
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UserError(f"{title}: {key}_images has shape {images.shape}; it must be (N, height, width, 1 or 3).")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise UserError(
            f"{title}: {key}_labels is {labels.dtype} of shape {labels.shape}; it must hold one integer for "
            f"each of the {len(images)} images."
        )
    if len(labels) == 0 or labels.min() < 0:
        raise UserError(f"{title}: {key}_labels must be 0 or greater and not empty.")
