"""Bounding boxes of image folders, from a CSV or ImageNet's XML, scaled and cropped to the images that a net sees."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from ..core.arrays import Floats, Ints
from ..core.errors import UserError
from ..core.hashing import hash_arrays
from ..core.home import expanded
from .box import check_boxes, clipped, from_inclusive, scaled
from .dataset import Split
from .folders import files_of, placed

COLUMNS = ("path", "wnid", "xmin", "ymin", "xmax", "ymax")
SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class Annotations:
    """Boxes of one split by image id, in the pixels that the net sees, and the reasons for what was left out.

    ``boxes[id]`` is ``(K, 4)``, never empty. ``names[id]`` is the image's path in its data set. ``left_out`` gives the
    reason in a sentence for each image or line without a usable box.
    """

    boxes: Mapping[int, Floats]
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
    itself, both ends inside the box) or a folder of ImageNet's XML files, matched by image name. Boxes are resized and
    cropped with their images as `folders.folder` does it (shorter side to ``resize``, centre crop to ``size``); a box
    outside the crop is left out. Raises UserError if the source itself cannot be read.
    """
    paths = files_of(root, split, classes)
    chosen = range(len(paths)) if ids is None else ids.tolist()
    names = {image: paths[image].relative_to(root).as_posix() for image in chosen}
    place = root / expanded(source)
    if place.is_dir():
        rows_of, reasons = _from_xml(place, names)
    elif place.is_file():
        rows_of, reasons = _from_csv(place, root, names, {path.relative_to(root).parts[1] for path in paths})
    else:
        raise UserError(
            f"There are no boxes at {place}; set boxes.source to a CSV with the columns "
            f"{', '.join(COLUMNS)} or a folder of ImageNet's XML files."
        )
    kept: dict[int, Floats] = {}
    for image, rows in rows_of.items():
        height, width = shape = _dimensions(paths[image])
        boxes = from_inclusive(np.array(rows, np.float64))
        unusable = check_boxes(boxes, [shape] * len(boxes), [names[image]] * len(boxes))
        reasons += unusable.values()
        boxes = boxes[[index for index in range(len(boxes)) if index not in unusable]]
        (high, wide), (top, left) = placed(height, width, resize, size)
        corner = np.tile([left, top], 2)
        moved = clipped(scaled(boxes, shape, (high, wide)) - corner, (size, size))
        visible = moved[(moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])]
        if len(boxes) and not len(visible):
            reasons.append(f"{names[image]}: its box lies outside of the part that the net sees")
        if len(visible):
            kept[image] = visible
    reasons += [f"{names[image]} has no box" for image in names if image not in rows_of]
    return Annotations(kept, names, tuple(reasons))


Rows = dict[int, list[tuple[float, ...]]]  # by image id


def _from_csv(place: Path, root: Path, names: Mapping[int, str], wnids: set[str]) -> tuple[Rows, list[str]]:
    rows_of: Rows = {}
    reasons: list[str] = []
    ids = {name: image for image, name in names.items()}
    folders = {name.split("/")[0] for name in names.values()}
    for number, row in _rows(place):
        if row["path"].split("/")[0] not in folders:
            continue  # of another split
        where = f"{place.name}, line {number}"
        if row["wnid"] not in wnids:
            reasons.append(f"{where}: the class {row['wnid']!r} is none of the net's")
        elif row["path"] not in ids:
            if not (root / row["path"]).is_file():
                reasons.append(f"{where}: there is no image {row['path']}")
        else:
            entries = rows_of.setdefault(ids[row["path"]], [])
            try:
                entries.append(tuple(float(row[name]) for name in COLUMNS[2:]))
            except ValueError:
                reasons.append(f"{where}: a coordinate of {row['path']} is no number")
    return rows_of, reasons


def _rows(place: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with place.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{place} has no column {missing[0]!r}; boxes need {', '.join(COLUMNS)}.")
            for row in reader:
                yield reader.line_num, {name: (row[name] or "").strip() for name in COLUMNS}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"The boxes {place} cannot be read ({error}); give a CSV in UTF-8.") from None


def _from_xml(place: Path, names: Mapping[int, str]) -> tuple[Rows, list[str]]:
    rows_of: Rows = {}
    reasons: list[str] = []
    files = {path.stem: path for path in place.rglob("*.xml")}
    for image, name in names.items():
        path = files.get(Path(name).stem)
        if path is None:
            continue
        try:
            boxes = [
                [float(box.findtext(side) or "nan") for side in COLUMNS[2:]]
                for box in ElementTree.parse(path).iter("bndbox")
            ]
        except (OSError, ElementTree.ParseError, ValueError) as error:
            reasons.append(f"{path.name} cannot be read ({error})")
            continue
        if boxes:
            rows_of[image] = [tuple(box) for box in boxes]
    return rows_of, reasons


def _dimensions(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as image:
        return image.height, image.width


@dataclass(frozen=True)
class Boxed:
    """Images with their boxes, in the same order."""

    split: Split
    truth: Sequence[Floats]
    annotations: Annotations

    @classmethod
    def of(cls, split: Split, annotations: Annotations) -> Boxed:
        """The images of the split that have a usable box."""
        kept = split.select(np.array([int(image) in annotations.boxes for image in split.ids], bool))
        return cls(kept, [annotations.boxes[int(image)] for image in kept.ids], annotations)

    def select(self, index: Ints) -> Boxed:
        return Boxed(self.split.select(index), [self.truth[i] for i in index], self.annotations)

    @cached_property
    def key(self) -> str:
        return hash_arrays(self.split.ids, np.concatenate([*self.truth, np.zeros((1, 4))]))
