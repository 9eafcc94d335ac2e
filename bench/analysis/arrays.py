"""The arrays of figures 2 and 3: written, read and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..core.errors import UserError, reason_of
from ..core.files import MOST_ARRAYS
from ..core.hashing import canonical
from ..core.packed import read_content, write_content
from ..core.store import Arrays

#: Where a results folder keeps the arrays of figures 2 and 3. Those of figure 2, half of them zeros, were as large as
#: everything else of a suite, so that they are compressed; earlier versions wrote them as they are.
FEATURES = Path("subnets") / "features.safetensors.xz"
PLAIN_FEATURES = FEATURES.with_suffix("")
GATES = Path("subnets") / "gates.safetensors"

#: The fewest images on which a neighbour vote is informative.
MINIMUM_IMAGES = 20

#: Feature arrays with their titles, in the order of tables and pictures; ``random`` is optional.
REPRESENTATIONS = {
    "full": "full net",
    "subnet": "predicted class's subnet",
    "random": "random gates (control)",
}


def write_arrays(path: Path, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, compressed where the name ends in xz: the same arrays and metadata give the same bytes.

    The metadata (``dataset``, ``attack``, ...) are one JSON text, since the format does not fix the order of several.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    blob = save(whole, metadata={"about": canonical(dict(metadata))})
    write_content(path, blob)


def features_file(folder: Path) -> Path | None:
    """The arrays of figure 2 in a results folder, compressed or as earlier versions wrote them; None without any."""
    return next((folder / name for name in (FEATURES, PLAIN_FEATURES) if (folder / name).is_file()), None)


def content_hash(path: Path) -> str:
    """sha256 of the arrays and metadata in a file: the same whether or not it is compressed, and by what version."""
    return hashlib.sha256(read_content(path, MOST_ARRAYS)).hexdigest()


def read_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Arrays and metadata that `write_arrays` wrote; UserError where the file is not such a file."""
    try:
        blob = read_content(path, MOST_ARRAYS)
        arrays = load(blob)
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
        metadata = {str(key): str(value) for key, value in json.loads(header["__metadata__"]["about"]).items()}
        if "dataset" not in metadata:
            raise KeyError("dataset")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as arrays of a figure ({reason_of(error, typed=True)}); run its suite again."
        ) from None
    return arrays, metadata


def read_features(folder: Path) -> tuple[Arrays, dict[str, str]]:
    """The arrays of figure 2, checked: every image appears once true and once adversarial."""
    path = features_file(folder) or folder / FEATURES
    arrays, metadata = read_arrays(path)
    wanted = ("full", "subnet", "predicted", "adversarial", "image")
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise UserError(f"{path} lacks the array {missing[0]!r} of figure 2; run its suite again.")
    true, false = (np.sort(arrays["image"][arrays["adversarial"] == flag]) for flag in (0, 1))
    features = [arrays[name] for name in REPRESENTATIONS if name in arrays]
    paired = len(true) > 0 and np.array_equal(true, false) and len(np.unique(true)) == len(true)
    rows = len(arrays["image"])
    if (
        not paired
        or rows != 2 * len(true)
        or len(arrays["predicted"]) != rows
        or any(f.ndim != 2 or len(f) != rows or not np.isfinite(f).all() for f in features)
    ):
        raise UserError(
            f"The arrays of {path} do not belong together (each image once true and once adversarial, with "
            "finite features); run its suite again."
        )
    return arrays, metadata
