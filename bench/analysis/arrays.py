"""The arrays of figures 2 and 3: made, written, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ...subnets.gated import Gated
from ..core.arrays import ClassGates, Floats, Ints
from ..core.errors import UserError
from ..core.files import write_bytes
from ..core.hashing import canonical
from ..core.store import Arrays
from ..models.classifier import evaluating
from ..views import PENULTIMATE, View

#: Where a results folder keeps the arrays of figures 2 and 3.
FEATURES = Path("subnets") / "features.safetensors"
GATES = Path("subnets") / "gates.safetensors"

#: The fewest images on which such a vote says anything.
MINIMUM_IMAGES = 20

#: Feature arrays with the words for them, in the order of tables and pictures. ``random`` is there if it was asked for.
REPRESENTATIONS = {
    "full": "full net",
    "subnet": "predicted class's subnet",
    "random": "random gates (control)",
}


def figure_arrays(
    clean: View,
    adversarial: View,
    gates: ClassGates,
    usable: Ints,
    *,
    count: int = 500,
    seed: int = 0,
    control: ClassGates | None = None,
) -> Arrays:
    """Penultimate features of ``count`` images and of their adversarial versions, by the full net and by subnets.

    ``clean`` and ``adversarial`` hold the same images in the same order; ``usable`` are the places in them of images
    that are named right and whose attack succeeded, ``count`` of which are drawn by ``seed`` (all, where there are
    fewer). An image's subnet is that of the class that the full net sees in it, in the adversarial version its own.

    Returns, clean images first, M = 2 * images: ``full`` and ``subnet`` ``(M, D)`` float16, ``predicted`` ``(M,)``
    int16, ``adversarial`` ``(M,)`` uint8, ``image`` ``(M,)`` int32, the place in ``clean``; with ``control`` (such as
    `random_gates`) also ``random`` ``(M, D)`` float16, through the control's subnets. Raises UserError where the views
    differ in length or fewer than `MINIMUM_IMAGES` images are usable.
    """
    if len(clean) != len(adversarial):
        raise UserError(
            f"Figure 2 needs the adversarial versions of the same images; there are {len(clean)} clean and "
            f"{len(adversarial)} adversarial ones."
        )
    able = np.unique(np.asarray(usable, np.int64))
    if len(able) < MINIMUM_IMAGES:
        raise UserError(
            f"Figure 2 needs {MINIMUM_IMAGES} images that are named right and fooled by its attack, and "
            f"there are {len(able)}; attack more images, or choose another attack."
        )
    drawn = np.random.default_rng(seed).permutation(able)[:count]
    chosen = np.sort(drawn)
    found: dict[str, list[npt.NDArray[Any]]] = {}
    for flag, view in enumerate((clean, adversarial)):
        part = view.subset(chosen)
        features = {"full": part.features(PENULTIMATE), "subnet": through_subnets(part, gates, part.predicted)}
        if control is not None:
            features["random"] = through_subnets(part, control, part.predicted)
        arrays = {name: _half(values) for name, values in features.items()} | {
            "predicted": part.predicted.astype(np.int16),
            "adversarial": np.full(len(chosen), flag, np.uint8),
            "image": chosen.astype(np.int32),
        }
        for name, values in arrays.items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def through_subnets(view: View, gates: ClassGates, classes: Ints) -> Floats:
    """Penultimate features ``(N, D)`` float32 of every image through the subnet of its class, ``classes`` ``(N,)``."""
    net = view.classifier
    local = {path: gate.to(view.device) for path, gate in gates.items()}
    gated, found = Gated(net, gates, (PENULTIMATE,)), []
    with torch.inference_mode(), evaluating(net):
        for part in view.batches():
            rows = torch.from_numpy(classes[part]).to(view.device)
            hidden, _ = gated.prefix(view.images[part].to(view.device))
            _, seen = gated.rest(hidden, {path: gate[rows] for path, gate in local.items()})
            found.append(seen[PENULTIMATE].cpu())
            view.meter.forward += len(rows)
    return torch.cat(found).float().numpy()


def _half(values: Floats) -> npt.NDArray[np.float16]:
    largest = float(np.finfo(np.float16).max)  # beyond it float16 is infinite, and infinite features have no distance
    return np.clip(values, -largest, largest).astype(np.float16)


def gate_arrays(gates: ClassGates) -> Arrays:
    """``gates/<path>`` -> ``(classes, channels)``: uint8 where all of a path's gates are 0 or 1, else float16."""
    arrays: Arrays = {}
    for path, gate in gates.items():
        values = gate.detach().cpu().numpy()
        arrays[f"gates/{path}"] = values.astype(np.uint8) if np.isin(values, (0, 1)).all() else _half(values)
    return arrays


def write_arrays(path: Path, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file: the same arrays and metadata give the same bytes.

    The metadata (``dataset``, ``attack``, ...) are one JSON text, since the format keeps several in no fixed order.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(path, save(whole, metadata={"about": canonical(dict(metadata))}))


def read_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """Arrays and metadata that `write_arrays` wrote; UserError where the file is none of its."""
    try:
        blob = path.read_bytes()
        arrays = load(blob)
        header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
        metadata = {str(key): str(value) for key, value in json.loads(header["__metadata__"]["about"]).items()}
        if "dataset" not in metadata:
            raise KeyError("dataset")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as arrays of a figure ({type(error).__name__}: {error}); run its suite again."
        ) from None
    return arrays, metadata


def read_features(folder: Path) -> tuple[Arrays, dict[str, str]]:
    """The arrays of figure 2, checked: every image stands there once true and once adversarial."""
    path = folder / FEATURES
    arrays, metadata = read_arrays(path)
    wanted = ("full", "subnet", "predicted", "adversarial", "image")
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise UserError(f"{path} lacks the array {missing[0]!r} of figure 2; run its suite again.")
    true, false = (np.sort(arrays["image"][arrays["adversarial"] == flag]) for flag in (0, 1))
    features = [arrays[name] for name in REPRESENTATIONS if name in arrays]
    paired = len(true) > 0 and np.array_equal(true, false) and len(np.unique(true)) == len(true)
    rows = len(arrays["image"])
    if (
        not paired
        or rows != 2 * len(true)
        or len(arrays["predicted"]) != rows
        or any(f.ndim != 2 or len(f) != rows or not np.isfinite(f).all() for f in features)
    ):
        raise UserError(
            f"The arrays of {path} do not belong together (each image once true and once adversarial, with "
            "finite features); run its suite again."
        )
    return arrays, metadata
