"""Gates of many classes learned in one pass, as if each class were alone (Wang, Hu and Su, eq. 2-3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from ..bench.core.arrays import ClassGates, Ints
from .calibration import Calibration
from .frozen import GatedNet, Images
from .gates import GateOptions, total_active_fraction

#: Images that go forward and back at once; a class with more of its own in a step goes alone.
PASS = 200


@dataclass(frozen=True)
class Epoch:
    """Gates of a chunk of classes at an epoch's end; ``loss`` and ``active`` are ``(classes in the chunk,)``."""

    gates: ClassGates
    loss: list[float]
    active: list[float]


def draw(seed: int, purpose: Literal["split", "epoch", "report"], label: int, epoch: int = 0) -> np.random.Generator:
    """The generator of one draw: a separate stream for each purpose, class and epoch, whatever else is drawn."""
    return np.random.default_rng((seed, {"split": 1, "epoch": 2, "report": 3}[purpose], label, epoch))


class RowAdam:
    """Adam (Kingma and Ba 2015) over stacked rows that may take different numbers of steps.

    Adam is elementwise, so stacking classes changes nothing as long as a class that has no images left in an epoch is
    neither moved by its momentum nor counted; torch's own Adam has one step count per tensor and would do both.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], learning_rate: float) -> None:
        self._tensors, self._rate = tensors, learning_rate
        self._mean = [torch.zeros_like(t) for t in tensors]
        self._square = [torch.zeros_like(t) for t in tensors]
        self._steps = torch.zeros(len(tensors[0]), 1, dtype=torch.float64, device=tensors[0].device)

    @torch.no_grad()
    def step(self, gradients: Sequence[torch.Tensor], rows: torch.Tensor, upper: float) -> None:
        """Move the rows ``rows``, then clamp them to ``[0, upper]``."""
        self._steps[rows] += 1
        first, second = (1 - beta ** self._steps[rows] for beta in (0.9, 0.999))
        for tensor, gradient, mean, square in zip(self._tensors, gradients, self._mean, self._square, strict=True):
            grad = gradient[rows]
            mean[rows] = mean[rows].lerp(grad, 0.1)
            square[rows] = square[rows] * 0.999 + 0.001 * grad * grad
            scale = (square[rows] / second.to(grad.dtype)).sqrt() + 1e-8
            moved = tensor[rows] - self._rate / first.to(grad.dtype) * mean[rows] / scale
            tensor[rows] = moved.clamp(0, upper)


def epoch_batches(pools: Sequence[Ints], label: int, options: GateOptions, epoch: int) -> list[Ints]:
    """Image positions of class ``label``'s steps in one epoch: all of its own and as many random others, half and half.

    ``pools`` holds each class's positions. The draw depends only on seed, epoch and class, whatever else is trained.
    """
    generator = draw(options.seed, "epoch", label, epoch)
    own = generator.permutation(pools[label])
    others = np.concatenate([pool for other, pool in enumerate(pools) if other != label])
    background = generator.choice(others, min(len(own), len(others)), replace=False)
    # Even parts avoid a small last batch, whose noisy mean would count as a whole step.
    steps = math.ceil((len(own) + len(background)) / options.batch_size)
    parts = zip(np.array_split(own, steps), np.array_split(background, steps), strict=True)
    return [np.concatenate(part) for part in parts]


def l1_norm(gates: Mapping[str, torch.Tensor], kind: Literal["sum", "mean", "layersum"]) -> torch.Tensor:
    """``||lambda||_1`` of every row, ``(rows,)``.

    Gates are at least 0, so the plain sum is the norm; unlike |x|, it still has a gradient at 0.
    """
    if kind == "layersum":
        return torch.stack([gate.mean(1) for gate in gates.values()]).sum(0)
    total = torch.stack([gate.sum(1) for gate in gates.values()]).sum(0)
    return total if kind == "sum" else total / sum(gate.shape[1] for gate in gates.values())


def gate_loss(
    net: GatedNet,
    hidden: torch.Tensor,
    full: torch.Tensor,
    gates: Mapping[str, torch.Tensor],
    owner: torch.Tensor,
    labels: torch.Tensor,
    calibration: Calibration,
    options: GateOptions,
) -> torch.Tensor:
    """Loss of every class, ``(classes in the chunk,)``; zero, not NaN, if a class has no sample.

    ``mean over the class's samples of BCE(sigmoid(f_c), sigmoid(f_c gated)) + gamma * ||lambda_c||_1`` (eq. 2).
    ``hidden`` are prefix outputs of N samples, ``full`` ``(N,)`` the full net's calibrated logits of their classes,
    ``owner`` ``(N,)`` their rows in the gates, ``labels`` the rows' classes.
    """
    logits = net.logits(hidden, {path: gate[owner] for path, gate in gates.items()})
    chosen = labels[owner]
    gated = calibration(logits.gather(1, chosen.unsqueeze(1)).squeeze(1), chosen)
    entropy = F.binary_cross_entropy_with_logits(gated, full.sigmoid(), reduction="none")
    count = torch.bincount(owner, minlength=len(labels))
    # A one-hot product instead of scatter-add sums in a fixed order on every device.
    mean = F.one_hot(owner, len(labels)).to(entropy.dtype).T @ entropy / count.clamp(min=1)
    return mean + options.gamma * l1_norm(gates, options.l1) * (count > 0)


def passes(sizes: Sequence[int]) -> list[slice]:
    """A step's images, of which each class has ``sizes``, in passes of whole classes and about `PASS` images.

    More at once overflow a CPU's caches. Loss and gradient of a class come from its own images either way.
    """
    parts, begin, end = [], 0, 0
    for size in sizes:
        if end > begin and end + size - begin > PASS:
            parts.append(slice(begin, end))
            begin = end
        end += size
    return [*parts, slice(begin, end)]


def learn(
    net: GatedNet,
    images: Images,
    pools: Sequence[Ints],
    chunk: Sequence[int],
    calibration: Calibration,
    options: GateOptions,
    tick: Callable[[int], None] | None = None,
) -> list[Epoch]:
    """Train the gates of the classes ``chunk`` together; returns each epoch's end. ``tick`` gets the passes just done.

    The losses are summed over classes, each a mean over its own samples: the gradient of a row comes from that row's
    class alone, and the result is the same as for one class at a time.
    """
    labels = torch.tensor(list(chunk), device=net.device)
    channels = net.net.channels(net.paths)
    gates = {
        path: torch.full((len(chunk), channels[path]), options.init, dtype=net.dtype, device=net.device)
        for path in net.paths
    }
    for gate in gates.values():
        gate.requires_grad_()
    adam = RowAdam(list(gates.values()), options.learning_rate)
    epochs = []
    for epoch in range(options.epochs):
        batches = [epoch_batches(pools, label, options, epoch) for label in chunk]
        total = torch.zeros(len(chunk), dtype=torch.float64, device=net.device)
        for step in range(max(map(len, batches))):
            rows = [row for row, steps in enumerate(batches) if step < len(steps)]
            index = np.concatenate([batches[row][step] for row in rows])
            sizes = torch.tensor([len(batches[row][step]) for row in rows])
            owner = torch.tensor(rows).repeat_interleave(sizes).to(net.device)
            chosen = labels[owner]
            position = torch.from_numpy(index).to(net.device)
            full = calibration(images.logits[position, chosen], chosen)
            hidden = images.hidden(index)
            loss, gradients = torch.zeros(len(chunk), dtype=net.dtype, device=net.device), list[torch.Tensor]()
            for part in passes(sizes.tolist()) if net.device.type == "cpu" else [slice(None)]:
                term = gate_loss(net, hidden[part], full[part], gates, owner[part], labels, calibration, options)
                more = torch.autograd.grad(term.sum(), list(gates.values()))
                gradients = [one + other for one, other in zip(gradients, more, strict=True)] if gradients else [*more]
                loss += term.detach()
            adam.step(gradients, torch.tensor(rows, device=net.device), options.clamp)
            total += loss
            if tick:
                tick(len(index))
        copied = {path: gate.detach().cpu().clone() for path, gate in gates.items()}
        counts = torch.tensor([len(steps) for steps in batches], device=net.device)
        active = total_active_fraction(copied, options.threshold)
        epochs.append(Epoch(copied, (total / counts).tolist(), active.tolist()))
    return epochs


def choose_epoch(
    loss: Sequence[float], active: Sequence[float], tau: float, fallback: Literal["sparsest", "loss"]
) -> tuple[int, bool]:
    """The chosen epoch and whether it met tau: the least loss among those with ``active <= tau``.

    If none did, the one with the fewest active channels or with the least loss; of two equals, the earlier one.
    """
    epochs = range(len(loss))
    allowed = [epoch for epoch in epochs if active[epoch] <= tau]
    if allowed:
        return min(allowed, key=lambda epoch: loss[epoch]), True
    if fallback == "loss":
        return min(epochs, key=lambda epoch: loss[epoch]), False
    return min(epochs, key=lambda epoch: (active[epoch], loss[epoch])), False
