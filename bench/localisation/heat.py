"""A call of a saliency method on a batch: its maps, or a sentence with the reason why there are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..core import registry
from ..core.arrays import Floats, Ints
from ..core.errors import UserError, first_line, reason_of
from ..data.dataset import Split
from ..harness.plugins import PluginFailed
from .net import AttributionNet
from .suite import SaliencyPart


@dataclass(frozen=True)
class Batch:
    """Images ``(N, C, H, W)`` and the classes to explain, on the device, and the images' ids."""

    images: torch.Tensor
    targets: torch.Tensor
    ids: torch.Tensor

    @classmethod
    def of(cls, split: Split, index: Ints, device: torch.device) -> Batch:
        return cls(
            split.tensor(index).to(device),
            torch.from_numpy(split.labels[index]).to(device),
            torch.from_numpy(split.ids[index]),
        )


def heat_of(part: SaliencyPart, method: Any, net: AttributionNet, batch: Batch, seed: int) -> Floats | str:
    """Maps ``(N, H, W)``, or the reason why there are none. A third-party method in ``part`` may raise anything."""
    try:
        heat: Floats = method(net, batch.images, batch.targets, ids=batch.ids, seed=seed).cpu().numpy()
    except (UserError, PluginFailed) as error:
        return first_line(str(error))
    except Exception as error:
        if registry.saliency.is_ours(part.name):
            raise
        return f"raised {reason_of(error, typed=True)}"
    count, _, *size = batch.images.shape
    if heat.shape != (count, *size):
        return (
            f"gave maps of shape {heat.shape} for images of {tuple(batch.images.shape)}; "
            f"a map has shape {(count, *size)}."
        )
    return heat
