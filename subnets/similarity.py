"""How alike the subnets of two classes are: distances between their gates (Wang, Hu and Su, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ..bench.core.arrays import Floats

if TYPE_CHECKING:
    import torch  # for the annotation only: tables read gates without torch

#: Gates as tensors, or as the arrays of a file.
Gates: TypeAlias = "Mapping[str, torch.Tensor] | Mapping[str, Floats]"


def representation(gates: Gates) -> Floats:
    """One row per class: its gates of all paths, concatenated, ``(classes, channels of all paths)``."""
    arrays = [gate if isinstance(gate, np.ndarray) else gate.detach().cpu().numpy() for gate in gates.values()]
    return np.concatenate([array.astype(np.float64) for array in arrays], axis=1)


def class_distances(gates: Gates, metric: Literal["cosine", "jaccard"] = "cosine") -> Floats:
    """Distances ``(classes, classes)`` in [0, 1]: symmetric, 0 on the diagonal.

    ``cosine``: ``1 - a.b / (|a| |b|)`` of the gates' values. ``jaccard``: ``1 - |A and B| / |A or B|`` of the sets of
    active channels. Two subnets without an active channel have distance 0; one such subnet has distance 1 to any other.
    """
    rows = representation(gates)
    if metric == "jaccard":
        rows = (rows > 0).astype(np.float64)
        size = rows.sum(1)
        overlap = rows @ rows.T
        scale = size[:, None] + size[None, :] - overlap
    else:
        norm = np.linalg.norm(rows, axis=1)
        overlap = rows @ rows.T
        scale = norm[:, None] * norm[None, :]
    distance: Floats = 1 - np.divide(overlap, scale, out=np.zeros_like(overlap), where=scale > 0)
    empty = ~rows.any(1)
    distance[np.ix_(empty, empty)] = 0
    np.fill_diagonal(distance, 0)
    return distance.clip(0, 1)
