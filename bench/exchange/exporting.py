"""Attacked images packed from the store into one file to share.

The archive is a zip of ``manifest.json`` and of one safetensors file with one array ``images`` (float32, NCHW, [0, 1])
for each batch of each attack.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from safetensors.numpy import save as dump_tensors

from ..core.errors import UserError
from ..core.files import partial_file, target_of
from ..core.hashing import hash_arrays, key_of
from ..core.versions import versions
from ..detection.attacked import COSTS, Attacked
from ..detection.suite import AttackPart
from .manifest import MANIFEST, AttackedImages, Chunk, Images, Made, Manifest


def export(attacked: Attacked, out: Path) -> Manifest:
    """Write the attacked images of a suite to ``out``, crafting what the store lacks; returns the manifest."""
    suite = attacked.setup.suite
    head = Images(
        name=attacked.setup.dataset.name,
        sha256=attacked.setup.dataset.content_hash,
        ids_sha256=hash_arrays(attacked.setup.test.ids),
        count=len(attacked.setup.test),
        shape=list(attacked.setup.dataset.shape),
    )
    net = Made(name=suite.model.name, sha256=attacked.setup.trained.sha256)
    sets = []
    with _replacing(out) as file, zipfile.ZipFile(file, "w") as zip_:
        for number, part in enumerate(attacked.parts):
            attacked.strength(part)  # makes what is missing
            digest = hashlib.sha256()
            chunks = list(_packed(attacked, part, number, zip_, digest))
            first = next(iter(attacked.chunks(part)))[1]
            inputs = {name: first[name] for name in ("attack", "library", "version", "parameters", "source", "seed")}
            sets.append(AttackedImages(label=part.title, chunks=chunks, images_sha256=digest.hexdigest(), **inputs))
        manifest = Manifest(
            format=1,
            suite=suite.name,
            limit=suite.limit,
            seed=suite.seed,
            model=net,
            dataset=head,
            sets=sets,
            versions=dict(versions()),
        )
        _put(zip_, MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode())
    return manifest


def _packed(
    attacked: Attacked, part: AttackPart, number: int, zip_: zipfile.ZipFile, digest: hashlib._Hash
) -> Iterator[Chunk]:
    for chunk, inputs in attacked.chunks(part):
        attacked.crafted(part, chunk, inputs)
        artifact = attacked.setup.context.store.read("adversarial", key_of("adversarial", inputs))
        assert artifact is not None  # it was just made
        images = np.ascontiguousarray(artifact[0]["images"], "<f4")
        digest.update(images.tobytes())
        blob = dump_tensors({"images": images})
        file = f"sets/{number:03d}/{chunk.start:08d}.safetensors"
        _put(zip_, file, blob)
        yield Chunk(
            file=file,
            sha256=hashlib.sha256(blob).hexdigest(),
            bytes=len(blob),
            first=chunk.start,
            count=chunk.stop - chunk.start,
            **{name: float(artifact[1][name]) for name in COSTS if name in artifact[1]},
        )


def _put(zip_: zipfile.ZipFile, name: str, blob: bytes) -> None:
    """Write a member without a date, so that the same images give the same file."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    zip_.writestr(info, blob, compresslevel=1)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file that replaces ``path`` once it is complete."""
    try:
        path = target_of(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = partial_file(path.parent)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); give another --out.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); give another --out.") from None
    finally:
        with suppress(OSError):
            os.unlink(partial)
