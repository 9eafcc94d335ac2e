"""Loading of data sets: by name, from a file, from a folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.errors import UserError
from ..core.home import expanded
from ..core.registry import datasets
from .dataset import Dataset
from .npz import from_npz


def load(name: str, root: Path | None = None, **parameters: Any) -> Dataset:
    """The data set ``name``, or the user's own when ``root`` is an ``.npz`` or ``name`` is one.

    ``root`` may be a folder that holds ``<name>.npz``, an ``.npz`` itself, or the folder torchvision downloads into.
    """
    if name.endswith(".npz"):
        return _built(from_npz, "an .npz", name=Path(name).stem, path=expanded(name), **parameters)
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
    """The factory's data set. Parameters that it does not take are a UserError; errors inside it pass through."""
    try:
        inspect.signature(factory).bind(**parameters)
    except TypeError as error:
        raise UserError(f"dataset.parameters: the data set {title} does not take them ({error}).") from None
    return factory(**parameters)
