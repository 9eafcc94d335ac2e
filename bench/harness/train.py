"""The recipe that makes a classifier's weights: one-cycle SGD with flips and shifts, resumable after every epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save
from torch import nn

from ..core.arrays import Ints
from ..core.device import has_fast_bf16, low_precision
from ..core.errors import UserError
from ..core.files import replace_file
from ..core.parameters import SEEDS
from ..core.seeding import seeded
from ..data.dataset import Dataset, Split
from ..models.classifier import Classifier, evaluating, laid, layout
from ..models.weights import own_tensors

Progress = Callable[[int, int, str], None]


class Recipe(BaseModel):
    """How a classifier is trained. Everything that affects the weights is here."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(10, ge=1)
    batch_size: int = Field(500, ge=2)
    learning_rate: float = Field(0.3, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    warmup: float = Field(0.2, gt=0, lt=1, description="share of the steps on which the rate rises")
    flip: bool = True
    shift: int = Field(2, ge=0, description="largest random translation in pixels, reflected at the border")
    whiten: bool = Field(False, description="first convolution fixed to whiten patches of training images")
    dirac: bool = Field(False, description="convolutions begin by passing their input on")
    lookahead: bool = Field(False, description="follow a slow average of the weights, slower towards the end")
    seed: int = Field(0, ge=0, lt=SEEDS)


def augment(images: torch.Tensor, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    """Random horizontal flips and translations, one draw per image."""
    count, _, height, width = images.shape
    if recipe.flip:
        flipped = torch.rand(count, generator=generator) < 0.5
        images = torch.where(flipped.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)
    if recipe.shift:
        shift = recipe.shift
        padded = F.pad(images, (shift,) * 4, mode="reflect")
        offsets = torch.randint(0, 2 * shift + 1, (2, count), generator=generator).to(images.device)
        rows = offsets[0].view(-1, 1) + torch.arange(height, device=images.device)
        columns = offsets[1].view(-1, 1) + torch.arange(width, device=images.device)
        index = torch.arange(count, device=images.device).view(-1, 1, 1)
        # Advanced indices around the channel slice put channels last: permute moves them back.
        images = padded[index, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
    return images


def train(
    classifier: Classifier,
    dataset: Dataset,
    recipe: Recipe,
    *,
    device: torch.device,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Train in place and return what to store with the weights: accuracy, minutes, precision.

    With ``checkpoint``, no finished epoch is repeated: a killed run continues after it and ends with the same weights,
    since every epoch draws from a generator of its own.
    """
    _refuse_misfit(dataset, recipe)

    def begin() -> None:
        # Some versions of torch draw in the order of memory, and every device draws otherwise.
        classifier.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        _begin(classifier, recipe, dataset.train)
        classifier.to(device, memory_format=_layout(classifier, device))  # type: ignore[call-overload]

    begin()
    optimizer = _optimizer(classifier, recipe)
    start, seconds = _resume(checkpoint, classifier, optimizer, begin)
    epochs = _Epochs(classifier, dataset.train, recipe, optimizer, device, progress)
    classifier.train()
    for epoch in range(start, recipe.epochs):
        began = time.monotonic()
        finite = epochs.run(epoch)
        seconds += time.monotonic() - began
        if not finite:
            raise _diverged(epoch, recipe, checkpoint)
        if checkpoint is not None:
            _checkpoint(checkpoint, classifier, optimizer, epoch + 1, seconds)
    classifier.eval()
    classifier.to(memory_format=torch.contiguous_format)
    return {
        "train_accuracy": f"{accuracy(classifier, dataset.train, limit=2000):.4f}",
        "test_accuracy": f"{accuracy(classifier, dataset.test):.4f}",
        "test_images": str(len(dataset.test)),
        "train_minutes": f"{seconds / 60:.2f}",
        "precision": "bfloat16" if epochs.low_precision else "float32",
        "hardware": _hardware(device),
        "recipe": recipe.model_dump_json(),
    }


def _diverged(epoch: int, recipe: Recipe, checkpoint: Path | None) -> UserError:
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return UserError(
        f"Training diverged in epoch {epoch + 1} of {recipe.epochs}: the loss or a weight is NaN or infinite; lower "
        f"model.train.learning_rate ({recipe.learning_rate:g})."
    )


def _refuse_misfit(dataset: Dataset, recipe: Recipe) -> None:
    """Raise UserError if the images are too small or too few for the recipe."""
    side = min(dataset.shape[1:])
    if recipe.shift >= side:
        raise UserError(
            f"model.train.shift is {recipe.shift} and the images of {dataset.name} have {side} pixels; "
            "give a smaller shift."
        )
    if len(dataset.train) < recipe.batch_size:
        raise UserError(
            f"{dataset.name} has {len(dataset.train)} training images, fewer than one batch of "
            f"{recipe.batch_size}; lower model.train.batch_size."
        )


def _optimizer(classifier: Classifier, recipe: Recipe) -> torch.optim.SGD:
    """SGD with decay of the weights, but not of biases and scales."""
    learned = [p for p in classifier.parameters() if p.requires_grad]
    decay, plain = [p for p in learned if p.ndim > 1], [p for p in learned if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


class _Epochs:
    """Passes over the training images, each in its own order, which the seed and the epoch's number determine.

    Made after a checkpoint is read: the slow weights of `Lookahead` start as a copy of the fast ones.
    """

    def __init__(
        self,
        classifier: Classifier,
        split: Split,
        recipe: Recipe,
        optimizer: torch.optim.SGD,
        device: torch.device,
        progress: Progress | None,
    ) -> None:
        self._classifier, self._split, self._recipe = classifier, split, recipe
        self._optimizer, self._device, self._progress = optimizer, device, progress
        self._slow = Lookahead(classifier) if recipe.lookahead else None
        self._steps = len(split) // recipe.batch_size
        self.low_precision = has_fast_bf16(device)
        self._layout = _layout(classifier, device)

    def run(self, epoch: int) -> bool:
        """One epoch. False if the loss or a weight became NaN or infinite."""
        seed = self._recipe.seed * 100_003 + epoch + 1
        with seeded(seed, self._device):  # dropout draws from global generators
            losses = self._steps_of(epoch, torch.Generator().manual_seed(seed))
        numbers = [t for t in self._classifier.state_dict().values() if t.is_floating_point()]
        return bool(losses.isfinite()) and all(bool(tensor.isfinite().all()) for tensor in numbers)

    def _steps_of(self, epoch: int, generator: torch.Generator) -> torch.Tensor:
        """The steps of one epoch; returns the sum of their losses."""
        recipe, steps = self._recipe, self._steps
        total = steps * recipe.epochs
        losses = torch.zeros((), device=self._device)
        order = torch.randperm(len(self._split), generator=generator).numpy()
        for step in range(steps):
            done = epoch * steps + step + 1
            index = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            loss = self._step(index, recipe.learning_rate * one_cycle(done / total, recipe.warmup), generator)
            losses += loss.detach()
            if self._slow is not None and (done % LOOKAHEAD_EVERY == 0 or step + 1 == steps):
                self._slow.pull(done / total)  # at an epoch's end too: then a checkpoint needs no second set of weights
            if self._progress:
                self._progress(done, total, f"training, loss {loss.item():.2f}")
        return losses

    def _step(self, index: Ints, rate: float, generator: torch.Generator) -> torch.Tensor:
        """One step on these images; returns its loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        images = augment(self._split.tensor(index).to(self._device), self._recipe, generator)
        images = laid(images, self._layout)
        labels = torch.from_numpy(self._split.labels[index]).to(self._device)
        with low_precision(self._device, self.low_precision):
            loss = F.cross_entropy(self._classifier(images), labels, label_smoothing=self._recipe.label_smoothing)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss


def _layout(net: Classifier, device: torch.device) -> torch.memory_format:
    """Channels last on a GPU that trains in bf16: its tensor cores take no other."""
    return torch.channels_last if has_fast_bf16(device) and not net.made_by else layout(net, device)


def _hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.backends.cpu.get_cpu_capability()}, threads: {torch.get_num_threads()}"


def whiten_first(classifier: Classifier, split: Split, count: int = 5000) -> None:
    """Fix the first convolution to the whitening of its own patches, each filter and its negative (Page 2019).

    The filters are the eigenvectors of the covariance of patches of the first ``count`` normalised images, each divided
    by the root of its eigenvalue. Raises UserError unless the convolution has two filters for each of them.
    """
    conv = next((m for m in classifier.net.modules() if isinstance(m, nn.Conv2d)), None)
    if conv is None:
        raise UserError("model.train.whiten: the net has no convolution whose patches could be whitened; leave it out.")
    size, inputs = conv.kernel_size, conv.in_channels
    wanted = 2 * inputs * size[0] * size[1]
    if conv.out_channels != wanted:
        raise UserError(
            f"model.train.whiten: the first convolution has {conv.out_channels} filters and whitening its patches "
            f"takes {wanted}; leave whiten out for this net."
        )
    with torch.no_grad():
        images = (split.tensor(slice(0, count)).to(classifier.mean.device) - classifier.mean) / classifier.std
        patches = F.unfold(images, size).transpose(1, 2).reshape(-1, wanted // 2).double()
        values, vectors = torch.linalg.eigh(patches.T.cov())
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(-1, inputs, *size)
        conv.weight.copy_(torch.cat([filters, -filters]))
    conv.weight.requires_grad_(False)


def pass_input_on(classifier: Classifier) -> None:
    """Start the first filters of every odd-sized convolution except the first as the identity (Jordan 2024)."""
    convolutions = [m for m in classifier.net.modules() if isinstance(m, nn.Conv2d)]
    for conv in convolutions[1:]:
        if conv.kernel_size[0] % 2 == 1:
            nn.init.dirac_(conv.weight.data[: conv.in_channels])


LOOKAHEAD_EVERY = 5


class Lookahead:
    """Slow weights that the fast ones return to (Zhang et al. 2019), with the schedule of Jordan 2024.

    At ``share`` of the training the slow weights keep ``.95^5 share^3`` of themselves: early on they simply follow.
    """

    def __init__(self, net: nn.Module) -> None:
        named = {t.data_ptr(): t for t in net.state_dict().values() if t.is_floating_point()}
        self._fast = list(named.values())  # a module that is used twice has two names
        self._slow = [t.clone() for t in self._fast]

    @torch.no_grad()
    def pull(self, share: float) -> None:
        keep = 0.95**LOOKAHEAD_EVERY * share**3
        for fast, slow in zip(self._fast, self._slow, strict=True):
            fast.copy_(slow.lerp_(fast, 1 - keep))


def one_cycle(share: float, warmup: float) -> float:
    """Learning-rate factor at ``share`` of all steps: a linear rise to 1, then a linear fall to 0."""
    return share / warmup if share < warmup else max(0.0, (1 - share) / (1 - warmup))


def accuracy(classifier: Classifier, split: Split, *, limit: int | None = None, batch_size: int = 500) -> float:
    """Share of the (first ``limit``) images that the classifier classifies correctly."""
    device = next(classifier.parameters()).device
    count, correct = min(limit or len(split), len(split)), 0
    with torch.no_grad(), evaluating(classifier):
        for begin in range(0, count, batch_size):
            index = slice(begin, min(begin + batch_size, count))
            predicted = classifier(split.tensor(index).to(device)).argmax(1).cpu().numpy()
            correct += int(np.sum(predicted == split.labels[index]))
    return correct / count


def _begin(classifier: Classifier, recipe: Recipe, split: Split) -> None:
    """Draw the initial weights from the recipe's seed, whatever the global random state."""
    with seeded(recipe.seed):
        for module in classifier.modules():
            reset: Any = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    if recipe.dirac:
        pass_input_on(classifier)
    if recipe.whiten:
        whiten_first(classifier, split)


def _checkpoint(path: Path, classifier: Classifier, optimizer: torch.optim.SGD, epoch: int, seconds: float) -> None:
    tensors = {f"net.{name}": tensor for name, tensor in own_tensors(classifier).items()}
    for index, state in optimizer.state_dict()["state"].items():
        if state.get("momentum_buffer") is not None:
            tensors[f"momentum.{index}"] = state["momentum_buffer"].detach().cpu().contiguous()
    tensors["progress"] = torch.tensor([epoch, seconds], dtype=torch.float64)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, save(tensors))


def _resume(
    path: Path | None, classifier: Classifier, optimizer: torch.optim.SGD, restart: Callable[[], None]
) -> tuple[int, float]:
    if path is None or not path.is_file():
        return 0, 0.0
    try:
        tensors = load_file(path)
        epoch, seconds = tensors.pop("progress").tolist()
        classifier.load_state_dict({n.removeprefix("net."): t for n, t in tensors.items() if n.startswith("net.")})
        state = optimizer.state_dict()
        state["state"] = {
            int(n.removeprefix("momentum.")): {"momentum_buffer": t}
            for n, t in tensors.items()
            if n.startswith("momentum.")
        }
        optimizer.load_state_dict(state)
    except Exception:  # a checkpoint is only a convenience: a damaged one means starting over
        path.unlink(missing_ok=True)
        restart()  # it may have been partly loaded
        return 0, 0.0
    return int(epoch), float(seconds)
