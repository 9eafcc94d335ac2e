"""Frozen copies of a classifier, for learning gates: prefix outputs once per image, logits many times."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..bench.core.arrays import Ints
from ..bench.data.dataset import Split
from ..bench.models.classifier import Classifier, layout
from .gated import Gated

BATCH = 250


class GatedNet:
    """Logits of images under gates from a frozen copy of the classifier, in the two steps of `Gated`."""

    def __init__(self, classifier: Classifier, paths: Sequence[str]) -> None:
        self.net, self.paths = frozen_copy(classifier, paths), tuple(paths)
        self._gated = Gated(self.net, paths)
        self.cut = self._gated.cut

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.net.parameters()).dtype

    def prefix(self, images: torch.Tensor) -> torch.Tensor:
        """Output of the un-gated stages, or the images themselves if the first stage is gated inside."""
        with torch.no_grad():
            return self._gated.prefix(images)[0]

    def logits(self, hidden: torch.Tensor, gates: Mapping[str, torch.Tensor] | None = None) -> torch.Tensor:
        """Logits ``(N, classes)`` from the output of `prefix`, under ``gates`` (path -> ``(N or 1, channels)``)."""
        return self._gated.rest(hidden, gates or {})[0]


class Images:
    """A split as the gated net needs it: full logits once per image, prefix outputs once if memory allows.

    ``logits`` is ``(N, classes)``. ``prefix_mib`` bounds the outputs that are kept; beyond it `hidden` recomputes them,
    once for each distinct image of the request.
    """

    def __init__(self, net: GatedNet, split: Split, prefix_mib: int) -> None:
        self._net, self._split = net, split
        logits: list[torch.Tensor] = []
        kept: list[torch.Tensor] | None = []
        with torch.no_grad():
            for begin in range(0, len(split), BATCH):
                hidden = net.prefix(self._load(slice(begin, begin + BATCH)))
                logits.append(net.logits(hidden))
                if hidden[0].numel() * hidden.element_size() * len(split) > prefix_mib * 2**20:
                    kept = None
                if kept is not None:
                    kept.append(hidden)
        self.logits = torch.cat(logits)
        self._kept = None if kept is None else torch.cat(kept)

    @property
    def shared(self) -> bool:
        """Whether prefix outputs are kept."""
        return self._kept is not None

    def hidden(self, index: Ints) -> torch.Tensor:
        """Prefix outputs of the images at ``index``, which may repeat."""
        if self._kept is not None:
            return self._kept[torch.from_numpy(index).to(self._kept.device)]
        distinct, inverse = np.unique(index, return_inverse=True)
        hidden = self._net.prefix(self._load(distinct))
        return hidden[torch.from_numpy(inverse).to(hidden.device)]

    def _load(self, index: Ints | slice) -> torch.Tensor:
        return self._split.tensor(index).to(self._net.device, self._net.dtype)


def frozen_copy(classifier: Classifier, whole: Sequence[str] = ()) -> Classifier:
    """A copy that computes the same function as the classifier with fixed weights and BatchNorm.

    BatchNorm is folded into the convolutions, except those in ``whole``, and memory has the net's layout, only for
    speed on CPUs: folding gives a third more passes per second in ResNets, channels-last a third more in wide nets.
    """
    net = copy.deepcopy(classifier).eval().requires_grad_(False)
    fold_batchnorm(net.net, whole)
    return net.to(memory_format=layout(net))


def fold_batchnorm(net: nn.Module, gated: Sequence[str] = ()) -> None:
    """Fold every BatchNorm that directly follows a convolution in a sequence into it, in place (evaluation mode).

    A gated convolution keeps its BatchNorm, since the gate acts between the two. Module names stay the same.
    """
    for prefix, parent in list(net.named_modules()):
        # Others may run in another order, standardise their weights or hold an activation: only torch's own are known.
        if not isinstance(parent, nn.Sequential) or type(parent).forward is not nn.Sequential.forward:
            continue
        # Not named_children: it omits a ReLU that occurs twice, and the modules around it would look adjacent.
        for (name, conv), (after, norm) in pairwise(list(parent._modules.items())):
            if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
                if (f"{prefix}.{name}" if prefix else name) in gated or norm.running_mean is None:
                    continue
                setattr(parent, name, fuse_conv_bn_eval(conv, norm).requires_grad_(False))
                setattr(parent, after, nn.Identity())
