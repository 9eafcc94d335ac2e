"""Gates stored among other arrays in a file, checked; tables read them without a net."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..bench.core.arrays import Floats
from ..bench.core.errors import UserError

#: Prefix of the names of gates among other arrays.
PREFIX = "gates/"


def checked_gates(arrays: Mapping[str, Floats]) -> dict[str, Floats]:
    """The gates among arrays: path -> ``(classes, channels)`` float32; arrays with other names are ignored.

    Raises UserError if an array's shape or values are not those of gates.
    """
    gates = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
    if not gates:
        raise UserError(f"There are no gates among the arrays; their names must start with {PREFIX!r}.")
    for path, array in gates.items():
        if array.ndim != 2 or not np.isfinite(array).all() or (array < 0).any():
            raise UserError(
                f"The arrays of {path!r} are not gates: they must be finite, at least 0 and of shape "
                f"(classes, channels), not {array.shape}."
            )
    if len({len(array) for array in gates.values()}) > 1:
        raise UserError(
            f"The gates of {', '.join(gates)} differ in their number of classes; they do not belong to one net."
        )
    return {path: np.array(array, np.float32) for path, array in gates.items()}
