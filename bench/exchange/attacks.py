"""Attacked images as one file to pass on: packed from the store, checked to the last byte, put into another's store.

The archive is a zip of ``manifest.json`` and of one safetensors file with one array ``images`` (float32, NCHW, [0, 1])
for each batch of each attack. What an archive may hold follows from the receiver's own suite, data and net: nothing
in it is believed that was not compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from ...attacks.verify import verify
from ..core.errors import UserError
from ..core.hashing import canonical, hash_arrays, key_of
from ..core.store import Arrays, Meta
from ..core.versions import versions
from ..detection.scoring import Stages
from ..detection.suite import AttackPart
from ..harness.suite import Name
from .archive import Archive

MANIFEST = "manifest.json"

#: A manifest is text about a few hundred files.
MOST_MANIFEST = 8 << 20

#: A budget attack's images may leave their norm's ball by this much: rounding.
SLACK = 1e-5

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Chunk(_Form):
    """One file: the images ``first`` to ``first + count - 1`` of the attacked ones."""

    file: str = Field(pattern=r"^sets/[0-9]{3}/[0-9]{8}\.safetensors$")
    sha256: Hash
    bytes: int = Field(ge=0)
    first: int = Field(ge=0)
    count: int = Field(ge=1)
    seconds: float = Field(ge=0)


class Attacked(_Form):
    """One attack's images, and everything that determined them."""

    label: Name
    attack: str
    library: str
    version: str
    parameters: dict[str, Any]
    source: str
    seed: int = Field(ge=0)
    images_sha256: Hash  # as entries state it
    chunks: list[Chunk] = Field(min_length=1)


class Made(_Form):
    name: str
    sha256: Hash


class Images(Made):
    ids_sha256: Hash
    count: int = Field(ge=1)
    shape: list[int] = Field(min_length=3, max_length=3)


class Manifest(_Form):
    format: Literal[1]
    suite: Name
    limit: int | None
    seed: int = Field(ge=0)
    model: Made
    dataset: Images
    sets: list[Attacked] = Field(min_length=1)
    versions: dict[str, str]


def export(stages: Stages, out: Path) -> Manifest:
    """Write the attacked images of a suite to ``out``, crafting what the store lacks; returns what was packed."""
    suite = stages.suite
    head = Images(
        name=stages.dataset.name,
        sha256=stages.dataset.content_hash,
        ids_sha256=hash_arrays(stages.test.ids),
        count=len(stages.test),
        shape=list(stages.dataset.shape),
    )
    net = Made(name=suite.model.name, sha256=stages.model_hash)
    sets = []
    with _replacing(out) as file, zipfile.ZipFile(file, "w") as zip_:
        for number, part in enumerate(suite.attacks):
            stages.strength(part)  # makes what is missing
            digest = hashlib.sha256()
            chunks = list(_packed(stages, part, number, zip_, digest))
            first = next(iter(stages.chunks(part)))[1]
            own = {name: first[name] for name in ("attack", "library", "version", "parameters", "source", "seed")}
            sets.append(Attacked(label=part.title, chunks=chunks, images_sha256=digest.hexdigest(), **own))
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
    stages: Stages, part: AttackPart, number: int, zip_: zipfile.ZipFile, digest: hashlib._Hash
) -> Iterator[Chunk]:
    for chunk, inputs in stages.chunks(part):
        stages.crafted(part, chunk, inputs)
        found = stages.store.read("adversarial", key_of("adversarial", inputs))
        assert found is not None  # it was just made
        images = np.ascontiguousarray(found[0]["images"], "<f4")
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
            seconds=float(found[1]["seconds"]),
        )


def _put(zip_: zipfile.ZipFile, name: str, blob: bytes) -> None:
    """No date inside: the same images give the same file."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    zip_.writestr(info, blob, compresslevel=1)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place when it is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); give another --out.") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); give another --out.") from None
    finally:
        with suppress(OSError):
            os.unlink(partial)


# -- and back ---------------------------------------------------------------------------------------------------------


def read_manifest(archive: Archive) -> Manifest:
    blob = archive.read(MANIFEST, MOST_MANIFEST)
    try:
        manifest = Manifest.model_validate_json(blob)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or MANIFEST
        raise UserError(
            f"{archive.path}: {place} of its manifest is not as an export writes it "
            f"({first['msg'].lower()}); ask for the file again."
        ) from None
    files = [chunk.file for each in manifest.sets for chunk in each.chunks]
    archive.holds_only([MANIFEST, *files])
    return manifest


def import_(archive: Archive, manifest: Manifest, stages: Stages) -> tuple[int, list[str]]:
    """Put an archive's images into the store that ``stages`` walk through; returns how many and what was noticed.

    Everything is read and compared once before anything is written. UserError, one sentence, where the images are of
    another model, data set, attack or library version, are no legal images, or where the store has others of its own.
    """
    _same_ground(archive, manifest, stages)
    notes: list[str] = []
    parts = {part.title: part for part in stages.suite.attacks}
    for each in manifest.sets:
        if each.label not in parts:
            raise UserError(
                f"{archive.path} holds the attack {each.label!r}, and the suite {stages.suite.name!r} has "
                f"{', '.join(parts)}; give its suite with --suite."
            )
        notes += _same_attack(archive, each, parts[each.label], stages)
    for each in manifest.sets:
        digest = hashlib.sha256()
        for _, arrays, _ in _checked(archive, each, parts[each.label], stages):
            digest.update(np.ascontiguousarray(arrays["images"], "<f4").tobytes())
        if digest.hexdigest() != each.images_sha256:
            raise UserError(
                f"{archive.path}: the images of {each.label} are others than its manifest's sha256 says; "
                "ask for the file again."
            )
    count = 0
    for each in manifest.sets:
        for inputs, arrays, meta in _checked(archive, each, parts[each.label], stages):
            stages.store.write("adversarial", key_of("adversarial", inputs), arrays, meta)
            count += len(arrays["images"])
    return count, notes


def _same_ground(archive: Archive, manifest: Manifest, stages: Stages) -> None:
    own, stated = stages.dataset, manifest.dataset
    if stated.sha256 != own.content_hash:
        raise UserError(
            f"{archive.path} attacks images of {stated.name} {stated.sha256[:12]}, and {own.name} here is "
            f"{own.content_hash[:12]}: another data split; give the same one with --data-root."
        )
    if (stated.ids_sha256, stated.count) != (hash_arrays(stages.test.ids), len(stages.test)):
        raise UserError(
            f"{archive.path} attacks {stated.count} images of {stated.name} that are not the {len(stages.test)} of the "
            f"suite {stages.suite.name!r} here; give its suite with --suite."
        )
    if manifest.model.sha256 != stages.model_hash:
        raise UserError(
            f"{archive.path} attacks another model: its {manifest.model.name} is "
            f"{manifest.model.sha256[:12]}, the suite's {stages.suite.model.name} here "
            f"{stages.model_hash[:12]}; use the same weights (model.weights of the suite)."
        )


def _same_attack(archive: Archive, stated: Attacked, part: AttackPart, stages: Stages) -> list[str]:
    """A note where only the code around the library is another version: the images are verified all the same."""
    _, own = next(iter(stages.chunks(part)))
    for name in ("attack", "library", "version", "parameters", "seed"):
        theirs, ours = getattr(stated, name), json.loads(canonical(own[name]))
        if theirs != ours:
            raise UserError(
                f"{archive.path}: {stated.label} was made with {name} {theirs!r}, and here it is {ours!r}; "
                "install or set the same."
            )
    wanted = [(chunk.start, chunk.stop - chunk.start) for chunk, _ in stages.chunks(part)]
    if [(chunk.first, chunk.count) for chunk in stated.chunks] != wanted:
        raise UserError(
            f"{archive.path}: the batches of {stated.label} are not those of the suite here "
            f"({len(stated.chunks)} and {len(wanted)}); give its suite with --suite."
        )
    if stated.source != own["source"]:
        return [
            f"{stated.label} was made by another version of the code around {stated.library}; its images were "
            "verified here."
        ]
    return []


def _checked(
    archive: Archive, stated: Attacked, part: AttackPart, stages: Stages
) -> Iterator[tuple[Meta, Arrays, Meta]]:
    """Store inputs, arrays and meta of each batch: legal images, verified by the receiver's own net in float32."""
    info = stages.attacks[part.title].info
    kept = stages.store.read("strength", key_of("strength", {"attack": stages.attack_key(part)}))
    for chunk, (place, inputs) in zip(stated.chunks, stages.chunks(part), strict=True):
        images = _images(archive, chunk, (chunk.count, *stages.dataset.shape))
        clean = stages.test.tensor(place).to(stages.device)
        labels = torch.from_numpy(stages.test.labels[place]).to(stages.device)
        facts = verify(stages.classifier, clean, torch.from_numpy(images).to(stages.device), labels, name=stated.label)
        if info.epsilon is not None:
            norm = facts["linf" if info.norm == "Linf" else "l2"].max(initial=0)
            if norm > info.epsilon + SLACK:
                raise UserError(
                    f"{archive.path}: {stated.label} goes {norm:.4g} far and its budget is "
                    f"{info.epsilon:.4g}: these are not its images; ask for the file again."
                )
        mine = stages.store.read("adversarial", key_of("adversarial", inputs))
        other = mine is not None and not np.array_equal(mine[0]["images"], images)
        if other or (kept is not None and not np.allclose(kept[0]["l2"][place], facts["l2"], atol=1e-5)):
            raise UserError(
                f"The store {stages.store.root} has its own images of {stated.label}, and those of "
                f"{archive.path} are others; import them into another one with --store."
            )
        yield inputs, {"images": images, **facts}, {"seconds": chunk.seconds, "images": chunk.count}


def _images(archive: Archive, chunk: Chunk, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The images of one file, which may be as large as images of this shape are and a short header."""
    most = 4 * int(np.prod(shape)) + 1024
    if chunk.bytes > most:
        raise UserError(
            f"{archive.path}: {chunk.file} states {chunk.bytes} bytes, and {chunk.count} images have at "
            f"most {most}; it is refused."
        )
    blob = archive.read(chunk.file, chunk.bytes)
    if len(blob) != chunk.bytes or hashlib.sha256(blob).hexdigest() != chunk.sha256:
        raise UserError(
            f"{archive.path}: {chunk.file} is not what its manifest names (sha256 differs); ask for the file again."
        )
    try:
        tensors = load_tensors(blob)
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{archive.path}: {chunk.file} is no safetensors file ({error}); it is refused.") from None
    images = tensors.get("images")
    if set(tensors) != {"images"} or images is None or images.dtype != np.float32 or images.shape != shape:
        held = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in tensors.items())
        raise UserError(
            f"{archive.path}: {chunk.file} holds {held[:120] or 'nothing'}, not float32 images of "
            f"shape {shape}; it is refused."
        )
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise UserError(f"{archive.path}: {chunk.file} holds values outside of [0, 1]; it is refused.")
    return images


def default_suite(manifest: Manifest) -> str:
    """The built-in suite that an archive was made of; its own words are not taken for a suite."""
    from ..harness.toml import builtin_suites

    if manifest.suite not in builtin_suites():
        raise UserError(
            f"The archive is of the suite {manifest.suite!r}, which does not ship; give its file with --suite."
        )
    return manifest.suite
