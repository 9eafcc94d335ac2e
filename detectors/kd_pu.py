"""Kernel density and prediction uncertainty (Feinman, Curtin, Shintre and Gardner 2017)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import logsumexp
from torch import nn

from ..bench.core.arrays import Floats, Ints
from ..bench.core.errors import UserError
from ..bench.core.parameters import at_least, is_number, seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier, evaluating
from ..bench.views import PENULTIMATE, View
from .checks import fitted, labels_of
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by

#: Number of images compared at once with a class's training images: bounds memory, changes no result.
BLOCK = 1000

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@dataclass(frozen=True, eq=False)
class References:
    """Penultimate training features of every class, ``(n_c, D)`` float64, and the median distance within a class."""

    features: tuple[Floats, ...]
    median: float

    @classmethod
    def draw(cls, features: Floats, labels: Ints, classes: int, per_class: int, seed: int) -> References:
        """At most ``per_class`` of each class, by a seeded draw."""
        from scipy.spatial.distance import pdist  # whoever asks for another detector does without

        generator = np.random.default_rng(seed)
        chosen = []
        for c in range(classes):
            members = generator.permutation(np.flatnonzero(labels == c))[:per_class]
            chosen.append(features[np.sort(members)].astype(np.float64))
        within = np.concatenate([pdist(group[:200]) for group in chosen if len(group) > 1] or [np.ones(1)])
        return cls(tuple(chosen), float(np.median(within)) or 1.0)

    def log_density(self, features: Floats, classes: Ints, bandwidth: float) -> Floats:
        """Log of the Gaussian kernel density ``(N,)`` of each row under its class, summed over all kernels.

        Equals scikit-learn's `KernelDensity` with all points in one leaf; with the default leaf size, its tree loses
        all digits far from the data.
        """
        densities = np.empty(len(features))
        for c, group in enumerate(self.features):
            rows = np.flatnonzero(classes == c)
            count, dimension = group.shape
            constant = math.log(count) + dimension * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))
            centre = group.mean(0)  # the expanded square below cancels least around the middle
            reference = group - centre
            for begin in range(0, len(rows), BLOCK):
                part = rows[begin : begin + BLOCK]
                x = features[part].astype(np.float64) - centre
                squares = np.square(x).sum(1)[:, None] + np.square(reference).sum(1) - 2 * x @ reference.T
                densities[part] = logsumexp(np.maximum(squares, 0) / (-2 * bandwidth**2), axis=1) - constant
        return densities


def density_tensor(references: References, bandwidth: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """`References.log_density` of features ``(N, D)`` under ``classes`` ``(N,)``, differentiable in the features."""
    groups = []
    for group in references.features:
        count, dimension = group.shape
        constant = math.log(count) + dimension * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))
        centre = torch.from_numpy(group.mean(0))
        groups.append((centre, torch.from_numpy(group) - centre, constant))

    def log_density(features: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        densities = features.new_zeros(len(features))
        for c in sorted(set(classes.tolist())):
            centre, reference, constant = groups[c]
            rows = torch.nonzero(classes == c).flatten()
            x, reference = features[rows] - centre.to(features.device), reference.to(features.device)
            squares = x.square().sum(1, keepdim=True) + reference.square().sum(1) - 2 * x @ reference.T
            kernels = squares.clamp(min=0) / (-2 * bandwidth**2)
            densities = densities.index_put((rows,), kernels.logsumexp(1) - constant)
        return densities

    return log_density


def dropouts(net: Classifier) -> dict[str, nn.Module]:
    """The dropout layers of a net whose rate is above 0, by module path."""
    return {path: m for path, m in net.net.named_modules() if isinstance(m, DROPOUTS) and m.p > 0}


def mask_like(shape: Sequence[int], layer: nn.Module, seed: int, index: int, step: int) -> torch.Tensor:
    """Mask ``(1, ...)`` of one pass, 0 or 1 / (1 - p), shared by all images; spatial dropout drops whole channels."""
    rate = float(layer.p)  # type: ignore[arg-type]
    spatial = not isinstance(layer, nn.Dropout)
    size = (1, shape[1], *(1 if spatial else n for n in shape[2:]))
    mixed = (seed * 1_000_003 + index * 10_007 + step) % 2**64  # torch takes no more bits
    generator = torch.Generator().manual_seed(mixed)
    return (torch.rand(size, generator=generator) >= rate).float() / max(1 - rate, 1e-12)


@contextmanager
def dropping(net: Classifier, seed: int) -> Iterator[Callable[[int], None]]:
    """The net with its dropout layers masked; the function that the block gets chooses the pass whose masks count."""
    masks: dict[tuple[str, int], torch.Tensor] = {}
    now = 0

    def choose(step: int) -> None:
        nonlocal now
        now = step

    def hook_for(path: str, index: int) -> Any:
        def hook(layer: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            if (path, now) not in masks:
                masks[path, now] = mask_like(output.shape, layer, seed, index, now).to(output.device)
            return output * masks[path, now]

        return hook

    layers = sorted(dropouts(net).items())
    handles = [layer.register_forward_hook(hook_for(path, index)) for index, (path, layer) in enumerate(layers)]
    try:
        with evaluating(net):
            yield choose
    finally:
        for handle in handles:
            handle.remove()


def spread_by_layers(net: Classifier, images: torch.Tensor, passes: int, seed: int) -> torch.Tensor:
    """PU ``(N,)`` of images through the net's own dropout layers, with everything else in evaluation mode.

    All images share the masks of a pass, so that no image depends on its neighbours; the variance over passes is still
    computed for each image alone. Stages before the first dropout run once. Differentiable in ``images``.
    """
    start = min(net.stage_of(path) for path in dropouts(net))
    with dropping(net, seed) as choose:
        hidden = net.advance(images, 0, start) if start else images
        probabilities = []
        for step in range(passes):
            choose(step)
            probabilities.append(net.advance(hidden, start).double().softmax(1))
    return torch.stack(probabilities).var(0, unbiased=False).mean(1)


def uncertainty_by_layers(x: View, passes: int, seed: int) -> Floats:
    """`spread_by_layers` of a view, batch by batch."""
    spreads = []
    with torch.no_grad():
        for part in x.batches():
            images = x.images[part].to(x.device)
            spreads.append(spread_by_layers(x.classifier, images, passes, seed).cpu().numpy())
    return np.concatenate(spreads)


def spread_by_head(head: nn.Module, features: torch.Tensor, passes: int, seed: int, rate: float) -> torch.Tensor:
    """PU ``(N,)`` of dropout on penultimate features ``(N, D)``, float64, before the last layer; differentiable."""
    layer = nn.Dropout(rate)
    masks = torch.stack([mask_like(features.shape, layer, seed, 0, step) for step in range(passes)])
    masks = masks.double().to(features.device)
    if type(head) is nn.Linear:  # masked weights in place of a masked copy of the features for every pass
        weight = (masks * head.weight.detach().double()).flatten(0, 1)
        bias = None if head.bias is None else head.bias.detach().double().repeat(passes)
        logits = F.linear(features, weight, bias).view(len(features), passes, -1)
    else:
        of_head = next(head.parameters()).dtype
        logits = torch.stack([head((features * mask).to(of_head)).double() for mask in masks], 1)
    spread: torch.Tensor = logits.softmax(2).var(1, unbiased=False).mean(1)
    return spread


def uncertainty_by_head(x: View, passes: int, seed: int, rate: float) -> Floats:
    """PU ``(N,)`` of dropout on penultimate features followed by the net's own last linear layer."""
    head = x.classifier.head
    weight = head.weight.detach().cpu().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if head.bias is None else head.bias.detach().cpu().double()
    features = torch.from_numpy(x.features(PENULTIMATE)).double()
    layer = nn.Dropout(rate)
    masks = [mask_like(features.shape, layer, seed, 0, step).double() for step in range(passes)]
    variances = []
    for part in x.batches():
        probabilities = torch.stack([(features[part] * mask @ weight.T + bias).softmax(1) for mask in masks])
        variances.append(probabilities.var(0, unbiased=False).mean(1).numpy())
    return np.concatenate(variances)


def bandwidth_of(value: float | str) -> tuple[float, bool]:
    """A bandwidth such as ``0.26`` or ``"0.25 median"``, and whether it is a multiple of the median distance."""
    text = str(value)
    try:
        number = float(text.removesuffix(" median"))
    except ValueError:
        raise UserError(f"kd-pu: bandwidth is {value!r}; give a number, or a text like '0.25 median'.") from None
    at_least("kd-pu", "bandwidth", number, 0, strict=True)
    at_least("kd-pu", "bandwidth", number, 1e-100, most=1e100)  # its square must be a number above 0, too
    return number, text.endswith(" median")


@register_detector("kd-pu")
class KdPu:
    """Two characteristics: minus the log kernel density of the predicted class, and the variance under dropout.

    KD = -log 1/n_t sum_{i in class t} N(f; f_i, s^2 I), where f are the penultimate features, t the predicted class and
    training images count by true label. PU = mean over classes of Var over ``passes`` dropout passes of the softmax.

    ``bandwidth`` s: a number in the units of the features (.26 for CIFAR, 1.00 for SVHN and 1.20 for MNIST in the
    paper; Ma et al. use 3.7926 for MNIST). Those were tuned for the features of the papers' own small nets, and other
    nets have other scales: ``"0.25 median"`` is a quarter of the median distance between training images of one class.
    The candidates include both lists. At most ``train_per_class`` images of a class are kept, drawn with ``seed``,
    which also draws the dropout masks.

    A net without dropout layers has no PU, so dropout of ``rate`` is applied to its penultimate features. After fit,
    ``notes`` states which of the two was used.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Detecting Adversarial Samples from Artifacts",
        formula="-log KDE_t(f), mean_c Var_passes(softmax_c)",
        year=2017,
        needs=("clean",),
        venue="arXiv",
        url="https://arxiv.org/abs/1703.00410",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = (
        *({"bandwidth": s} for s in (0.26, 1.0, 1.2, 3.7926)),
        *({"bandwidth": f"{s} median"} for s in (0.1, 0.25, 0.5, 1.0)),
    )

    def __init__(
        self,
        *,
        bandwidth: float | str = 0.26,
        passes: int = 50,
        rate: float = 0.5,
        train_per_class: int = 1000,
        seed: int = 0,
    ) -> None:
        whole("kd-pu", "passes", passes, 2, most=10_000)
        if not (is_number(rate) and 0 < rate < 1):
            raise UserError(f"kd-pu: rate is {rate!r}; it must be between 0 and 1.")
        whole("kd-pu", "train_per_class", train_per_class, 1)
        seed_of("kd-pu", "seed", seed)
        self.bandwidth, self._relative = bandwidth_of(bandwidth)
        self.passes, self.rate, self.train_per_class, self.seed = passes, float(rate), train_per_class, seed
        self.notes = ""
        self._references: References | None = None

    def fit(self, train: View) -> Self:
        labels, net, cap, seed = labels_of("kd-pu", train), train.classifier, self.train_per_class, self.seed
        self._references = train.memo(
            ("kd references", cap, seed),
            lambda: References.draw(train.features(PENULTIMATE), labels, net.classes, cap, seed),
        )
        layers = dropouts(net)
        self.notes = (
            f"PU from the net's own dropout layers ({', '.join(layers)})"
            if layers
            else f"PU from dropout of rate {self.rate:g} put before the last linear layer: "
            "the net has no dropout of its own"
        )
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 2)``: KD and PU."""
        references = fitted("kd-pu", self._references)
        density = references.log_density(x.features(PENULTIMATE), x.predicted, self._bandwidth(references))
        return np.stack([-density, self._uncertainty(x)], 1)

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact: the same kernels, and the same fixed dropout masks.

        Which class is predicted, and hence whose kernels count, has no gradient.
        """
        references = fitted("kd-pu", self._references)
        log_density = density_tensor(references, self._bandwidth(references))
        passes, seed, rate = self.passes, self.seed, self.rate

        def columns(images: torch.Tensor) -> torch.Tensor:
            logits, seen = seen_by(classifier, images, (PENULTIMATE,))
            features = seen[PENULTIMATE]
            if dropouts(classifier):
                spread = spread_by_layers(classifier, images, passes, seed)
            else:
                spread = spread_by_head(classifier.head, features, passes, seed, rate)
            return torch.stack([-log_density(features, logits.argmax(1)), spread], 1)

        return columns

    def _bandwidth(self, references: References) -> float:
        return self.bandwidth * (references.median if self._relative else 1.0)

    def _uncertainty(self, x: View) -> Floats:
        if dropouts(x.classifier):
            return x.memo(("pu", self.passes, self.seed), lambda: uncertainty_by_layers(x, self.passes, self.seed))
        key = ("pu", self.passes, self.seed, self.rate)
        return x.memo(key, lambda: uncertainty_by_head(x, self.passes, self.seed, self.rate))

    def seconds(self, net: Classifier, fitted: int, candidates: int) -> float:
        """Seconds per image for all candidates, measured on random images, for an estimate: it counts passes alone."""
        x = View(net, torch.rand(32, *net.shape), key="estimate")
        images = np.repeat(x.features(PENULTIMATE), 16, 0)
        count = min(fitted, net.classes * self.train_per_class)
        random = np.random.default_rng(0).random((count, images.shape[1]), np.float32)
        references = References(tuple(random[c :: net.classes].astype(np.float64) for c in range(net.classes)), 1.0)
        began = time.monotonic()
        references.log_density(images, np.arange(len(images)) % net.classes, 1.0)
        density = (time.monotonic() - began) / len(images)
        began = time.monotonic()
        self._uncertainty(x)
        return candidates * density + (time.monotonic() - began) / len(x)
