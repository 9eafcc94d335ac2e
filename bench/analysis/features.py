"""The arrays of figures 2 and 3, computed while the net is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...subnets.gated import Gated
from ..core.arrays import ClassGates, Floats, Ints
from ..core.errors import UserError
from ..core.store import Arrays
from ..models.classifier import evaluating
from ..views import PENULTIMATE, View
from .arrays import MINIMUM_IMAGES


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

    ``clean`` and ``adversarial`` hold the same images in the same order; ``usable`` holds the indices of images that
    are correctly classified and whose attack succeeded; ``count`` of them are drawn by ``seed`` (all, where there are
    fewer). An image's subnet is that of the class that the full net predicts, for the adversarial version separately.

    Returns, clean images first, M = 2 * images: ``full`` and ``subnet`` ``(M, D)`` float16, ``predicted`` ``(M,)``
    int16, ``adversarial`` ``(M,)`` uint8, ``image`` ``(M,)`` int32, the index in ``clean``; with ``control`` (such as
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
            f"Figure 2 needs {MINIMUM_IMAGES} images that are correctly classified and fooled by its attack, and "
            f"there are {len(able)}; attack more images, or choose another attack."
        )
    drawn = np.random.default_rng(seed).permutation(able)[:count]
    chosen = np.sort(drawn)
    collected: dict[str, list[npt.NDArray[Any]]] = {}
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
            collected.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in collected.items()}


def through_subnets(view: View, gates: ClassGates, classes: Ints) -> Floats:
    """Penultimate features ``(N, D)`` float32 of each image through the subnet of its class in ``classes`` ``(N,)``."""
    net = view.classifier
    local = {path: gate.to(view.device) for path, gate in gates.items()}
    gated, features = Gated(net, gates, (PENULTIMATE,)), []
    with torch.no_grad(), evaluating(net):
        for part in view.batches():
            rows = torch.from_numpy(classes[part]).to(view.device)
            hidden, _ = gated.prefix(view.images[part].to(view.device))
            _, seen = gated.rest(hidden, {path: gate[rows] for path, gate in local.items()})
            features.append(seen[PENULTIMATE].cpu())
    return torch.cat(features).float().numpy()


def _half(values: Floats) -> npt.NDArray[np.float16]:
    largest = float(np.finfo(np.float16).max)  # float16 overflows above it, and infinite features have no distance
    return np.clip(values, -largest, largest).astype(np.float16)


def gate_arrays(gates: ClassGates) -> Arrays:
    """``gates/<path>`` -> ``(classes, channels)``: uint8 where all of a path's gates are 0 or 1, else float16."""
    arrays: Arrays = {}
    for path, gate in gates.items():
        values = gate.detach().cpu().numpy()
        arrays[f"gates/{path}"] = values.astype(np.uint8) if np.isin(values, (0, 1)).all() else _half(values)
    return arrays
