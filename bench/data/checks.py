"""Checks of a loaded data set, whatever its source: arrays of the right form, and images that can be what they seem."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import UserError
from .dataset import Dataset, Split

#: Fewer test images than this are not enough to fit and to evaluate on.
FEW = 20


def checked(dataset: Any, title: str) -> Dataset:
    """The data set with what looks wrong about it in ``doubts``, and what belongs to its description in ``note``.

    Raises UserError where it is no data set, or its images cannot be right; ``title`` names it then.
    """
    if not isinstance(dataset, Dataset):
        raise UserError(
            f"The data set {title} gives {type(dataset).__name__} and not a Dataset; let its factory return one of "
            "subnetbench.bench.Dataset."
        )
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        _check_arrays(dataset, name, split)
    if dataset.train.images.shape[1:] != dataset.test.images.shape[1:]:
        raise UserError(
            f"The data set {dataset.name} has training images of shape {dataset.train.images.shape[1:]} and test "
            f"images of shape {dataset.test.images.shape[1:]}; give them one size."
        )
    if len(np.unique(dataset.train.labels)) < 2:
        raise UserError(f"The training images of {dataset.name} are all of one class; a classifier needs two or more.")
    dataset = replace(dataset, train=_plain(dataset.train), test=_plain(dataset.test))
    shared = _shared(dataset)
    note = "; ".join(filter(None, (dataset.note, shared)))
    doubts = (*dataset.doubts, *([f"Data set {dataset.name}: {shared}."] if shared else ()), *_doubts(dataset))
    return replace(dataset, note=note, doubts=doubts)


def _check_arrays(dataset: Dataset, name: str, split: Split) -> None:
    images, labels = np.asarray(split.images), np.asarray(split.labels)
    where = f"The {'training' if name == 'train' else 'test'} split of {dataset.name}"
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        raise UserError(
            f"{where} has images of type {images.dtype} and shape {images.shape}; give uint8 pixels in 0..255 of shape "
            "(N, height, width, channels)."
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise UserError(
            f"{where} has labels of type {labels.dtype} and shape {labels.shape} for {len(images)} images; give one "
            "whole number for each."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= dataset.classes:
        raise UserError(
            f"{where} has labels from {low} to {high} and the data set has {dataset.classes} classes; number them "
            "from 0."
        )
    if images.max() == 1:
        raise UserError(
            f"{where} has no pixel above 1: its images were scaled to [0, 1] before they became uint8; keep 0..255."
        )


def _plain(split: Split) -> Split:
    """The same split in arrays that torch takes: of native byte order, with no step backwards."""
    return Split(
        np.ascontiguousarray(split.images),
        np.ascontiguousarray(split.labels, np.int64),
        np.ascontiguousarray(split.ids, np.int64),
    )


def _shared(dataset: Dataset) -> str:
    """How many test images are also training images, in words; "" for none."""
    train = set(_hashes(dataset.train))
    count = sum(image in train for image in _hashes(dataset.test))
    if not count:
        return ""
    return f"{count} of {len(dataset.test)} test images {'is' if count == 1 else 'are'} also among the training images"


def _hashes(split: Split) -> Iterator[bytes]:
    return (hashlib.blake2b(image.data, digest_size=16).digest() for image in split.images)


def _doubts(dataset: Dataset) -> Iterator[str]:
    images = dataset.train.images
    if (images == images[:1]).all():
        yield f"Data set {dataset.name}: all training images are the same."
    if len(dataset.test) < FEW:
        count = len(dataset.test)
        yield (
            f"Data set {dataset.name}: {count} test image{'' if count == 1 else 's'}; fewer than {FEW} are too few to "
            "fit and evaluate on."
        )
