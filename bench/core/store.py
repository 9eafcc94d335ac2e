"""Artifacts by content hash: each is computed once, published whole by the first, verified when read."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from . import contents, lock
from .artifact import Arrays as Arrays
from .artifact import Artifact as Artifact
from .artifact import Meta as Meta
from .artifact import is_whole, is_whole_file, packed, unpacked
from .contents import LOCKS as LOCKS
from .earlier import Earlier
from .files import replace_file
from .hashing import canonical, key_of
from .home import STORE, cache, stated
from .machine import Machine, Used, stated_machines, written
from .mount import Mount
from .publish import discard, publish
from .refusal import StoreError as StoreError
from .refusal import refusal

When = Literal["missing", "always", "never", "cached"]

#: Kinds of artifacts on which one entry alone rests, a stage each; all others may be behind any entry of a run.
OF_ONE_ENTRY = frozenset({"cells", "characteristics", "contract", "outcome", "proof", "shifted"})

#: Whoever finds a name taken, and then nothing whole under it, tries so often before the name is taken by force.
TRIES = 3


class NotStored(Exception):  # noqa: N818 (not an error: an answer)
    """An artifact is absent, and the run may compute nothing."""


class Store:
    """A folder of artifacts ``<kind>/<key>.safetensors``, each preceded by its sha256.

    One file per artifact makes the write atomic and the check simple. Runs on any number of machines may share a store:
    the first to publish an artifact wins, and all others go on with its bits (but see ``always``). To save work, one
    waits for another that is making the artifact, as long as that gives signs of life. ``when`` is one of

    - ``missing``  compute what is absent (the default)
    - ``always``   compute everything that this run needs, once, and replace what is stored
    - ``never``    compute nothing; tables omit what is absent and say so
    - ``cached``   compute nothing; an absent artifact ends the run

    A store with artifacts may be read-only or full: it serves those. The last two never write. ``waiting`` shows that
    another run is waited for; ``suite`` and ``device`` are stated in what is made; ``used`` are the machines so far.
    """

    def __init__(self, root: Path, when: When = "missing", warn: Callable[[str], None] | None = None) -> None:
        self.root, self.when = root, when
        self.warn = warn or (lambda message: None)
        self.waiting: lock.Waiting = nullcontext
        self.computed, self.reused = 0, 0
        self.suite, self.device = "", "cpu"
        self.used = Used()
        self._fresh: set[str] = set()
        self._earlier = Earlier()
        self._mount = Mount(root)
        self._mount.open(writes=when in ("missing", "always"), must_write=when == "always")

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
                self.reused += self._earlier.counts(key, path)
                return artifact
        self._mount.refuse_vanished()
        if self.when in ("never", "cached"):
            raise NotStored(f"{kind} {key[:12]}")
        self._mount.make(path.parent)
        with self._locked(path):
            if self.when != "always":
                artifact = self.read(kind, key)  # the run that held the lock may have made it
                if artifact is not None:
                    self.reused += self._earlier.counts(key, path)
                    return artifact
            arrays, meta = compute()
            artifact = self.write(kind, key, arrays, meta)
            self.computed += 1
            self._fresh.add(key)
            self._earlier.known.add(key)
            with contextlib.suppress(OSError):
                self.scratch(kind, key).unlink(missing_ok=True)
            return artifact

    def has(self, kind: str, inputs: Mapping[str, Any]) -> bool:
        return os.path.isfile(self.path(kind, key_of(kind, inputs)))

    def read(self, kind: str, key: str) -> Artifact | None:
        path = self.path(kind, key)
        blob = self._mount.blob(path)
        if blob is None:
            return None
        if is_whole(blob):
            arrays, meta, made_by = unpacked(blob)
            self.used.add(stated_machines(made_by), apart=kind in OF_ONE_ENTRY)
            return arrays, meta
        self._damaged(path, kind)
        return None

    def _damaged(self, path: Path, kind: str) -> None:
        rebuild = self.when in ("missing", "always")
        self.warn(
            f"The stored {kind} {path.name} is damaged (its sha256 differs) and is "
            f"{'built again' if rebuild else 'left out'}."
        )
        if rebuild:
            with self._mount.answers():
                discard(path, is_whole_file)

    def write(self, kind: str, key: str, arrays: Arrays, meta: Meta) -> Artifact:
        """Publish an artifact and return the one that is stored: another run's, where that was first."""
        here = Machine.here(self.device)
        machines = [here, *(machine for machine in self.used.kinds if machine != here)]
        parts = packed(arrays, meta, {"machines": written(machines), "suite": self.suite})
        with self._mount.answers():
            first = self._published(kind, key, parts)
        if first is not None:
            return first
        self.used.add([here], apart=kind in OF_ONE_ENTRY)
        return arrays, json.loads(canonical(meta))  # through JSON and back: a fresh artifact equals a stored one

    def _published(self, kind: str, key: str, parts: Sequence[bytes]) -> Artifact | None:
        """Publish an artifact; the one of another run, if that was first."""
        path = self.path(kind, key)
        self._mount.make(path.parent)
        for _ in range(0 if self.when == "always" else TRIES):
            try:
                if publish(path, parts):
                    return None
                first = self.read(kind, key)
                if first is not None:
                    return first
            except FileNotFoundError:  # a run of `clean` took the empty folder away
                self._mount.refuse_vanished()
                self._mount.make(path.parent)
        replace_file(path, b"".join(parts))
        return None

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        folder, kind = self.root / LOCKS, path.parent.name
        self._mount.make(folder)

        def made() -> bool:
            return self.when != "always" and os.path.isfile(path)

        try:
            with lock.locked(folder / f"{kind}-{path.stem}.lease", f"{kind} {path.stem[:12]}", self.waiting, made):
                yield
        except lock.LockRefused as refused:
            raise self.refused(refused.error) from None

    def refused(self, error: OSError) -> StoreError:
        """One sentence for an error of the file system."""
        return refusal(self.root, error)

    def size(self) -> dict[str, tuple[int, int]]:
        """Files and bytes of each kind. Only a store's own files count, whatever else is in the folder."""
        with self._mount.answers():
            return contents.sizes(self.root)

    def clean(self, kinds: list[str] | None = None) -> int:
        """Remove the artifacts of some kinds, or all; return the bytes freed."""
        with self._mount.answers():
            return contents.remove(self.root, kinds)


def default_store() -> Path:
    return stated(STORE) or cache("--store") / "store"
