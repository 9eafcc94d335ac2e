"""The file of maps that figure 4 is drawn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..core.errors import UserError
from ..core.files import MOST_ARRAYS, read_bounded, write_bytes
from ..core.store import Arrays
from .entry import FOLDER

#: Maps of the pictured images. The file contains images of the data set: never commit it.
MAPS = Path(FOLDER) / "maps.safetensors"


def write_maps(path: Path, arrays: Arrays) -> None:
    """Write the arrays that figure 4 is drawn from, or remove the file if the suite has no pictures."""
    if arrays:
        write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    else:
        path.unlink(missing_ok=True)


def read_maps(path: Path) -> Arrays:
    try:
        return dict(load(read_bounded(path, MOST_ARRAYS)))
    except (OSError, SafetensorError) as error:
        raise UserError(f"The maps {path} cannot be read ({error}); run the suite again.") from None
