"""A net of anybody's as the one stage of a `Classifier`: its logits alone, and what was found out about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..core.errors import UserError

#: The only stage of a wrapped net: a pass always starts at the images, whatever the forward does in between.
STAGE = "wrapped"


class Stage(nn.Module):
    """The net, giving its logits alone: of a mapping or an output object ``logits``, of a tuple one tensor.

    What else it holds follows from the net and is not printed: ``classes``; ``channel_axes``, the axis of the channels
    by module where it is not the second; ``head``, the path of the last linear layer (None: the logits come from
    elsewhere); ``untrainable``, why the net cannot be trained (empty: it can).
    """

    def __init__(self, module: nn.Module, classes: int | None) -> None:
        super().__init__()
        self.module, self.classes = module, classes
        self.channel_axes: dict[str, int] = {}
        self.head: str | None = None
        self.untrainable = ""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.untrainable:
            raise UserError(self.untrainable)
        return logits_of(self.module(x), self.classes)

    def last_linear(self) -> nn.Linear:
        """The layer ``head``. Raises UserError where the logits are not a linear layer's."""
        layer = None if self.head is None else self.get_submodule(self.head.partition(".")[2])
        if not isinstance(layer, nn.Linear):
            raise UserError(
                "The net's logits are not the output of a linear layer (nn.Linear); a detector that reads penultimate "
                "features needs a net that ends in one."
            )
        return layer


def logits_of(output: Any, classes: int | None = None) -> torch.Tensor:
    """The logits in a net's output; in a tuple the tensor of ``(N, classes)``, or else the only one of two axes.

    Raises UserError where there are none, or where it takes ``classes`` to tell which they are.
    """
    if isinstance(output, torch.Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, torch.Tensor):
        return named
    tensors = [item for item in output if isinstance(item, torch.Tensor)] if isinstance(output, tuple | list) else []
    flat = [tensor for tensor in tensors if tensor.ndim == 2]
    fitting = [tensor for tensor in flat if tensor.shape[1] == classes] or flat
    if len({tensor.shape for tensor in fitting}) > 1:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in fitting)
        raise UserError(f"The net gives several tensors ({shapes}); give classes, so that the logits are known.")
    if not tensors:
        raise UserError(f"The net gives a {type(output).__name__} without logits; let its forward return (N, classes).")
    return (fitting or tensors)[0]
