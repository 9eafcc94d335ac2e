"""Data sets as plain arrays with a content hash: digits, torchvision's, an ``.npz`` or folder of one's own."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..core.arrays import Bools, Ints, UserError
from ..core.registry import datasets, register_dataset

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """Images ``(N, H, W, C)`` uint8 and labels ``(N,)``; ``ids`` are positions in the official order."""

    images: Bytes
    labels: Ints
    ids: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
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
    """A train and a test split whose content, not whose name, is the identity."""

    name: str
    train: Split
    test: Split
    classes: int
    note: str = ""

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


def load(name: str, root: Path | None = None, **parameters: Any) -> Dataset:
    """The data set ``name``, or the user's own when ``root`` is an ``.npz`` or ``name`` is one.

    ``root`` may be a folder that holds ``<name>.npz``, an ``.npz`` itself, or the folder torchvision downloads into.
    """
    if name.endswith(".npz"):
        return _built(from_npz, "an .npz", name=Path(name).stem, path=Path(name), **parameters)
    factory = datasets.get(name)
    if root is not None:
        if root.suffix == ".npz":
            return _built(from_npz, "an .npz", name=name, path=root, **parameters)
        if not root.is_dir():
            raise UserError(f"The data root {root} does not exist; create it or give another with --data-root.")
        if (root / f"{name}.npz").is_file():
            return _built(from_npz, "an .npz", name=name, path=root / f"{name}.npz", **parameters)
    return _built(factory, repr(name), root=root, **parameters)


def _built(factory: Callable[..., Dataset], title: str, **parameters: Any) -> Dataset:
    """The factory's data set; parameters that it does not take are the user's mistake, errors within it are not."""
    try:
        inspect.signature(factory).bind(**parameters)
    except TypeError as error:
        raise UserError(f"dataset.parameters: the data set {title} does not take them ({error}).") from None
    return factory(**parameters)


def from_npz(name: str, path: Path, *, classes: int | None = None) -> Dataset:
    """``train_images, train_labels, test_images, test_labels`` as uint8 NHWC and integers.

    A boolean column ``<split>_lossless`` marks images whose pixels are the official ones; the others are left out.
    """
    if not path.is_file():
        raise UserError(f"There is no data file {path}; give an .npz with train_images, train_labels, test_images, "
                        "test_labels.")  # fmt: skip
    try:
        with np.load(path, allow_pickle=False) as archive:
            columns = {key: archive[key] for key in archive.files if key.split("_")[-1] in _COLUMNS}
    except Exception as error:  # zipfile, zlib and numpy each have several kinds of their own for a damaged file
        raise UserError(
            f"{path} cannot be read as an .npz of plain arrays ({error}); write it with numpy.savez."
        ) from None
    if classes is not None and not isinstance(classes, int):
        raise UserError(f"{path} is an .npz, whose classes have numbers and no names; classes are chosen by name from "
                        "image folders (the data sets 'imagenet' and 'folder').")  # fmt: skip
    splits = {}
    for key in ("train", "test"):
        splits[key] = _checked(path, key, columns)
    official = _recognised(columns)
    if official is not None and official != name and name in datasets:
        raise UserError(f"{path} holds the images of {official} and was given as {name}: this is another data set; "
                        "give the right file with --data-root.")  # fmt: skip
    if splits["train"].images.shape[1:] != splits["test"].images.shape[1:]:
        raise UserError(f"{path}: train_images {splits['train'].images.shape[1:]} and test_images "
                        f"{splits['test'].images.shape[1:]} differ in size; resize one of them.")  # fmt: skip
    found = int(max(s.labels.max() for s in splits.values())) + 1
    expected = classes or _KNOWN_CLASSES.get(name)
    if expected is not None and found != expected:
        raise UserError(
            f"{path} has labels of {found} classes and {name} has {expected}: this is another data set; "
            "give the right file with --data-root."
        )
    present = np.unique(splits["train"].labels)
    if len(present) != found:
        absent = int(np.flatnonzero(np.r_[present, -1] != np.arange(len(present) + 1))[0])
        raise UserError(
            f"{path}: the labels name {found} classes and class {absent} has no training image; number the "
            "classes from 0 without gaps and give each some."
        )
    return Dataset(name, splits["train"], splits["test"], found, _NOTES.get(name, ""))


_COLUMNS = ("images", "labels", "lossless")
_KNOWN_CLASSES = {"cifar10": 10, "cifar100": 100, "svhn": 10, "svhn10k": 10}
_NOTES = {"svhn10k": "SVHN-10k subset: the first 10,000 official test images; a score on it is no SVHN test score"}


#: First digits of the sha256 of the first training image: enough to know a data set by, shortened or not.
_FIRST = {
    "7cbda40c52a00fdb": "cifar10",
    "000cd43650c147e3": "cifar100",
    "f3253c487aa8b833": "svhn10k",
}
#: Numbers of training and test images that no other data set here has.
_COUNTS = {(73_257, 26_032): "svhn"}


def _recognised(columns: dict[str, npt.NDArray[Any]]) -> str | None:
    """The official data set that these arrays are beyond doubt; what is in no table is not doubted."""
    train, test = columns["train_images"], columns["test_images"]
    first = hashlib.sha256(np.ascontiguousarray(train[0]).tobytes()).hexdigest()[:16]
    return _FIRST.get(first) or _COUNTS.get((len(train), len(test)))


def _checked(path: Path, key: str, columns: dict[str, npt.NDArray[Any]]) -> Split:
    for column in (f"{key}_images", f"{key}_labels"):
        if column not in columns:
            raise UserError(f"{path} has no array {column!r}; it needs train_images, train_labels, test_images, "
                            "test_labels.")  # fmt: skip
    images, labels = columns[f"{key}_images"], columns[f"{key}_labels"]
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise UserError(f"{path}: {key}_images holds NaN or infinite values; store uint8 pixels in 0..255.")
    if images.dtype != np.uint8:
        low, high = (images.min(), images.max()) if images.size and images.dtype.kind in "biufc" else (0, 0)
        raise UserError(f"{path}: {key}_images is {images.dtype} with values in [{low:g}, {high:g}]; "
                        "store uint8 pixels in 0..255 (multiply images in [0, 1] by 255 and round).")  # fmt: skip
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise UserError(f"{path}: {key}_images has shape {images.shape}; it must be (N, height, width, 1 or 3).")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise UserError(f"{path}: {key}_labels is {labels.dtype} of shape {labels.shape}; it must hold one integer for "
                        f"each of the {len(images)} images.")  # fmt: skip
    if len(labels) == 0 or labels.min() < 0:
        raise UserError(f"{path}: {key}_labels must be 0 or greater and not empty.")
    split = Split(images, labels.astype(np.int64))
    keep = columns.get(f"{key}_lossless")
    if keep is None:
        return split
    if keep.dtype != np.bool_ or keep.shape != labels.shape or not keep.any():
        raise UserError(f"{path}: {key}_lossless is {keep.dtype} of shape {keep.shape}, {np.count_nonzero(keep)} true; "
                        f"it must hold one boolean for each of the {len(images)} images, some true.")  # fmt: skip
    return split.select(np.flatnonzero(keep))


def stratified(split: Split, limit: int | None, seed: int) -> Split:
    """At most ``limit`` images, as even over the classes as their counts allow, in the official order."""
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


@register_dataset("digits")
def digits(*, root: Path | None = None, test_share: float = 0.5, seed: int = 0) -> Dataset:
    """scikit-learn's 1,797 real handwritten digits, 8x8 (Alpaydin and Kaynak 1998), split by class from a seed."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=test_share, stratify=labels, random_state=seed)
    parts = [Split(images[i], labels[i], i.astype(np.int64)) for i in (np.sort(train), np.sort(test))]
    return Dataset("digits", parts[0], parts[1], 10)


def _fetch(build: Callable[[], Any], name: str, root: Path) -> Any:
    try:
        return build()
    except (OSError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{name} is not under {root} and could not be downloaded ({reason}); with no network, put it there by hand "
            f"or give --data-root a folder that holds {name}.npz."
        ) from None


def _default_root() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("subnetbench")) / "data"


def _torchvision(name: str, root: Path | None) -> Dataset:
    import torchvision.datasets as tv

    root = root or _default_root()
    if name == "svhn":
        parts = [_fetch(partial(tv.SVHN, str(root), split=s, download=True), name, root) for s in ("train", "test")]
        arrays = [(p.data.transpose(0, 2, 3, 1), p.labels) for p in parts]
    else:
        kind = tv.CIFAR10 if name == "cifar10" else tv.CIFAR100
        parts = [_fetch(partial(kind, str(root), train=t, download=True), name, root) for t in (True, False)]
        arrays = [(p.data, p.targets) for p in parts]
    splits = [Split(np.ascontiguousarray(images), np.asarray(labels, np.int64)) for images, labels in arrays]
    return Dataset(name, splits[0], splits[1], _KNOWN_CLASSES[name])


@register_dataset("cifar10")
def cifar10(*, root: Path | None = None) -> Dataset:
    """CIFAR-10 (Krizhevsky 2009), official splits."""
    return _torchvision("cifar10", root)


@register_dataset("cifar100")
def cifar100(*, root: Path | None = None) -> Dataset:
    """CIFAR-100 (Krizhevsky 2009), official splits, 100 fine labels."""
    return _torchvision("cifar100", root)


@register_dataset("svhn")
def svhn(*, root: Path | None = None) -> Dataset:
    """SVHN (Netzer et al. 2011), official train and test split."""
    return _torchvision("svhn", root)


@register_dataset("svhn10k")
def svhn10k(*, root: Path | None = None) -> Dataset:
    """The first 10,000 official SVHN test images as an 8,000 / 2,000 split; only from ``svhn10k.npz``."""
    raise UserError("svhn10k is read from svhn10k.npz; give the folder that holds it with --data-root.")
