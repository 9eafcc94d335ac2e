"""Loading of data sets: by name, from a file, from a folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.blame import blamed
from ..core.errors import UserError
from ..core.home import expanded
from ..core.parameters import check_parameters
from ..core.registry import datasets
from ..core.sources import HOME, home_of
from .arrays import check_dataset
from .checks import checked
from .dataset import Dataset
from .npz import from_npz, no_file


def load(name: str, root: Path | None = None, **parameters: Any) -> Dataset:
    """The data set ``name``: registered, or an ``.npz`` named by its path or by its stem (see `data_file`).

    ``root`` may be a folder that holds the ``.npz``, the ``.npz`` itself, or the folder torchvision downloads into.
    """
    return checked(_loaded(name, root, **parameters))


def _loaded(name: str, root: Path | None, **parameters: Any) -> Dataset:
    root = _there(root)
    file = data_file(name, root)
    if file is not None:
        title = expanded(name).stem if is_npz(name) else name
        return _built(from_npz, "an .npz", name=title, path=file, **parameters)
    factory = datasets.get(name)
    return check_dataset(f"The data set {name!r}", _built(factory, repr(name), root=root, **parameters))


def is_npz(name: str | Path) -> bool:
    """Whether a data set's name or a data root is an ``.npz`` file's."""
    return str(name).lower().endswith(".npz")


def data_file(name: str, root: Path | None) -> Path | None:
    """The ``.npz`` that holds the data set ``name``, None if it is in none.

    A name without suffix is that of ``<name>.npz`` in the folder ``root``. A name with it is looked for in ``root``
    first, and then as the path that it is. A ``root`` that is itself an ``.npz`` is the one.
    """
    if root is not None and is_npz(root):
        if is_npz(name) and Path(name).name != root.name:
            raise UserError(f"The suite's data are {name} and --data-root is {root}; give one of them.")
        return root
    if not is_npz(name):
        places = [] if root is None else [root / f"{name}{suffix}" for suffix in (".npz", ".NPZ")]
        return next((place for place in places if place.is_file()), None)
    path = expanded(name)
    return path if root is None or (path.is_file() and not (root / path).is_file()) else root / path


def check_name(name: str, root: Path | None) -> None:
    """UserError if there is no such data set, as far as that shows without reading it."""
    root = _there(root)
    file = data_file(name, root)
    if file is None:
        datasets.get(name)
    elif not file.is_file() and (root is not None or file.parent != Path()):  # a bare name may be one in a data root
        raise no_file(file)


def _there(root: Path | None) -> Path | None:
    """The data root with ``~`` expanded. UserError for a folder that is not there."""
    root = None if root is None else expanded(root)
    if root is not None and not is_npz(root) and not root.is_dir():
        raise UserError(f"The data root {root} does not exist; create it or give another with --data-root.")
    return root


def _built(factory: Callable[..., Dataset], title: str, **parameters: Any) -> Dataset:
    """The factory's data set. Parameters that it does not take are a UserError, as is any error in a plug-in's."""
    try:
        inspect.signature(factory).bind(**parameters)
    except TypeError as error:
        raise UserError(f"dataset.parameters: the data set {title} does not take them ({error}).") from None
    given = {key: value for key, value in parameters.items() if key not in ("name", "path", "root")}
    check_parameters(factory, given, ("dataset", "parameters"))
    if home_of(factory) == HOME:
        return factory(**parameters)
    with blamed(f"The data set {title}"):
        return factory(**parameters)
