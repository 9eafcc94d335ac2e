"""Third-party attacked images: checked to the last byte, then put into the local store.

The receiver's own suite, data and net determine what an archive may hold: nothing in it is trusted without a
comparison.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from ...attacks.verify import verify
from ..core.errors import UserError
from ..core.hashing import canonical, hash_arrays, key_of
from ..core.store import Arrays, Meta
from ..detection.attacked import Attacked
from ..detection.suite import AttackPart
from .archive import Archive
from .manifest import AttackedImages, Chunk, Manifest

#: Images of an attack with a budget may exceed it by this much, for rounding.
SLACK = 1e-5


def import_(archive: Archive, manifest: Manifest, attacked: Attacked) -> tuple[int, list[str]]:
    """Put an archive's images into the store that ``attacked`` reads; returns their number and any notes.

    Everything is read and compared once before anything is written. Raises UserError, one sentence, where the images
    are of another model, data set, attack or library version or are not legal, or where the store has different ones.
    """
    _same_ground(archive, manifest, attacked)
    notes: list[str] = []
    parts = {part.title: part for part in attacked.parts}
    for stated in manifest.sets:
        if stated.label not in parts:
            raise UserError(
                f"{archive.path} holds the attack {stated.label!r}, and the suite {attacked.setup.suite.name!r} has "
                f"{', '.join(parts)}; give its suite with --suite."
            )
        notes += _same_attack(archive, stated, parts[stated.label], attacked)
    for stated in manifest.sets:
        digest = hashlib.sha256()
        for _, arrays, _ in _checked(archive, stated, parts[stated.label], attacked):
            digest.update(np.ascontiguousarray(arrays["images"], "<f4").tobytes())
        if digest.hexdigest() != stated.images_sha256:
            raise UserError(
                f"{archive.path}: the images of {stated.label} do not match its manifest's sha256; "
                "ask for the file again."
            )
    count = 0
    for stated in manifest.sets:
        for inputs, arrays, meta in _checked(archive, stated, parts[stated.label], attacked):
            attacked.setup.context.store.write("adversarial", key_of("adversarial", inputs), arrays, meta)
            count += len(arrays["images"])
    return count, notes


def _same_ground(archive: Archive, manifest: Manifest, attacked: Attacked) -> None:
    here, stated = attacked.setup.dataset, manifest.dataset
    if stated.sha256 != here.content_hash:
        raise UserError(
            f"{archive.path} attacks images of {stated.name} {stated.sha256[:12]}, and {here.name} here is "
            f"{here.content_hash[:12]}: another data split; give the same one with --data-root."
        )
    test = attacked.setup.test
    if (stated.ids_sha256, stated.count) != (hash_arrays(test.ids), len(test)):
        raise UserError(
            f"{archive.path} attacks {stated.count} images of {stated.name} that are not the {len(test)} of the "
            f"suite {attacked.setup.suite.name!r} here; give its suite with --suite."
        )
    if manifest.model.sha256 != attacked.setup.trained.sha256:
        raise UserError(
            f"{archive.path} attacks another model: its {manifest.model.name} is "
            f"{manifest.model.sha256[:12]}, the suite's {attacked.setup.suite.model.name} here "
            f"{attacked.setup.trained.sha256[:12]}; use the same weights (model.weights of the suite)."
        )


def _same_attack(archive: Archive, stated: AttackedImages, part: AttackPart, attacked: Attacked) -> list[str]:
    """A note where only the code around the library has another version: the images are verified anyway."""
    _, inputs = next(iter(attacked.chunks(part)))
    for name in ("attack", "library", "version", "parameters", "seed"):
        theirs, ours = getattr(stated, name), json.loads(canonical(inputs[name]))
        if theirs != ours:
            raise UserError(
                f"{archive.path}: {stated.label} was made with {name} {theirs!r}, and here it is {ours!r}; "
                "install or set the same."
            )
    wanted = [(chunk.start, chunk.stop - chunk.start) for chunk, _ in attacked.chunks(part)]
    if [(chunk.first, chunk.count) for chunk in stated.chunks] != wanted:
        raise UserError(
            f"{archive.path}: the batches of {stated.label} are not those of the suite here "
            f"({len(stated.chunks)} and {len(wanted)}); give its suite with --suite."
        )
    if stated.source != inputs["source"]:
        return [
            f"{stated.label} was made by another version of the code around {stated.library}; its images were "
            "verified here."
        ]
    return []


def _checked(
    archive: Archive, stated: AttackedImages, part: AttackPart, attacked: Attacked
) -> Iterator[tuple[Meta, Arrays, Meta]]:
    """Store inputs, arrays and meta of each batch: legal images, verified by the receiver's own net in float32."""
    info = attacked.attacks[part.title].info
    kept = attacked.setup.context.store.read("strength", key_of("strength", {"attack": attacked.key(part)}))
    for chunk, (place, inputs) in zip(stated.chunks, attacked.chunks(part), strict=True):
        images = _images(archive, chunk, (chunk.count, *attacked.setup.dataset.shape))
        clean = attacked.setup.test.tensor(place).to(attacked.setup.context.device)
        labels = torch.from_numpy(attacked.setup.test.labels[place]).to(attacked.setup.context.device)
        facts = verify(
            attacked.setup.trained.net,
            clean,
            torch.from_numpy(images).to(attacked.setup.context.device),
            labels,
            name=stated.label,
        )
        if info.epsilon is not None:
            norm = facts[info.norm.lower()].max(initial=0)
            if norm > info.epsilon + SLACK:
                raise UserError(
                    f"{archive.path}: {stated.label} moves by {norm:.4g}, but its budget is "
                    f"{info.epsilon:.4g}: these are not its images; ask for the file again."
                )
        existing = attacked.setup.context.store.read("adversarial", key_of("adversarial", inputs))
        other = existing is not None and not np.array_equal(existing[0]["images"], images)
        if other or (kept is not None and not np.allclose(kept[0]["l2"][place], facts["l2"], atol=1e-5)):
            raise UserError(
                f"The store {attacked.setup.context.store.root} has its own images of {stated.label}, and those of "
                f"{archive.path} differ; import them into another one with --store."
            )
        yield inputs, {"images": images, **facts}, chunk.cost | {"images": chunk.count}


def _images(archive: Archive, chunk: Chunk, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The images of one file, which may hold images of this shape and a short header."""
    most = 4 * int(np.prod(shape)) + 1024
    if chunk.bytes > most:
        raise UserError(
            f"{archive.path}: {chunk.file} states {chunk.bytes} bytes, and {chunk.count} images have at "
            f"most {most}; it is refused."
        )
    blob = archive.read(chunk.file, chunk.bytes)
    if len(blob) != chunk.bytes or hashlib.sha256(blob).hexdigest() != chunk.sha256:
        raise UserError(
            f"{archive.path}: {chunk.file} does not match its manifest (sha256 differs); ask for the file again."
        )
    try:
        tensors = load_tensors(blob)
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{archive.path}: {chunk.file} is not a safetensors file ({error}); it is refused.") from None
    images = tensors.get("images")
    if set(tensors) != {"images"} or images is None or images.dtype != np.float32 or images.shape != shape:
        held = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in tensors.items())
        raise UserError(
            f"{archive.path}: {chunk.file} holds {held[:120] or 'nothing'}, not float32 images of "
            f"shape {shape}; it is refused."
        )
    if not (np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1):
        raise UserError(f"{archive.path}: {chunk.file} holds values outside [0, 1]; it is refused.")
    return images
