"""Keys of artifacts: canonical JSON, hashes of arrays, files and code."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from .sources import read_once, sources_of

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
    parts = [syntax(read_once(Path(module.__file__ or ""), module)) for module in modules]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


#: A distribution of more files than this is hashed byte by byte: to parse a whole library takes tens of seconds.
MOST_PARSED = 200


def source_hash(thing: object) -> str:
    """Hash of a plug-in (class, function or instance) with every file that counts for it, see `sources_of`.

    An edited helper, base or factory then does not reuse old results.
    """
    sources = sources_of(thing)
    parsed = len(sources) <= MOST_PARSED
    parts = [[name, syntax(text) if parsed else hashlib.sha256(text).hexdigest()] for name, text in sources.items()]
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:16]


@lru_cache(maxsize=2048)
def syntax(source: bytes) -> str:
    """Hash of a module's syntax tree: no comments, layout or docstrings. Of unparsable source, hash of the bytes."""
    try:
        tree = ast.parse(source)
        text = _written(tree).encode("utf-8", "surrogatepass")
    except (SyntaxError, ValueError, RecursionError):
        text = source
    return hashlib.sha256(text).hexdigest()


def _written(node: Any) -> str:
    """A syntax tree as one text, the same in every version of Python.

    `ast.dump` is not: versions differ in the fields that they know and in those that they leave out when empty.
    """
    kind = type(node)
    if kind is str:
        return repr(node)
    if kind is list:
        return f"[{','.join(map(_written, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Constant):
        return f"Constant({type(node.value).__name__} {node.value!r})"
    known = []
    for name in sorted(node._fields):
        value: Any = getattr(node, name, None)
        if name == "body" and isinstance(node, _DOCUMENTED):
            value = _without_docstring(value)
        elif name == "values" and isinstance(node, ast.JoinedStr):
            value = _merged(value)
        if value is not None and value != []:
            known.append(f"{name}={_written(value)}")
    return f"{kind.__name__}({','.join(known)})"


#: Kinds of nodes whose body may begin with a docstring.
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return body[1:] if said else body


def _merged(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string with neighbouring texts as one, which versions cut differently."""
    merged: list[ast.expr] = []
    for value in values:
        last = merged[-1] if merged else None
        if isinstance(value, ast.Constant) and isinstance(last, ast.Constant):
            merged[-1] = ast.Constant(str(last.value) + str(value.value))
        elif not (isinstance(value, ast.Constant) and value.value == ""):
            merged.append(value)
    return merged


def digest(path: Path) -> str:
    """sha256 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
