"""Artifacts by content hash: each is computed once, written atomically, verified when read, rebuilt when damaged."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import platformdirs
from filelock import FileLock
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from .errors import UserError
from .files import replace_file
from .hashing import canonical, key_of

When = Literal["missing", "always", "never", "cached"]
Arrays = dict[str, npt.NDArray[Any]]
Meta = dict[str, Any]
Artifact = tuple[Arrays, Meta]


class StoreError(UserError):
    """The store itself cannot be used; the stage that asked is not at fault."""


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
    """

    def __init__(self, root: Path, when: When = "missing", warn: Callable[[str], None] | None = None) -> None:
        self.root, self.when = root, when
        self.warn = warn or (lambda message: None)
        self.computed, self.reused = 0, 0
        self._fresh: set[str] = set()
        try:
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=root):
                pass
        except OSError as error:
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
        digest, body = blob[:64], blob[64:]
        if hashlib.sha256(body).hexdigest().encode() != digest:
            rebuild = self.when in ("missing", "always")
            self.warn(
                f"The stored {kind} {path.name} is damaged (its sha256 differs) and is "
                f"{'built again' if rebuild else 'left out'}."
            )
            if rebuild:
                path.unlink(missing_ok=True)
            return None
        length = int.from_bytes(body[:8], "little")
        meta: Meta = json.loads(body[8 : 8 + length])
        return load_tensors(body[8 + length :]), meta

    def write(self, kind: str, key: str, arrays: Arrays, meta: Meta) -> None:
        path = self.path(kind, key)
        text = canonical(meta).encode()
        body = (
            len(text).to_bytes(8, "little")
            + text
            + dump_tensors(
                {name: np.asarray(array, order="C") for name, array in arrays.items()}  # keeps a scalar a scalar
            )
        )
        self._make(path.parent)
        try:
            replace_file(path, hashlib.sha256(body).hexdigest().encode() + body)
        except OSError as error:
            raise self.refused(error) from None

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.refused(error) from None

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        folder = self.root / "locks"
        self._make(folder)
        lock = FileLock(folder / f"{path.parent.name}-{path.stem}.lock")
        try:
            lock.acquire()
        except OSError as error:
            raise self.refused(error) from None
        try:
            yield
        finally:
            lock.release()

    def refused(self, error: OSError) -> StoreError:
        """One sentence for an error of the file system."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreError(
                f"The store {self.root} is full; free space there or give another with --store. "
                "Everything finished so far is kept."
            )
        return StoreError(
            f"The store {self.root} cannot be used ({error.strerror or error}); make it a writable "
            "folder or give another with --store."
        )

    def size(self) -> dict[str, tuple[int, int]]:
        """Files and bytes of each kind. Only a store's own files count, whatever else is in the folder."""
        sizes = {}
        for folder in sorted(p for p in self.root.iterdir() if p.is_dir() and p.name != "locks"):
            files = _artifacts(folder)
            if files:
                sizes[folder.name] = (len(files), sum(p.stat().st_size for p in files))
        return sizes

    def clean(self, kinds: list[str] | None = None) -> int:
        """Remove the artifacts of some kinds, or all; return the bytes freed."""
        freed = 0
        for kind, (_, size) in self.size().items():
            if kinds is None or kind in kinds:
                _remove(_artifacts(self.root / kind), self.root / kind)
                freed += size
        if kinds is None:
            _remove(list((self.root / "locks").glob("*.lock")), self.root / "locks")
        return freed


#: Names of artifacts, of checkpoints, and of partial files that a killed run left.
_ARTIFACT = re.compile(r"(\w+-)?[0-9a-f]{32}\.safetensors|\.partial-\w+")


def _artifacts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _ARTIFACT.fullmatch(path.name) and path.is_file()]


def _remove(files: Sequence[Path], folder: Path) -> None:
    """Remove these files, and their folder if that leaves it empty."""
    for path in files:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def default_store() -> Path:
    return Path(platformdirs.user_cache_dir("subnetbench")) / "store"
