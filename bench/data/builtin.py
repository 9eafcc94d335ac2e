"""scikit-learn's digits and torchvision's data sets."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Bools, Floats, Ints
from ..core.errors import UserError, reason_of
from ..core.home import cache
from ..core.parameters import is_number, seed_of
from ..core.places import ParameterError
from ..core.registry import register_dataset
from .dataset import Dataset, Split
from .npz import _KNOWN_CLASSES

#: A bit for each of scikit-learn's digits: whether `train_test_split` puts it into the test split for a share of .5 and
#: the seed 0. The default suite need not wait for scikit-learn's import, a fifth of a second run.
IN_TEST = (
    "6jhEyrXmeNGZVm8h13JNHvooDhMqtEDvJyxeCDEZl58B0DkypjX+o5rDnvRKKE/fvEYXLsliz+LKMfC6YB7YpXnroTBJWI3Fh5JC"
    "H/CQEVVK7EHxHiF27swJhfo3lozDv4c+p6befkMkEi/b1OgFprn9ExLyceVA8Sxwbpw376fSH01eyEBIYqmknKp0SfZflWPui9Or"
    "35LtisWiJSafYiPN8gLB8f2O28hJ+ZVNls4hCozYqPVyN645IclNzMhuy2E20yqykwn2rnAtpselyO90gdjopLRSh7ZaMtU8vB1g"
)


@register_dataset("digits")
def digits(*, root: Path | None = None, test_share: float = 0.5, seed: int = 0) -> Dataset:
    """scikit-learn's 1,797 real handwritten digits, 8x8 (Alpaydin and Kaynak 1998), split by class from a seed."""
    seed_of("digits", "seed", seed)
    if not (is_number(test_share) and 0.01 <= test_share <= 0.99):
        raise ParameterError(
            "test_share",
            test_share,
            f"digits: test_share is {test_share!r}; it must be between 0.01 and 0.99, so that every class has training "
            "and test images.",
        )
    levels, labels = _levels_and_labels()
    images = np.round(levels * (255 / 16)).astype(np.uint8)[..., None]
    in_test = _test_rows(labels, float(test_share), seed)
    parts = [Split(images[i], labels[i], i) for i in (np.flatnonzero(~in_test), np.flatnonzero(in_test))]
    return Dataset("digits", parts[0], parts[1], 10)


def _levels_and_labels() -> tuple[Floats, Ints]:
    """Levels of 0 to 16 ``(1797, 8, 8)`` and classes, from the file of scikit-learn, without its import."""
    spec = importlib.util.find_spec("sklearn")
    places = spec.submodule_search_locations if spec else None
    path = Path(places[0]) / "datasets" / "data" / "digits.csv.gz" if places else Path()
    if path.is_file():
        rows = np.loadtxt(path, delimiter=",")
        return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images, bunch.target.astype(np.int64)


def _test_rows(labels: Ints, share: float, seed: int) -> Bools:
    if (share, seed) == (0.5, 0):
        bits = np.frombuffer(base64.b64decode(IN_TEST), np.uint8)
        return np.unpackbits(bits, count=len(labels)).astype(bool)
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(labels))
    _, test = train_test_split(rows, test_size=share, stratify=labels, random_state=seed)
    return np.isin(rows, test)


def _fetch(build: Callable[[], Any], name: str, root: Path) -> Any:
    try:
        return build()
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(
            f"{name} is not under {root} and could not be downloaded ({reason_of(error)}); with no network, put it "
            f"there by hand or give --data-root a folder that holds {name}.npz."
        ) from None


def data_folder() -> Path:
    """Where data sets are downloaded to."""
    return cache("--data-root") / "data"


def _torchvision(name: str, root: Path | None) -> Dataset:
    import torchvision.datasets as tv

    root = root or data_folder()
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
