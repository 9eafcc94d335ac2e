"""Bounding boxes of image folders, from a CSV or ImageNet's XML, scaled and cropped to the images that a net sees."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.arrays import Floats, Ints
from ..core.errors import UserError
from ..core.hashing import hash_arrays
from ..core.home import expanded
from .box import check_boxes, clipped, from_inclusive, resized_pixels, scaled
from .box_files import COLUMNS, Rows, Wanted, from_csv, from_xml
from .dataset import Split
from .folders import placed
from .listing import composed, files_of, split_folder
from .pictures import dimensions

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Annotations:
    """Boxes of one split by image id, in the pixels that the net sees, and the reasons for what was left out.

    ``boxes[id]`` is ``(K, 4)``, never empty, and ``pixels[id]`` are the same boxes by first and last pixel as
    wsolevaluation truncates them (`box.resized_pixels`). ``names[id]`` is the image's path in its data set.
    ``left_out`` gives the reason in a sentence for each image or line without a usable box.
    """

    boxes: Mapping[int, Floats]
    pixels: Mapping[int, Ints]
    names: Mapping[int, str]
    left_out: tuple[str, ...]

    @property
    def content_hash(self) -> str:
        digest = hashlib.sha256()
        for image, boxes in sorted(self.boxes.items()):
            digest.update(f"{image}{boxes.shape}".encode() + np.ascontiguousarray(boxes).tobytes())
        return digest.hexdigest()


def annotated(
    root: Path,
    source: str,
    split: SplitName,
    size: int,
    resize: int,
    classes: Any = None,
    ids: Ints | None = None,
) -> Annotations:
    """The boxes of a folder data set's split, or only of its images with these ``ids``.

    ``source``, relative to ``root``, is a CSV with the columns path, wnid, xmin, ymin, xmax, ymax (pixels of the file
    itself, upright, both ends inside the box) or a folder of ImageNet's XML files, matched by image name and, where
    several images or files have it, by the folders above (`box_files`). Boxes are resized and cropped with their
    images as `folders.folder` does it (shorter side to ``resize``, centre crop to ``size``); a box outside the crop is
    left out. Raises UserError if the source itself cannot be read.
    """
    paths = files_of(root, split, classes)
    chosen = range(len(paths)) if ids is None else ids.tolist()
    names = {image: paths[image].relative_to(root).as_posix() for image in chosen}
    rows_of, reasons = _rows_of(root, source, split, classes, names, paths)
    kept: dict[int, Floats] = {}
    pixels: dict[int, Ints] = {}
    for image, rows in rows_of.items():
        height, width = shape = dimensions(paths[image])
        boxes = from_inclusive(np.array(rows, np.float64))
        unusable = check_boxes(boxes, [shape] * len(boxes), [names[image]] * len(boxes))
        reasons += unusable.values()
        boxes = boxes[[index for index in range(len(boxes)) if index not in unusable]]
        (high, wide), (top, left) = placed(height, width, resize, size)
        corner = np.tile([left, top], 2)
        moved = clipped(scaled(boxes, shape, (high, wide)) - corner, (size, size))
        visible = (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])
        if len(boxes) and not visible.any():
            reasons.append(f"{names[image]}: its box lies outside of the part that the net sees")
        if visible.any():
            kept[image] = moved[visible]
            pixels[image] = np.clip(resized_pixels(boxes[visible], shape, (high, wide)) - corner, 0, size - 1)
    reasons += [f"{names[image]} has no box" for image in names if image not in rows_of]
    return Annotations(kept, pixels, names, tuple(reasons))


def _rows_of(
    root: Path, source: str, split: SplitName, classes: Any, names: Mapping[int, str], paths: Sequence[Path]
) -> tuple[Rows, list[str]]:
    """The boxes of the images with these names as the file or the folder has them; ``paths`` are all of the split."""
    place = root / expanded(source)
    rest: SplitName = "test" if split == "train" else "train"
    here, other = (split_folder(root, one).name for one in (split, rest))
    folders = {composed(path.relative_to(root).parts[1]) for path in paths}
    wanted = Wanted(root, here, other, names, folders)
    if place.is_file():
        return from_csv(place, wanted)
    if place.is_dir():
        others = files_of(root, rest, classes) if split_folder(root, rest).is_dir() else []
        return from_xml(place, wanted, [path.relative_to(root).as_posix() for path in (*paths, *others)])
    raise UserError(
        f"There are no boxes at {place}; set boxes.source to a CSV with the columns "
        f"{', '.join(COLUMNS)} or a folder of ImageNet's XML files."
    )


@dataclass(frozen=True)
class Boxed:
    """Images with their boxes by edges (``truth``) and by first and last pixel, in the same order."""

    split: Split
    truth: Sequence[Floats]
    pixels: Sequence[Ints]
    annotations: Annotations

    @classmethod
    def of(cls, split: Split, annotations: Annotations) -> Boxed:
        """The images of the split that have a usable box."""
        kept = split.select(np.array([int(image) in annotations.boxes for image in split.ids], bool))
        ids = kept.ids.tolist()
        return cls(kept, [annotations.boxes[i] for i in ids], [annotations.pixels[i] for i in ids], annotations)

    def select(self, index: Ints) -> Boxed:
        boxes, pixels = [self.truth[i] for i in index], [self.pixels[i] for i in index]
        return Boxed(self.split.select(index), boxes, pixels, self.annotations)

    @cached_property
    def key(self) -> str:
        boxes = np.concatenate([*self.truth, np.zeros((1, 4))])
        return hash_arrays(self.split.ids, boxes, np.concatenate([*self.pixels, np.zeros((1, 4), np.int64)]))
