"""Image folders, ImageNet's or the user's own, as arrays."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..core.parameters import is_number, seed_of
from ..core.registry import register_dataset
from ..core.text import counted
from .dataset import Dataset, Split
from .listing import Listing, class_folders, listing, split_folder
from .pictures import Reader

#: Side in pixels where none is named: that of most nets for ImageNet.
USUAL = 224

#: Of each class its images, with their positions in the whole sorted list.
Places = dict[str, list[tuple[Path, int]]]


@register_dataset("folder")
def folder(
    *,
    root: Path | None = None,
    size: int | None = None,
    resize: int | None = None,
    classes: Sequence[str] | None = None,
    test_share: float | None = None,
    train_per_class: int | None = None,
    test_per_class: int | None = None,
    seed: int = 0,
) -> Dataset:
    """The user's own images: ``root/train/<class>/*`` and ``root/test/<class>/*`` (or ``val``), read as RGB.

    With ``test_share`` (0.2, say) also ``root/<class>/*``, the layout of torchvision's ImageFolder: that share of each
    class, drawn from ``seed``, are the test images. The shorter side becomes ``resize`` (default ``size``) pixels, then
    the centre ``size`` x ``size`` (default 224) is cut out. Images are turned upright by their EXIF and put on white
    where they are transparent; of several pages the first counts. Hidden files and folders are passed over, linked
    folders are followed. ``classes`` keeps some class folders; labels are positions among the names of those kept,
    sorted as text ("10" before "2"). ``*_per_class`` keeps a random sample drawn from ``seed``. All images are held as
    uint8: 150 kB each at 224 pixels.
    """
    if root is None:
        raise UserError(
            "The data set 'folder' is read from disk; give the folder that holds train/ and test/ with --data-root."
        )
    seed_of("folder", "seed", seed)
    side = USUAL if size is None else size
    if side < 1 or (resize is not None and resize < side):
        raise UserError(f"size must be 1 or more and resize not below it; they are {side} and {resize}.")
    if test_share is None:
        listings, places = _two_folders(root, classes)
    else:
        listings, places = _one_folder(root, classes, test_share, seed)
    limits = {"train": train_per_class, "test": test_per_class}
    kept = {split: list(_drawn(of_class, limits[split], seed)) for split, of_class in places.items()}
    _check_memory(root, sum(map(len, kept.values())), side)
    reader = Reader(side, resize or side, named=size is not None)
    splits = [_split(kept[split], reader) for split in ("train", "test")]
    reader.refuse_broken()
    warnings = [sentence for listed in listings for sentence in listed.warnings] + reader.warnings
    count = len(places["train"])
    return Dataset(root.resolve().name, splits[0], splits[1], count, warnings=tuple(dict.fromkeys(warnings)))


def _two_folders(root: Path, classes: Sequence[str] | None) -> tuple[list[Listing], dict[str, Places]]:
    """The images of ``root/train`` and ``root/test`` (or ``val``), whose classes are the same."""
    test = split_folder(root, "test")
    if root.is_dir() and not (root / "train").is_dir() and not test.is_dir() and len(class_folders(root)) > 1:
        raise UserError(
            f"{root} has no train/ and no test/; if its {len(class_folders(root))} sub-folders are classes, say which "
            "share of the images is for testing: dataset.parameters.test_share = 0.2."
        )
    listings = {"train": listing(root / "train", classes), "test": listing(test, classes)}
    names, others = (listings[split].files.keys() for split in ("train", "test"))
    if names != others:
        unshared = sorted(names ^ others)
        raise UserError(
            f"{root}: train/ and {test.name}/ hold different classes ({len(unshared)} are in one only, "
            f"first {unshared[0]!r}); give both the same sub-folders."
        )
    return list(listings.values()), {split: _numbered(listed) for split, listed in listings.items()}


def _one_folder(
    root: Path, classes: Sequence[str] | None, test_share: float, seed: int
) -> tuple[list[Listing], dict[str, Places]]:
    """The images of ``root/<class>``, of which a share of each class becomes test images."""
    if not (is_number(test_share) and 0 < test_share < 1):
        raise UserError(f"dataset.parameters.test_share is {test_share!r}; give a number between 0 and 1, such as 0.2.")
    if (root / "train").is_dir():
        raise UserError(f"{root} has a folder train/ of its own; leave dataset.parameters.test_share out.")
    listed = listing(root, classes)
    places: dict[str, Places] = {"train": {}, "test": {}}
    for label, (name, images) in enumerate(_numbered(listed).items()):
        order = np.random.default_rng((seed, label, 1)).permutation(len(images))
        count = round(float(test_share) * len(images))
        if not 0 < count < len(images):
            raise UserError(
                f"The class folder {root / name} holds {counted(len(images), 'image')}, of which a "
                f"share of {test_share:g} leaves none for {'training' if count else 'testing'}; change test_share, or "
                "fill or remove the folder."
            )
        places["test"][name] = [images[k] for k in sorted(order[:count].tolist())]
        places["train"][name] = [images[k] for k in sorted(order[count:].tolist())]
    return [listed], places


def _numbered(listed: Listing) -> Places:
    numbers = itertools.count()
    return {name: [(path, next(numbers)) for path in paths] for name, paths in listed.files.items()}


def _drawn(places: Places, limit: int | None, seed: int) -> Iterator[tuple[Path, int, int]]:
    """(path, label, position in the whole sorted list) of at most ``limit`` images per class."""
    if limit is not None and limit < 1:
        raise UserError(f"The number of images per class must be 1 or more, not {limit}.")
    for label, images in enumerate(places.values()):
        order = np.random.default_rng((seed, label)).permutation(len(images))
        for index in sorted(order[:limit].tolist()):
            path, position = images[index]
            yield path, label, position


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
