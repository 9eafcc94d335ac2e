"""The images with boxes of a localisation suite, for tests and for the choice of alpha."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..data.annotations import Boxed, SplitName, annotated
from ..data.dataset import Dataset, Split, stratified
from ..data.imagenet import geometry, home
from ..data.load import load
from ..harness.context import Context
from .suite import Suite


class Images:
    """Images with boxes, read once for all nets."""

    def __init__(self, suite: Suite, context: Context) -> None:
        self.suite, self.context = suite, context

    @cached_property
    def root(self) -> Path:
        """The data root. UserError if it is missing: images with boxes are only read from disk."""
        root = self.context.data_root
        if root is None or not root.is_dir():
            where = "was not given" if root is None else f"{root} does not exist"
            raise UserError(
                f"Images with boxes are read from disk and the data root {where}; give their folder with --data-root."
            )
        return root

    @cached_property
    def dataset(self) -> Dataset:
        part = self.suite.dataset
        dataset = load(part.name, self.root, **part.parameters)
        for sentence in dataset.warnings:
            self.context.report.warn(sentence)
        return dataset

    @cached_property
    def test(self) -> Boxed:
        """The test images to evaluate: those with a box, spread evenly over the classes."""
        boxed = self._boxed(self.dataset.test, "test")
        left_out = boxed.annotations.left_out
        for sentence in left_out[:5]:
            self.context.report.warn(f"left out: {sentence}")
        if len(left_out) > 5:
            self.context.report.warn(
                f"left out: {len(left_out) - 5} more test images or lines of {self.suite.boxes.source}"
            )
        return self._limited(boxed, self.suite.limit)

    @cached_property
    def heldout(self) -> Boxed:
        """Training images on which alpha is chosen; if test images are limited, at most half as many."""
        boxed = self._boxed(self.dataset.train, "train")
        count = self.suite.boxes.heldout_per_class * self.dataset.classes
        limit = self.suite.limit
        return self._limited(boxed, count if limit is None else min(count, -(-limit // 2)))

    @property
    def left_out(self) -> dict[str, int]:
        """Images and lines without a usable box."""
        return {"test": len(self.test.annotations.left_out), "train": len(self.heldout.annotations.left_out)}

    def _boxed(self, split: Split, name: SplitName) -> Boxed:
        part, size = self.suite.dataset, self.dataset.shape[1]
        root = home(part.name, self.root)
        resize = geometry(part.name, part.parameters, size)
        annotations = annotated(
            root, self.suite.boxes.source, name, size, resize, part.parameters.get("classes"), split.ids
        )
        boxed = Boxed.of(split, annotations)
        if not len(boxed.split):
            reason = annotations.left_out[0] if annotations.left_out else "the boxes name none of its images"
            raise UserError(
                f"No {name} image of {root} has a usable box ({reason}); correct {self.suite.boxes.source}."
            )
        return boxed

    def _limited(self, boxed: Boxed, limit: int | None) -> Boxed:
        kept = stratified(boxed.split, limit, self.suite.seed)
        return boxed.select(np.flatnonzero(np.isin(boxed.split.ids, kept.ids)))
