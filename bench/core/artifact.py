"""An artifact as a file: sha256 of what follows, length of the meta data, meta data with who made it, tensors."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from .hashing import canonical

Arrays = dict[str, npt.NDArray[Any]]
Meta = dict[str, Any]
Artifact = tuple[Arrays, Meta]

#: The key of who made an artifact, beside the meta data of the stage that asked for it and never part of those.
MADE_BY = "made by"

#: Names of artifacts, of checkpoints, and of partial files that a killed run left.
NAME = re.compile(r"(\w+-)?[0-9a-f]{32}\.safetensors|\.partial-\w+")

_HASH, _LENGTH = 64, 8

#: Meta data longer than this is not read for a list.
_MOST_META = 64 << 20


def packed(arrays: Arrays, meta: Meta, made_by: Meta) -> list[bytes]:
    """The parts of an artifact's file, one after the other."""
    text = canonical({**meta, MADE_BY: made_by}).encode()
    tensors = dump_tensors({name: np.asarray(array, order="C") for name, array in arrays.items()})  # keeps a scalar one
    body = [len(text).to_bytes(_LENGTH, "little"), text, tensors]
    digest = hashlib.sha256()
    for part in body:
        digest.update(part)
    return [digest.hexdigest().encode(), *body]


def is_whole(blob: bytes) -> bool:
    return hashlib.sha256(memoryview(blob)[_HASH:]).hexdigest().encode() == blob[:_HASH]


def is_whole_file(path: Path) -> bool:
    return is_whole(path.read_bytes())


def unpacked(blob: bytes) -> tuple[Arrays, Meta, Meta]:
    """Arrays, meta data, and who made it (empty where an earlier version did)."""
    begin = _HASH + _LENGTH + int.from_bytes(blob[_HASH : _HASH + _LENGTH], "little")
    meta: Meta = json.loads(blob[_HASH + _LENGTH : begin])
    made_by = meta.pop(MADE_BY, {})
    return load_tensors(blob[begin:]), meta, made_by if isinstance(made_by, dict) else {}


def made_by(path: Path) -> Mapping[str, Any]:
    """Who made an artifact, from the beginning of its file; empty where it does not say. OSError as of reading."""
    with path.open("rb") as file:
        head = file.read(_HASH + _LENGTH)
        length = int.from_bytes(head[_HASH:], "little")
        text = file.read(length) if length <= _MOST_META else b""
    try:
        stated = json.loads(text)[MADE_BY]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return stated if isinstance(stated, dict) else {}
