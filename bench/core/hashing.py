"""Keys of artifacts: canonical JSON, hashes of arrays, files and code."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

#: Raised by one when what a stage computes changes meaning, so that nothing old is taken for new.
FORMAT = 1


def canonical(value: Any) -> str:
    """One JSON text a value: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | set | frozenset):
        return sorted(value) if not isinstance(value, tuple) else list(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


def key_of(kind: str, inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical({"kind": kind, "format": FORMAT, **inputs}).encode()).hexdigest()[:32]


def hash_arrays(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def code_hash(*modules: ModuleType) -> str:
    """Of the modules that define a stage: what an earlier version of it computed is computed again."""
    return hashlib.sha256(b"".join(Path(module.__file__ or "").read_bytes() for module in modules)).hexdigest()[:16]


def source_hash(thing: object) -> str:
    """Of the files that define a plug-in and its bases: its results are not taken for those of an edited version."""
    digest = hashlib.sha256()
    for cls in (thing if inspect.isclass(thing) else type(thing)).__mro__[:-1]:  # all but object
        try:
            digest.update(Path(inspect.getsourcefile(cls) or "").read_bytes())
        except (OSError, TypeError):
            digest.update(cls.__qualname__.encode())
    return digest.hexdigest()[:16]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
