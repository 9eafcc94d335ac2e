"""Image folders, ImageNet's or one's own, as arrays, and a choice among their classes."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.arrays import UserError
from ..core.registry import datasets, register_dataset
from ..harness.suite import Suite
from ..models.torchvision import SMALLEST, places, synsets  # the import also registers the nets
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
    """Images of one's own: ``root/train/<class>/*`` and ``root/test/<class>/*`` (or ``val``), read as RGB.

    The shorter side becomes ``resize`` (default ``size``) pixels, then the centre ``size`` x ``size`` is cut out.
    ``classes`` keeps some class folders; labels are positions among the sorted names of those kept. ``*_per_class``
    keeps a random part drawn from ``seed``. All images are held as uint8: 150 kB each at 224 pixels.
    """
    if root is None:
        raise UserError(
            "The data set 'folder' is read from disk; give the folder that holds train/ and test/ with --data-root."
        )
    if size < 1 or (resize is not None and resize < size):
        raise UserError(f"size must be 1 or more and resize not below it; given size {size}, resize {resize}.")
    test = _place(root, "test")
    found = {"train": _listed(root / "train", classes), "test": _listed(test, classes)}
    if found["train"].keys() != found["test"].keys():
        odd = sorted(found["train"].keys() ^ found["test"].keys())
        raise UserError(
            f"{root}: train/ and {test.name}/ hold different classes ({len(odd)} are in one only, first {odd[0]!r}); "
            "give both the same sub-folders."
        )
    limits = {"train": train_per_class, "test": test_per_class}
    kept = {split: list(_drawn(files, limits[split], seed)) for split, files in found.items()}
    _check_memory(root, sum(map(len, kept.values())), size)
    read = _reader(size, resize or size)
    splits = [_split(kept[split], read, size) for split in ("train", "test")]
    return Dataset(root.resolve().name, splits[0], splits[1], len(found["train"]))


@register_dataset("imagenet")
def imagenet(
    *,
    root: Path | None = None,
    size: int = 224,
    classes: Sequence[str] | None = None,
    train_per_class: int = 200,
    test_per_class: int = 50,
    train_images: int = 20_000,
    test_images: int = 5_000,
    seed: int = 0,
) -> Dataset:
    """ImageNet (ILSVRC 2012): ``root/train/<wnid>/*`` and ``root/val/<wnid>/*``, or the official archives in ``root``.

    The archives are unpacked once by torchvision. The shorter side becomes 256 for ``size`` 224, and in proportion.
    ``classes`` lists wnids. The same number of images of every class is drawn: at most ``*_per_class``, and about
    ``*_images`` in all. By default that is 25 a class of the thousand (3.8 GB), 250 a class of a hundred or fewer.
    """
    if root is None:
        raise UserError(
            "ImageNet cannot be downloaded freely; give the folder that holds train/ and val/ with --data-root."
        )
    if (root / "ILSVRC2012_devkit_t12.tar.gz").is_file():
        _unpack(root)
    names = sorted(set(classes)) if classes else _class_folders(root / "train")
    strange = [name for name in names if name not in synsets()]
    if len(names) == 1000 and strange:  # weights would name its classes by their places, and wrongly
        raise UserError(f"{root / 'train'} has a thousand classes and {strange[0]!r} is none of ImageNet's: this is "
                        "another data set; give the right folder with --data-root.")  # fmt: skip
    count = max(1, len(names))
    dataset = folder(
        root=root, size=size, resize=round(size * 256 / 224), classes=classes, seed=seed,
        train_per_class=min(train_per_class, max(1, train_images // count)),
        test_per_class=min(test_per_class, max(1, test_images // count)),
    )  # fmt: skip
    return Dataset("imagenet", dataset.train, dataset.test, dataset.classes, "ImageNet subset" if classes else "")


def geometry(dataset: str, parameters: Mapping[str, Any], size: int) -> int:
    """The length that the shorter side of an image is brought to before the centre ``size`` x ``size`` is cut out."""
    return round(size * 256 / 224) if dataset == "imagenet" else int(parameters.get("resize") or size)


def files_of(root: Path, split: str, classes: Sequence[str] | None = None) -> list[Path]:
    """Every image file of a split, in the order in which ids count them."""
    return [path for paths in _listed(_place(root, split), classes).values() for path in paths]


def _place(root: Path, split: str) -> Path:
    return root / split if split == "train" or (root / split).is_dir() else root / "val"


def _unpack(root: Path) -> None:
    import torchvision.datasets as tv

    try:
        for split in ("train", "val"):
            tv.ImageNet(str(root), split=split)
    except (OSError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"The ImageNet archives in {root} could not be unpacked ({reason}); unpack them by hand into "
                        "train/<wnid>/ and val/<wnid>/.") from None  # fmt: skip


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
            raise UserError(f"{place} has no class folder {absent[0]!r} ({len(absent)} of {len(classes)} named classes "
                            "are absent); correct --classes or dataset.parameters.classes.")  # fmt: skip
        names = sorted(set(classes))
    if len(names) < 2:
        raise UserError(f"{place} has {len(names)} class sub-folders and needs two or more, with images in each.")
    files = {name: sorted(p for p in (place / name).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES) for name in names}
    for name, paths in files.items():
        if not paths:
            raise UserError(f"The class folder {place / name} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); "
                            "fill it or remove it.")  # fmt: skip
    return files


def _drawn(files: dict[str, list[Path]], limit: int | None, seed: int) -> Iterator[tuple[Path, int, int]]:
    """(path, label, position in the whole sorted list) of at most ``limit`` images a class."""
    if limit is not None and limit < 1:
        raise UserError(f"The number of images a class must be 1 or more, not {limit}.")
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
    except (AttributeError, ValueError, OSError):  # no such question on this system
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
    """(height, width) of an image as the reader resizes it, and (top, left) of the centre that it cuts out.

    As torchvision's Resize and CenterCrop round: the longer side is cut to whole pixels, the corner is rounded to even.
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


def choose_classes(suite: Suite, given: str | Sequence[str] | None) -> Suite:
    """The suite on some class folders of its data set, pretrained nets cut to the logits of these classes.

    ``given``: names, one text of them with commas, or a file with one a line (of a CSV file the first column); None
    leaves the data set's own choice. Raises UserError where the data set has no named classes.
    """
    dataset, model = suite.dataset, suite.model
    if given is not None:
        if dataset.name.endswith(".npz") or "classes" not in inspect.signature(datasets.get(dataset.name)).parameters:
            raise UserError(f"The data set {dataset.name!r} has no class folders to choose from; --classes goes with "
                            "'imagenet' and 'folder'.")  # fmt: skip
        parameters = {**dataset.parameters, "classes": _names(given)}
        dataset = dataset.model_copy(update={"parameters": parameters})
    classes = dataset.parameters.get("classes")
    pretrained = model.name in SMALLEST and bool(model.parameters.get("weights"))
    if (
        pretrained
        and classes
        and not isinstance(classes, str)
        and (given is not None or "rows" not in model.parameters)
    ):
        wnids = sorted(set(classes))  # as the data set numbers them
        places(wnids)
        model = model.model_copy(update={"parameters": {**model.parameters, "rows": wnids}})
    return suite.model_copy(update={"dataset": dataset, "model": model})


def _names(given: str | Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name for name in _unchecked_names(given) if name))
    if len(names) < 2:
        said = f"only {names[0]!r}" if names else "no class"
        raise UserError(f"--classes names {said}, and a classifier needs two or more: separate them by commas, or give "
                        "a file with one a line.")  # fmt: skip
    return names


def _unchecked_names(given: str | Sequence[str]) -> list[str]:
    if not isinstance(given, str):
        return list(given)
    if os.path.isfile(given):  # says no to a text that is too long for a path
        return _names_in(Path(given))
    if "/" in given or given.lower().endswith((".txt", ".csv")):
        raise UserError(f"There is no file {given} for --classes; give one, or names with commas between them.")
    return [name.strip() for name in given.split(",")]


_WNID = re.compile(r"n\d{8}\b")


def _names_in(file: Path) -> list[str]:
    """The first column; of a line that begins with a wnid nothing else, and no header over wnids."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as text ({error}); give a file with one class a line.") from None
    cells = [line.split(",")[0].strip().strip('"') for line in lines if line and not line.startswith("#")]
    names = [found.group() if (found := _WNID.match(cell)) else cell for cell in cells]
    if len(names) > 1 and not _WNID.match(names[0]) and all(_WNID.fullmatch(name) for name in names[1:]):
        return names[1:]
    return names
