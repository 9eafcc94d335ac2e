"""ImageNet and Tiny-ImageNet, read from image folders, and a choice of their classes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import UserError, reason_of
from ..core.parameters import whole
from ..core.registry import register_dataset
from ..core.wnids import synsets
from .dataset import Dataset
from .folders import folder
from .listing import class_folders, files_of


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

    Torchvision unpacks the archives once. The shorter side becomes 256 for ``size`` 224, or is in proportion to that.
    ``classes`` lists wnids. The same number of images is drawn from every class: at most ``*_per_class``, and about
    ``*_images`` in all. By default that is 25 per class for the thousand (3.8 GB), 250 for a hundred or fewer.
    """
    wanted = (train_per_class, test_per_class, train_images, test_images)
    for name, value in zip(("train_per_class", "test_per_class", "train_images", "test_images"), wanted, strict=True):
        whole("imagenet", name, value, 1)
    if root is None:
        raise UserError(
            "ImageNet cannot be downloaded freely; give the folder that holds train/ and val/ with --data-root."
        )
    if (root / "ILSVRC2012_devkit_t12.tar.gz").is_file():
        _unpack(root)
    names = sorted(set(classes)) if classes else list(class_folders(root / "train"))
    unknown = [name for name in names if name not in synsets()]
    if len(names) == 1000 and unknown:  # pretrained logits would be assigned to the wrong classes
        raise UserError(
            f"{root / 'train'} has a thousand classes and {unknown[0]!r} is not one of ImageNet's: this is "
            "another data set; give the right folder with --data-root."
        )
    count = max(1, len(names))
    dataset: Dataset = folder(
        root=root,
        size=size,
        resize=round(size * 256 / 224),
        classes=classes,
        seed=seed,
        train_per_class=min(train_per_class, max(1, train_images // count)),
        test_per_class=min(test_per_class, max(1, test_images // count)),
    )
    note = "" if count == 1000 else "images of other classes than ImageNet's" if unknown else "ImageNet subset"
    return replace(dataset, name="imagenet", note=note)


def geometry(dataset: str, parameters: Mapping[str, Any], size: int) -> int:
    """Length to which an image's shorter side is resized before the centre ``size`` x ``size`` is cut out."""
    return round(size * 256 / 224) if dataset == "imagenet" else int(parameters.get("resize") or size)


def _unpack(root: Path) -> None:
    import torchvision.datasets as tv

    try:
        for split in ("train", "val"):
            tv.ImageNet(str(root), split=split)
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(
            f"The ImageNet archives in {root} could not be unpacked ({reason_of(error)}); unpack them by hand into "
            "train/<wnid>/ and val/<wnid>/."
        ) from None


@register_dataset("tinyimagenet30")
def tinyimagenet30(*, root: Path | None = None, size: int = 64) -> Dataset:
    """30 synsets of Tiny-ImageNet-200 with one box an image: the folder ``tinyimagenet30`` below the data root."""
    if root is None:
        raise UserError(
            "The data set 'tinyimagenet30' is read from disk; give the folder that holds tinyimagenet30/ with "
            "--data-root."
        )
    place = home("tinyimagenet30", root)
    names = "\n".join(
        path.relative_to(place).as_posix() for part in ("train", "test") for path in files_of(place, part)
    )
    if hashlib.sha256(names.encode()).hexdigest()[:16] != _TINY_FILES:
        raise UserError(
            f"The images in {place} are not those of tinyimagenet30, whose name their results would carry; "
            'for images of your own set [dataset] name = "folder".'
        )
    dataset: Dataset = folder(root=place, size=size)
    return replace(dataset, name="tinyimagenet30", note="30 classes of Tiny-ImageNet-200")


#: First digits of the sha256 of the paths of all images of tinyimagenet30, which decoders of JPEG cannot change.
_TINY_FILES = "de1367ce51d880bf"


def home(dataset: str, root: Path) -> Path:
    """The folder that holds a data set's ``train`` and ``val``."""
    return root / dataset if (root / dataset / "train").is_dir() else root
