"""Checks that all detectors share; each failure is a UserError of one sentence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from ..bench.core.arrays import Ints
from ..bench.core.errors import UserError
from ..bench.views import View

T = TypeVar("T")


def one_of(detector: str, parameter: str, value: str, known: Collection[str]) -> str:
    if value not in known:
        raise UserError(f"{detector}: {parameter} is {value!r}; it must be one of {', '.join(known)}.")
    return value


def fitted(detector: str, state: T | None) -> T:
    if state is None:
        raise UserError(f"{detector} was asked for characteristics before it was fitted; call fit(train) first.")
    return state


def labels_of(detector: str, train: View) -> Ints:
    """The labels ``(N,)`` of the training view, with at least one image of every class."""
    if train.labels is None:
        raise UserError(
            f"{detector} is fitted by true label, but the training view has no labels; give View(labels=...)."
        )
    counts = np.bincount(train.labels, minlength=train.classifier.classes)
    classes = train.classifier.classes
    if len(counts) > classes:
        raise UserError(f"{detector}: a training label is {len(counts) - 1}, but the classifier has {classes} classes.")
    if not counts.all():
        raise UserError(
            f"{detector} needs training images of every class, but there are none of class {int(np.argmin(counts))}; "
            "give more training images."
        )
    return train.labels


def chosen_taps(detector: str, view: View, taps: Sequence[str] | None) -> tuple[str, ...]:
    """``taps``, or all of the classifier's taps if None."""
    known = view.classifier.taps
    if taps is None:
        return known
    for tap in taps:
        if tap not in known:
            raise UserError(f"{detector}: the net has no tap {tap!r}; it has {', '.join(known)}.")
    return tuple(taps)
