"""Boxes as files give them, each for its own image: a CSV, or a folder of ImageNet's XML files."""

from __future__ import annotations

import csv
import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from ..core.errors import UserError
from ..core.text import counted
from .listing import composed, visible_files

COLUMNS = ("path", "wnid", "xmin", "ymin", "xmax", "ymax")

Rows = dict[int, list[tuple[float, ...]]]  # by image id
Parts = tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """The images that boxes are looked for.

    ``names[id]`` is ``split/class/.../file``, relative to ``root``; ``split`` and ``other`` are the folders of this
    split and of the other one, and ``classes`` all class folders.
    """

    root: Path
    split: str
    other: str
    names: Mapping[int, str]
    classes: Collection[str]

    def of_class(self, image: int) -> str:
        return _parts(self.names[image])[1]


def from_csv(place: Path, wanted: Wanted) -> tuple[Rows, list[str]]:
    """Boxes by image, and a sentence for each line that gives none."""
    rows_of: Rows = {}
    reasons: list[str] = []
    ids = {composed(name): image for image, name in wanted.names.items()}
    for number, row in _rows(place):
        path = _relative(row["path"], wanted.root)
        where = f"{place.name}, line {number}"
        image = ids.get(path)
        if path.split("/")[0] == wanted.other:
            continue
        if row["wnid"] not in wanted.classes:
            reasons.append(f"{where}: the class {row['wnid']!r} is none of the net's")
        elif image is None:
            if not _is_file(wanted.root / path):
                reasons.append(f"{where}: there is no image {row['path']}")
        elif row["wnid"] != wanted.of_class(image):
            reasons.append(f"{where}: the class {row['wnid']!r} is not that of {row['path']}")
        else:
            boxes = rows_of.setdefault(image, [])
            try:
                boxes.append(tuple(float(row[name]) for name in COLUMNS[2:]))
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
                yield reader.line_num, {name: composed((row[name] or "").strip()) for name in COLUMNS}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"The boxes {place} cannot be read ({error}); give a CSV in UTF-8.") from None


def _relative(text: str, root: Path) -> str:
    """A path of the table as `Wanted.names` has it, whether it was written on Windows, with ``./``, or in full."""
    path = posixpath.normpath(text.replace("\\", "/"))
    for above in (root.as_posix(), root.resolve().as_posix()):
        if posixpath.isabs(path) and path.startswith(f"{above}/"):
            return path.removeprefix(f"{above}/")
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with characters that no path can have
        return False


def from_xml(place: Path, wanted: Wanted, images: Sequence[str]) -> tuple[Rows, list[str]]:
    """Boxes by image, and a sentence for each file that is damaged or has objects of other classes.

    ``images`` are the paths of all images, of the other split too: a file that fits two of them is refused.
    """
    rows_of: Rows = {}
    reasons: list[str] = []
    files = _matched(place, wanted, images)
    for image, name in wanted.names.items():
        path = files.get(name)
        if path is None:
            continue
        try:
            boxes, others = _objects(path, wanted, image)
        except (OSError, ElementTree.ParseError, ValueError) as error:
            reasons.append(f"{path.relative_to(place)} cannot be read ({error})")
            continue
        if others:
            count = f"{counted(len(others), 'object')} of other classes"
            reasons.append(f"{path.relative_to(place)}: {count} (first {others[0]!r}) than that of {name}")
        if boxes:
            rows_of[image] = boxes
    return rows_of, reasons


def _objects(path: Path, wanted: Wanted, image: int) -> tuple[list[tuple[float, ...]], list[str]]:
    """The boxes of the objects, without those of their parts, and the names of objects of other classes.

    Where an object is named as the image's class, only objects so named count; where none is, all do but those that
    are named as another class, since names may be in other words than folders.
    """
    own = wanted.of_class(image)
    objects = list(ElementTree.parse(path).iter("object"))
    names = [composed((one.findtext("name") or "").strip()) for one in objects]
    foreign = {name for name in names if name != own and (own in names or name in wanted.classes)}
    boxes = [
        tuple(float(box.findtext(side) or "nan") for side in COLUMNS[2:])
        for one, name in zip(objects, names, strict=True)
        if name not in foreign
        for box in one.findall("bndbox")
    ]
    return boxes, [name for name in names if name in foreign]


def _matched(place: Path, wanted: Wanted, images: Sequence[str]) -> dict[str, Path]:
    """The XML file of each image: the one with its name that has most folders above it in common.

    UserError where a file fits two images alike, or an image two files.
    """
    by_tail: dict[Parts, list[str]] = defaultdict(list)
    for name in images:
        for count in (1, 2):
            by_tail[_parts(name)[-count:]].append(name)
    asked = set(wanted.names.values())
    claims: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for path in visible_files(place):
        if path.suffix.lower() != ".xml":
            continue
        parts = _parts(path.relative_to(place).as_posix())
        named = set(parts[:-1]) & {wanted.split, wanted.other, *wanted.classes}
        fitting = {
            name: _common(parts, _parts(name))
            for name in by_tail.get(parts[-2:]) or by_tail.get(parts[-1:]) or []
            if named <= set(_parts(name))  # not in the folder of another class or split
        }
        most = max(fitting.values(), default=0)
        best = [name for name, common in fitting.items() if common == most]
        if len(best) > 1 and not asked.isdisjoint(best):
            raise UserError(
                f"{path} fits {best[0]} and {best[1]} alike; put it into folders named as those of its image, "
                f"such as {place / PurePosixPath(best[0]).with_suffix('.xml')}."
            )
        if len(best) == 1:
            claims[best[0]].append((most, path))
    return {name: _only(name, claims[name]) for name in sorted(asked & claims.keys())}


def _only(name: str, claims: Sequence[tuple[int, Path]]) -> Path:
    """The file with most folders in common with the image."""
    most = max(common for common, _ in claims)
    first, *rest = (path for common, path in claims if common == most)
    if rest:
        raise UserError(f"{first} and {rest[0]} fit {name} alike; keep the one that is its own.")
    return first


def _parts(path: str) -> Parts:
    """The folders of a path and its name without suffix, accents composed."""
    return PurePosixPath(composed(path)).with_suffix("").parts


def _common(parts: Parts, others: Parts) -> int:
    """The number of last parts that are the same."""
    pairs = list(zip(reversed(parts), reversed(others), strict=False))
    return next((i for i, (one, other) in enumerate(pairs) if one != other), len(pairs))
