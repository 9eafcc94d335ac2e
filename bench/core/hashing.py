"""Keys of artifacts: canonical JSON, hashes of arrays, files and code."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

#: Incremented when the output of a stage changes meaning, so that nothing old is mistaken for new.
FORMAT = 1


def canonical(value: Any) -> str:
    """One JSON text per value: sorted keys, no whitespace, no NaN."""
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
    """Hash of the modules that define a stage. Editing code changes it, editing comments or docstrings does not."""
    parts = [syntax(Path(module.__file__ or "").read_bytes()) for module in modules]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def source_hash(thing: object) -> str:
    """Hash of the files that define a plug-in and its bases, so that an edited version does not reuse old results."""
    parts = []
    for cls in (thing if inspect.isclass(thing) else type(thing)).__mro__[:-1]:  # all but object
        try:
            parts.append(syntax(Path(inspect.getsourcefile(cls) or "").read_bytes()))
        except (OSError, TypeError):
            parts.append(cls.__qualname__)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@lru_cache(maxsize=256)
def syntax(source: bytes) -> str:
    """A module's syntax tree as text, without comments, layout and docstrings; unparsable source unchanged."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source.decode("utf-8", "replace")
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return ast.dump(tree)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
