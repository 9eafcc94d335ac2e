"""Data sets that cannot be right, whatever their source: refused, or with a sentence for the user."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..core.errors import UserError
from ..core.text import counted
from .dataset import Dataset, Split

#: Fewer test images than this are not enough to fit and to evaluate on.
FEW = 20


def checked(dataset: Dataset) -> Dataset:
    """The data set with what looks wrong about it in ``warnings``, and in ``note`` what an entry has to state of it.

    Raises UserError where labels or pixels cannot be what they seem.
    """
    for name, split in (("training", dataset.train), ("test", dataset.test)):
        _check_values(f"The {name} split of {dataset.name}", split, dataset.classes)
    if len(np.unique(dataset.train.labels)) < 2:
        raise UserError(f"The training images of {dataset.name} are all of one class; a classifier needs two or more.")
    shared = _shared(dataset)
    note = "; ".join(filter(None, (dataset.note, shared)))
    sentences = [f"Data set {dataset.name}: {doubt}." for doubt in (shared, *_doubts(dataset)) if doubt]
    return replace(dataset, note=note, warnings=(*dataset.warnings, *sentences))


def _check_values(where: str, split: Split, classes: int) -> None:
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= classes:
        raise UserError(
            f"{where} has labels from {low} to {high} and the data set has {classes} classes; number them from 0."
        )
    if split.images.max() == 1:
        raise UserError(
            f"{where} has no pixel above 1: its images were scaled to [0, 1] before they became uint8; keep 0..255."
        )


def _shared(dataset: Dataset) -> str:
    """How many test images are also training images, in words; "" for none."""
    train = set(_hashes(dataset.train))
    count = sum(image in train for image in _hashes(dataset.test))
    if not count:
        return ""
    return f"{count} of {len(dataset.test)} test images {'is' if count == 1 else 'are'} also among the training images"


def _hashes(split: Split) -> Iterator[bytes]:
    return (hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in split.images)


def _doubts(dataset: Dataset) -> Iterator[str]:
    images = dataset.train.images
    if (images == images[:1]).all():
        yield "all training images are the same"
    if len(dataset.test) < FEW:
        yield f"{counted(len(dataset.test), 'test image')}; fewer than {FEW} are too few to fit and evaluate on"
