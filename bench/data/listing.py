"""Which files of an image folder are its images, of which class and in which order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unicodedata import normalize

from ..core.errors import UserError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"})

#: Folders that systems put among images, with thumbnails or leftovers in them.
_OF_SYSTEMS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})


@dataclass(frozen=True)
class Listing:
    """The image files of every class, both in the order of their names, and pictures of kinds that are not read."""

    files: dict[str, list[Path]]
    passed_over: tuple[Path, ...]

    @property
    def warnings(self) -> list[str]:
        sentences = []
        names = list(self.files)
        if all(name.isdecimal() for name in names) and names != sorted(names, key=int):
            label = next(i for i, name in enumerate(names) if int(name) != i)
            sentences.append(
                f"Classes are numbered in the order of their names as text: label {label} is the folder "
                f"{names[label]!r}. Names of equal length, such as {'2'.zfill(max(map(len, names)))}, keep the numbers."
            )
        if self.passed_over:
            sentences.append(
                f"{len(self.passed_over)} pictures are of a kind that is not read and are passed over (first "
                f"{self.passed_over[0]}); save them as PNG."
            )
        return sentences


def listing(place: Path, classes: Sequence[str] | None) -> Listing:
    """The images below ``place/<class>/``, of all classes or of those listed."""
    folders = class_folders(place)
    if isinstance(classes, str):
        raise UserError(f"dataset.parameters.classes is the text {classes!r}; it must be a list of class folders.")
    if classes is not None:
        absent = [name for name in classes if not isinstance(name, str) or composed(name) not in folders]
        if absent:
            raise UserError(
                f"{place} has no class folder {absent[0]!r} ({len(absent)} of {len(classes)} named classes "
                "are absent); correct --classes or dataset.parameters.classes."
            )
        wanted = {composed(name) for name in classes}
        folders = {name: folder for name, folder in folders.items() if name in wanted}
    if len(folders) < 2:
        raise UserError(f"{place} has {len(folders)} class sub-folders and needs two or more, with images in each.")
    files: dict[str, list[Path]] = {}
    passed_over: list[Path] = []
    for name, folder in folders.items():
        below = list(visible_files(folder))
        files[name] = [path for path in below if path.suffix.lower() in IMAGE_SUFFIXES]
        passed_over += [path for path in below if path.suffix.lower() in _other_pictures()]
        if not files[name]:
            raise UserError(
                f"The class folder {folder} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); fill it or remove it."
            )
    return Listing(files, tuple(passed_over))


def files_of(root: Path, split: str, classes: Sequence[str] | None = None) -> list[Path]:
    """Every image file of a split, in the order of the ids."""
    return [path for paths in listing(split_folder(root, split), classes).files.values() for path in paths]


def split_folder(root: Path, split: str) -> Path:
    return root / split if split == "train" or (root / split).is_dir() else root / "val"


def composed(name: str) -> str:
    """The name with accents composed: some systems store ``é`` as one character and others as two."""
    return normalize("NFC", name)


def class_folders(place: Path) -> dict[str, Path]:
    """The class folders below ``place`` by name, in the order of the names as text."""
    if not place.is_dir():
        raise UserError(f"There is no folder {place}; it must hold one sub-folder of images for each class.")
    folders: dict[str, Path] = {}
    for path, is_folder in _visible(place):
        if is_folder and folders.setdefault(composed(path.name), path) != path:
            raise UserError(
                f"{place} has two folders {composed(path.name)!r}, whose accents are stored in different ways; "
                "make them one."
            )
    return folders


def visible_files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Every file below a folder that is not hidden, linked folders included, in the order of the paths."""
    here = folder.resolve()
    if here in above:
        return  # a link back up
    for path, is_folder in _visible(folder):
        if is_folder:
            yield from visible_files(path, (*above, here))
        else:
            yield path


def _visible(folder: Path) -> list[tuple[Path, bool]]:
    """What lies in a folder and whether it is a folder, sorted, without what its owner does not see, such as copies
    that notebooks and systems make."""
    try:
        with os.scandir(folder) as entries:  # which knows folders without asking for each file
            kinds = {e.name: e.is_dir() for e in entries if not e.name.startswith(".") and e.name not in _OF_SYSTEMS}
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be read ({error.strerror}); correct its permissions.") from None
    return [(folder / name, kinds[name]) for name in sorted(kinds, key=lambda name: (composed(name), name))]


@cache
def _other_pictures() -> frozenset[str]:
    from PIL import Image

    # Video, documents and containers that Pillow can look into are not somebody's forgotten pictures.
    return frozenset(Image.registered_extensions()) - IMAGE_SUFFIXES - {".h5", ".hdf", ".mpg", ".mpeg", ".pdf", ".grib"}
