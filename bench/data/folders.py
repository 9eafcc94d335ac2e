"""Image folders, ImageNet's or the user's own, as arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..core.parameters import seed_of
from ..core.registry import register_dataset
from .dataset import Dataset, Split
from .listing import listing, split_folder
from .pictures import Reader


@register_dataset("folder")
def folder(
    *,
    root: Path | None = None,
    size: int = 224,
    resize: int | None = None,
    classes: Sequence[str] | None = None,
    train_per_class: int | None = None,
    test_per_class: int | None = None,
    seed: int = 0,
) -> Dataset:
    """The user's own images: ``root/train/<class>/*`` and ``root/test/<class>/*`` (or ``val``), read as RGB.

    The shorter side becomes ``resize`` (default ``size``) pixels, then the centre ``size`` x ``size`` is cut out.
    Images are turned upright by their EXIF and put on white where they are transparent; of several pages the first
    counts. Hidden files and folders are passed over, linked folders are followed. ``classes`` keeps some class folders;
    labels are positions among the names of those kept, sorted as text ("10" before "2"). ``*_per_class``
    keeps a random sample drawn from ``seed``. All images are held as uint8: 150 kB each at 224 pixels.
    """
    if root is None:
        raise UserError(
            "The data set 'folder' is read from disk; give the folder that holds train/ and test/ with --data-root."
        )
    seed_of("folder", "seed", seed)
    if size < 1 or (resize is not None and resize < size):
        raise UserError(f"size must be 1 or more and resize not below it; they are {size} and {resize}.")
    test = split_folder(root, "test")
    listings = {"train": listing(root / "train", classes), "test": listing(test, classes)}
    names, others = (listings[split].files.keys() for split in ("train", "test"))
    if names != others:
        unshared = sorted(names ^ others)
        raise UserError(
            f"{root}: train/ and {test.name}/ hold different classes ({len(unshared)} are in one only, "
            f"first {unshared[0]!r}); give both the same sub-folders."
        )
    limits = {"train": train_per_class, "test": test_per_class}
    kept = {split: list(_drawn(listed.files, limits[split], seed)) for split, listed in listings.items()}
    _check_memory(root, sum(map(len, kept.values())), size)
    reader = Reader(size, resize or size)
    splits = [_split(kept[split], reader) for split in ("train", "test")]
    reader.refuse_broken()
    warnings = [sentence for listed in listings.values() for sentence in listed.warnings] + reader.warnings
    return Dataset(root.resolve().name, splits[0], splits[1], len(names), warnings=tuple(dict.fromkeys(warnings)))


def _drawn(files: dict[str, list[Path]], limit: int | None, seed: int) -> Iterator[tuple[Path, int, int]]:
    """(path, label, position in the whole sorted list) of at most ``limit`` images per class."""
    if limit is not None and limit < 1:
        raise UserError(f"The number of images per class must be 1 or more, not {limit}.")
    begin = 0
    for label, paths in enumerate(files.values()):
        order = np.random.default_rng((seed, label)).permutation(len(paths))
        for index in sorted(order[:limit].tolist()):
            yield paths[index], label, begin + index
        begin += len(paths)


def _check_memory(root: Path, images: int, size: int) -> None:
    needed = images * size * size * 3
    try:
        held = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not known on this system
        return
    if needed > held:
        raise UserError(
            f"{root}: {images} images of {size} pixels take {needed / 2**30:.0f} GiB and this machine has "
            f"{held / 2**30:.0f}; lower train_per_class, test_per_class or size, or list fewer classes."
        )


def placed(height: int, width: int, resize: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of an image after the reader resizes it, and (top, left) of the centre that it crops.

    Rounded as in torchvision's Resize and CenterCrop: the longer side is truncated, the corner is rounded to even.
    """
    longer = int(resize * max(height, width) / min(height, width))
    high, wide = (resize, longer) if height <= width else (longer, resize)
    return (high, wide), (round((high - size) / 2), round((wide - size) / 2))


def _split(chosen: list[tuple[Path, int, int]], reader: Reader) -> Split:
    images = reader.read([path for path, _, _ in chosen])
    labels, ids = (np.array([item[column] for item in chosen], np.int64) for column in (1, 2))
    return Split(images, labels, ids)
