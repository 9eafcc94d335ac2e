"""Data sets as plain arrays with a content hash, and stratified parts of their splits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from ..core.arrays import Bools, Ints

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """Images ``(N, H, W, C)`` uint8 and labels ``(N,)``; ``ids`` are positions in the official order.

    However the arrays lie in memory, they are kept as torch and hashes take them: contiguous, integers as int64.
    """

    images: Bytes
    labels: Ints
    ids: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", np.ascontiguousarray(self.images))
        for name in ("labels", "ids"):
            values = np.asarray(getattr(self, name))
            whole = values.astype(np.int64, copy=False) if values.dtype.kind in "iu" else values
            object.__setattr__(self, name, whole)
        if len(self.ids) != len(self.labels):
            object.__setattr__(self, "ids", np.arange(len(self.labels)))

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Ints | Bools) -> Split:
        return Split(self.images[index], self.labels[index], self.ids[index])

    def tensor(self, index: Ints | slice = slice(None)) -> torch.Tensor:
        """float32 ``(N, C, H, W)`` in [0, 1]."""
        return torch.from_numpy(self.images[index]).permute(0, 3, 1, 2).contiguous().float().div_(255)


@dataclass(frozen=True)
class Dataset:
    """A train and a test split, identified by content, not by name.

    ``note`` is stated in entries; ``warnings`` are sentences on what the reader met in the files, for the user.
    """

    name: str
    train: Split
    test: Split
    classes: int
    note: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, channels = self.train.images.shape[1:]
        return int(channels), int(height), int(width)

    @cached_property
    def content_hash(self) -> str:
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            for array in (split.images, split.labels, split.ids):
                digest.update(str(array.shape).encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def stratified(split: Split, limit: int | None, seed: int) -> Split:
    """At most ``limit`` images, spread over the classes as evenly as their counts allow, in the official order."""
    if limit is None or limit >= len(split):
        return split
    generator = np.random.default_rng((seed, 7))
    order = generator.permutation(len(split))
    rank = np.empty(len(split), np.int64)
    for label in np.unique(split.labels):
        members = order[split.labels[order] == label]
        rank[members] = np.arange(len(members))
    chosen = np.lexsort((split.labels, rank))[:limit]
    return split.select(np.sort(chosen))
