"""Image folders, ImageNet's or the user's own, as arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.errors import UserError
from ..core.parameters import seed_of
from ..core.registry import register_dataset
from .dataset import Dataset, Split

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})


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
    ``classes`` keeps some class folders; labels are positions among the sorted names of those kept. ``*_per_class``
    keeps a random sample drawn from ``seed``. All images are held as uint8: 150 kB each at 224 pixels.
    """
    if root is None:
        raise UserError(
            "The data set 'folder' is read from disk; give the folder that holds train/ and test/ with --data-root."
        )
    seed_of("folder", "seed", seed)
    if size < 1 or (resize is not None and resize < size):
        raise UserError(f"size must be 1 or more and resize not below it; they are {size} and {resize}.")
    test = _place(root, "test")
    listed = {"train": _listed(root / "train", classes), "test": _listed(test, classes)}
    if listed["train"].keys() != listed["test"].keys():
        unshared = sorted(listed["train"].keys() ^ listed["test"].keys())
        raise UserError(
            f"{root}: train/ and {test.name}/ hold different classes ({len(unshared)} are in one only, "
            f"first {unshared[0]!r}); give both the same sub-folders."
        )
    limits = {"train": train_per_class, "test": test_per_class}
    kept = {split: list(_drawn(files, limits[split], seed)) for split, files in listed.items()}
    _check_memory(root, sum(map(len, kept.values())), size)
    read = _reader(size, resize or size)
    splits = [_split(kept[split], read, size) for split in ("train", "test")]
    return Dataset(root.resolve().name, splits[0], splits[1], len(listed["train"]))


def files_of(root: Path, split: str, classes: Sequence[str] | None = None) -> list[Path]:
    """Every image file of a split, in the order of the ids."""
    return [path for paths in _listed(_place(root, split), classes).values() for path in paths]


def _place(root: Path, split: str) -> Path:
    return root / split if split == "train" or (root / split).is_dir() else root / "val"


def _class_folders(place: Path) -> list[str]:
    if not place.is_dir():
        raise UserError(f"There is no folder {place}; it must hold one sub-folder of images for each class.")
    return sorted(p.name for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))


def _listed(place: Path, classes: Sequence[str] | None) -> dict[str, list[Path]]:
    """The image files of every class, both sorted by name."""
    names = _class_folders(place)
    if isinstance(classes, str):
        raise UserError(f"dataset.parameters.classes is the text {classes!r}; it must be a list of class folders.")
    if classes is not None:
        absent = [name for name in classes if name not in names]
        if absent:
            raise UserError(
                f"{place} has no class folder {absent[0]!r} ({len(absent)} of {len(classes)} named classes "
                "are absent); correct --classes or dataset.parameters.classes."
            )
        names = sorted(set(classes))
    if len(names) < 2:
        raise UserError(f"{place} has {len(names)} class sub-folders and needs two or more, with images in each.")
    files = {name: sorted(p for p in (place / name).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES) for name in names}
    for name, paths in files.items():
        if not paths:
            raise UserError(
                f"The class folder {place / name} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); "
                "fill it or remove it."
            )
    return files


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


def _reader(size: int, resize: int) -> Callable[[Path], npt.NDArray[np.uint8]]:
    import torchvision.transforms as tf
    from PIL import Image

    fit = tf.Compose([tf.Resize(resize), tf.CenterCrop(size)])

    def read(path: Path) -> npt.NDArray[np.uint8]:
        try:
            with Image.open(path) as image:
                return np.asarray(fit(image.convert("RGB")), np.uint8)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"The image {path} cannot be read ({error}); replace or remove it.") from None

    return read


def placed(height: int, width: int, resize: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of an image after the reader resizes it, and (top, left) of the centre that it crops.

    Rounded as in torchvision's Resize and CenterCrop: the longer side is truncated, the corner is rounded to even.
    """
    longer = int(resize * max(height, width) / min(height, width))
    high, wide = (resize, longer) if height <= width else (longer, resize)
    return (high, wide), (round((high - size) / 2), round((wide - size) / 2))


def _split(chosen: list[tuple[Path, int, int]], read: Callable[[Path], npt.NDArray[np.uint8]], size: int) -> Split:
    images = np.empty((len(chosen), size, size, 3), np.uint8)
    for row, (path, _, _) in enumerate(chosen):
        images[row] = read(path)
    labels, ids = (np.array([item[column] for item in chosen], np.int64) for column in (1, 2))
    return Split(images, labels, ids)
