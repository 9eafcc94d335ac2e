"""What an earlier process found out about the same code, so that nobody imports torch to say it again.

One small JSON file a fact in the user's cache. Its key is the content of our own Python files, with what else they
depend on: the interpreter, the installed distributions and our data files. Where it cannot be read or written,
nothing is remembered, and everything is found out again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import replace_file
from .home import cache

#: Our packages, and the data that they read.
ROOMS = tuple(f"subnetbench.{room}" for room in ("bench", "attacks", "detectors", "subnets", "published"))


def recall(name: str) -> Any:
    """The fact of this name that `remember` kept for the code as it is now, or None."""
    try:
        kept = json.loads(_file(name).read_text(encoding="utf-8"))
        return kept["fact"] if kept["code"] == code() else None
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None


def remember(name: str, fact: Any) -> None:
    """Keep a fact, which JSON can hold, in place of an earlier one of this name."""
    try:
        file = _file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps({"code": code(), "fact": fact}).encode())
    except (OSError, UserError):  # a full or read-only home, or none
        return


def _file(name: str) -> Path:
    """One for each place that we are installed in, so that two environments do not replace each other's."""
    place = hashlib.sha256(f"{sys.prefix} {__file__}".encode()).hexdigest()[:8]
    return cache("--store") / "recalled" / f"{name}-{place}.json"


@lru_cache(maxsize=1)
def code() -> str:
    """Hash of everything that our own code is and runs on: editing a file changes it, and so does an installation."""
    state = hashlib.sha256(f"{sys.version} {sys.prefix} {' '.join(_distributions())}".encode())
    for room in ROOMS:
        spec = find_spec(room)
        for folder in sorted((spec.submodule_search_locations if spec else None) or ()):
            for path in sorted(_files(folder)):
                state.update(f"{room} {os.path.relpath(path, folder)} ".encode())
                state.update(_content(path))
    return state.hexdigest()


def _distributions() -> list[str]:
    """Names and versions of what is installed, as the names of the folders that state them."""
    folders = [folder for folder in set(sys.path) if os.path.isdir(folder)]
    kinds = (".dist-info", ".egg-info")
    return sorted({name for folder in folders for name in os.listdir(folder) if name.endswith(kinds)})


def _files(folder: str) -> Iterator[str]:
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if name != "__pycache__"]
        yield from (os.path.join(place, name) for name in names)


def _content(path: str) -> bytes:
    """The content of code and of texts; of weights, which are megabytes, size and time."""
    if path.endswith((".safetensors", ".safetensors.xz")):
        at = os.stat(path)
        return f"{at.st_size} {at.st_mtime_ns}".encode()
    with open(path, "rb") as file:
        return file.read()
