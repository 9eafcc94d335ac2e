"""Artifacts by content hash: each is computed once, written atomically, verified when read, rebuilt when damaged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from . import lock
from .files import replace_file
from .hashing import canonical, key_of
from .home import cache
from .refusal import READ_ONLY, refusal
from .refusal import StoreError as StoreError

When = Literal["missing", "always", "never", "cached"]
Arrays = dict[str, npt.NDArray[Any]]
Meta = dict[str, Any]
Artifact = tuple[Arrays, Meta]


#: The folder of locks, which are no artifacts.
LOCKS = "locks"


class NotStored(Exception):  # noqa: N818 (not an error: an answer)
    """An artifact is absent, and the run may compute nothing."""


class Store:
    """A folder of artifacts ``<kind>/<key>.safetensors``, each preceded by its sha256.

    One file per artifact makes the write atomic (a rename) and the check simple. Runs may share a store: the second
    waits for the first on that artifact's lock, then reads the artifact. ``when`` is one of

    - ``missing``  compute what is absent (the default)
    - ``always``   compute everything that this run needs, once, and replace what is stored
    - ``never``    compute nothing; tables omit what is absent and say so
    - ``cached``   compute nothing; an absent artifact ends the run

    A store with artifacts may be read-only: it serves those. ``waiting`` shows that another run is waited for.
    """

    def __init__(self, root: Path, when: When = "missing", warn: Callable[[str], None] | None = None) -> None:
        self.root, self.when = root, when
        self.warn = warn or (lambda message: None)
        self.waiting: lock.Waiting = nullcontext
        self.computed, self.reused = 0, 0
        self._fresh: set[str] = set()
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                pass
        except OSError as error:
            if when == "always" or not (error.errno in READ_ONLY and os.path.isdir(root) and self.size()):
                raise self.refused(error) from None

    def path(self, kind: str, key: str) -> Path:
        return self.root / kind / f"{key}.safetensors"

    def scratch(self, kind: str, key: str) -> Path:
        """The path of a stage's own checkpoint, removed when the artifact is complete."""
        return self.root / "scratch" / f"{kind}-{key}.safetensors"

    def get(self, kind: str, inputs: Mapping[str, Any], compute: Callable[[], Artifact]) -> Artifact:
        """The artifact that ``inputs`` determine: read if present and intact, else computed and written."""
        key = key_of(kind, inputs)
        path = self.path(kind, key)
        if self.when != "always" or key in self._fresh:
            artifact = self.read(kind, key)
            if artifact is not None:
                self.reused += 1
                return artifact
        if self.when in ("never", "cached"):
            raise NotStored(f"{kind} {key[:12]}")
        self._make(path.parent)
        with self._locked(path):
            if self.when != "always":
                artifact = self.read(kind, key)  # the run that held the lock may have made it
                if artifact is not None:
                    self.reused += 1
                    return artifact
            arrays, meta = compute()
            # Through JSON and back, so that a fresh artifact equals a stored one to the last key.
            meta = json.loads(canonical(meta))
            self.write(kind, key, arrays, meta)
            self.computed += 1
            self._fresh.add(key)
            self.scratch(kind, key).unlink(missing_ok=True)
            return arrays, meta

    def has(self, kind: str, inputs: Mapping[str, Any]) -> bool:
        return self.path(kind, key_of(kind, inputs)).is_file()

    def read(self, kind: str, key: str) -> Artifact | None:
        path = self.path(kind, key)
        try:
            blob = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self.refused(error) from None
        if hashlib.sha256(blob[64:]).hexdigest().encode() != blob[:64]:
            rebuild = self.when in ("missing", "always")
            self.warn(
                f"The stored {kind} {path.name} is damaged (its sha256 differs) and is "
                f"{'built again' if rebuild else 'left out'}."
            )
            if rebuild:
                self._remove([path])
            return None
        return _unpacked(blob)

    def write(self, kind: str, key: str, arrays: Arrays, meta: Meta) -> None:
        path = self.path(kind, key)
        self._make(path.parent)
        try:
            replace_file(path, _packed(arrays, meta))
        except OSError as error:
            raise self.refused(error) from None

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.refused(error) from None

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        folder, kind = self.root / LOCKS, path.parent.name
        self._make(folder)
        try:
            with lock.locked(folder / f"{kind}-{path.stem}.lock", f"{kind} {path.stem[:12]}", self.waiting):
                yield
        except lock.LockRefused as refused:
            raise refusal(self.root, refused.error, refused.path) from None

    def refused(self, error: OSError) -> StoreError:
        """One sentence for an error of the file system."""
        return refusal(self.root, error)

    def size(self) -> dict[str, tuple[int, int]]:
        """Files and bytes of each kind. Only a store's own files count, whatever else is in the folder."""
        try:
            folders = sorted(path for path in self.root.iterdir() if path.is_dir() and path.name != LOCKS)
            found = {folder.name: _artifacts(folder) for folder in folders}
            return {kind: (len(files), sum(p.stat().st_size for p in files)) for kind, files in found.items() if files}
        except OSError as error:
            raise self.refused(error) from None

    def clean(self, kinds: list[str] | None = None) -> int:
        """Remove the artifacts of some kinds, or all; return the bytes freed."""
        freed = 0
        for kind, (_, size) in self.size().items():
            if kinds is None or kind in kinds:
                self._remove(_artifacts(self.root / kind))
                freed += size
        if kinds is None:
            self._remove([path for path in self.root.glob(f"{LOCKS}/*") if path.suffix in (".lock", ".holder")])
        return freed

    def _remove(self, files: Sequence[Path]) -> None:
        """Remove these files, and their folders where that leaves them empty."""
        try:
            for path in files:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self.refused(error) from None
        for folder in {path.parent for path in files}:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _packed(arrays: Arrays, meta: Meta) -> bytes:
    """An artifact's file: sha256 of what follows, length of the meta data, meta data, tensors."""
    text = canonical(meta).encode()
    tensors = dump_tensors({name: np.asarray(array, order="C") for name, array in arrays.items()})  # keeps a scalar one
    body = len(text).to_bytes(8, "little") + text + tensors
    return hashlib.sha256(body).hexdigest().encode() + body


def _unpacked(blob: bytes) -> Artifact:
    begin = 64 + 8 + int.from_bytes(blob[64:72], "little")
    meta: Meta = json.loads(blob[72:begin])
    return load_tensors(blob[begin:]), meta


#: Names of artifacts, of checkpoints, and of partial files that a killed run left.
_ARTIFACT = re.compile(r"(\w+-)?[0-9a-f]{32}\.safetensors|\.partial-\w+")


def _artifacts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _ARTIFACT.fullmatch(path.name) and path.is_file()]


def default_store() -> Path:
    return cache("--store") / "store"
