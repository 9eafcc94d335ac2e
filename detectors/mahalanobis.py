"""Mahalanobis distance to class means, layer by layer (Lee, Lee, Lee and Shin 2018)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch

from ..bench.core.arrays import ClassGates, Floats, Ints
from ..bench.core.parameters import at_least
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier, evaluating, pool
from ..bench.views import View
from ..subnets.gates import fingerprint
from .checks import chosen_taps, fitted, labels_of, one_of
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by

Doubles = npt.NDArray[np.float64]

#: The magnitudes m of input pre-processing in the authors' code, in pixel units; 0 is none.
MAGNITUDES: tuple[float, ...] = (0.0, 0.01, 0.005, 0.002, 0.0014, 0.001, 0.0005)

#: Number of rows multiplied at once. A fixed block gives a product the same rounding whoever calls.
BLOCK = 1000

#: Standard deviation, in steps of the features' precision, below which a direction is left out as rounding.
STEPS = 10

DISTANCES = ("nearest", "predicted", "both")


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Class-conditional Gaussians that share one covariance, in float64.

    ``means`` ``(C, D)``; ``whitening`` ``(D, r)`` with ``whitening @ whitening.T`` the pseudo-inverse of the
    covariance, so that after it a squared Mahalanobis distance is a Euclidean one: a sum of squares, never below 0,
    however singular the covariance is. Instances compare by identity, so one can be a key for results derived from it.
    """

    means: Doubles
    whitening: Doubles

    @classmethod
    def fit(cls, features: Floats, labels: Ints, classes: int) -> Gaussians:
        """From features ``(N, D)``: means by true label, and the pooled covariance of all residuals, divided by N."""
        data = features.astype(np.float64)
        means = np.stack([data[labels == c].mean(0) for c in range(classes)])
        # As scikit-learn's `empirical_covariance` has it, whose import takes seconds; of one column, cov is a number.
        covariance = np.atleast_2d(np.cov((data - means[labels]).T, bias=True))
        values, vectors = np.linalg.eigh(covariance)
        # A dead channel has no variance: the cut-off of scipy.linalg.pinvh, below which eigenvalues are rounding.
        kept = values > len(values) * np.finfo(np.float64).eps * np.abs(values).max()
        # A dependent channel, such as the sum of two others, has some: that of its rounding. Features are rounded to a
        # step of at most eps times their size, mean included: along v, a deviation of sqrt(sum_j (v_j eps rms_j)^2). A
        # direction that deviates by less than `STEPS` of them says nothing about images, and yet would weigh like any
        # other. In one that is kept, a step of one channel moves an image by at most 1 / STEPS of the deviation.
        step = np.finfo(features.dtype).eps * np.sqrt(np.square(data).mean(0))
        kept &= values > STEPS**2 * np.square(step[:, None] * vectors).sum(0)
        return cls(means, vectors[:, kept] / np.sqrt(values[kept]))

    @property
    def precision(self) -> Doubles:
        """``(D, D)``, scikit-learn's ``EmpiricalCovariance().precision_``."""
        return self.whitening @ self.whitening.T

    @cached_property
    def _white_means(self) -> Doubles:
        return self.means @ self.whitening

    def distances(self, features: Floats, classes: Ints | None = None) -> Doubles:
        """Half the squared distance of features ``(N, D)`` to all class means, ``(N, C)``.

        This is minus the score of Lee et al., eq. 2. With ``classes`` ``(N,)``, only to those means, ``(N,)``, by the
        same arithmetic to the last bit.
        """
        means = self._white_means
        distances = np.empty((len(features), len(means)) if classes is None else len(features))
        for begin in range(0, len(features), BLOCK):
            part = slice(begin, begin + BLOCK)
            white = features[part].astype(np.float64) @ self.whitening
            if classes is not None:
                distances[part] = 0.5 * np.square(white - means[classes[part]]).sum(1)
                continue
            for c, mean in enumerate(means):
                distances[part, c] = 0.5 * np.square(white - mean).sum(1)
        return distances

    def distance_tensor(self, features: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """`distances` to ``classes``, differentiable in ``features``; float64."""
        whitening = torch.from_numpy(self.whitening).to(features.device)
        means = torch.from_numpy(self.means).to(features.device)
        return 0.5 * ((features.double() - means[classes]) @ whitening).square().sum(1)

    def nearest(self, features: torch.Tensor) -> torch.Tensor:
        """The class ``(N,)`` of the nearest mean to each row of ``features``: a choice, without a gradient."""
        whitening = torch.from_numpy(self.whitening).to(features.device)
        means = torch.from_numpy(self.means).to(features.device) @ whitening
        white = features.detach().double() @ whitening
        return torch.cdist(white, means, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)


def gaussians_at(train: View, tap: str, labels: Ints) -> Gaussians:
    """The Gaussians of a tap's pooled features, computed once per training view."""
    return train.memo(("gaussians", tap), lambda: Gaussians.fit(train.features(tap), labels, train.classifier.classes))


def tap_features(
    net: Classifier, x: torch.Tensor, tap: str, rows: Mapping[str, torch.Tensor] | None = None, start: int = 0
) -> torch.Tensor:
    """Pooled output ``(N, D)`` of a tap; the net runs from stage ``start`` to the tap's and no further."""
    _, seen = net.observe(x, (tap,), rows, start, net.stage_of(tap) + 1)
    return pool(seen[tap])


def input_gradient(
    net: Classifier,
    images: torch.Tensor,
    tap: str,
    gaussians: Gaussians,
    classes: torch.Tensor,
    rows: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """Gradient, with respect to the images, of half the squared distance of each image to its class in ``classes``."""
    with torch.enable_grad():
        x = images.detach().clone().requires_grad_()
        total = gaussians.distance_tensor(tap_features(net, x, tap, rows), classes).sum()
        return torch.autograd.grad(total, x)[0]


def uphill(gradient: torch.Tensor) -> torch.Tensor:
    """Sign of a gradient as in the authors' code, ``torch.ge(gradient, 0)``: True is +1, and so is a zero gradient."""
    return torch.ge(gradient, 0)


def descend(
    x: View, tap: str, gaussians: Gaussians, classes: Ints, magnitude: float, gates: ClassGates | None = None
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Pre-processed images x' = x - m sign(gradient), not clamped, batch by batch on the view's device.

    The gradient is that of this tap's distance to ``classes`` ``(N,)`` (through their subnets if there are gates).
    Its sign is kept on the view, so that all magnitudes together cost one backward pass.
    """

    def signs() -> torch.Tensor:
        pieces = []
        with torch.inference_mode(False), evaluating(x.classifier):
            for part in x.batches():
                chosen = torch.from_numpy(classes[part]).to(x.device)
                rows = None if gates is None else {path: gate.to(x.device)[chosen] for path, gate in gates.items()}
                images = x.images[part].to(x.device)
                pieces.append(uphill(input_gradient(x.classifier, images, tap, gaussians, chosen, rows)).cpu())
        return torch.cat(pieces)

    sign = x.memo(("uphill", tap, gaussians, classes.tobytes(), None if gates is None else fingerprint(gates)), signs)
    for part in x.batches():
        images = x.images[part].to(x.device)
        yield part, images - magnitude * (2 * sign[part].to(x.device, images.dtype) - 1)


def distances_after(x: View, tap: str, gaussians: Gaussians, classes: Ints, magnitude: float) -> Doubles:
    """`Gaussians.distances` ``(N, C)`` at this tap after pre-processing towards ``classes``; unprocessed at m = 0."""
    if magnitude == 0:
        return x.memo(("distances", tap, gaussians), lambda: gaussians.distances(x.features(tap)))

    def moved() -> Doubles:
        features = []
        with torch.no_grad(), evaluating(x.classifier):
            for _, images in descend(x, tap, gaussians, classes, magnitude):
                features.append(tap_features(x.classifier, images, tap).cpu().numpy())
        return gaussians.distances(np.concatenate(features))

    return x.memo(("distances", tap, gaussians, classes.tobytes(), magnitude), moved)


def distance_columns(
    net: Classifier, images: torch.Tensor, gaussians: Mapping[str, Gaussians], kinds: Sequence[str]
) -> list[torch.Tensor]:
    """Distances ``(N,)`` to the nearest or predicted class, for every kind and tap, from one pass of the net."""
    logits, seen = seen_by(net, images, tuple(gaussians))
    predicted = logits.argmax(1)
    return [
        at.distance_tensor(seen[tap], at.nearest(seen[tap]) if to == "nearest" else predicted)
        for to in kinds
        for tap, at in gaussians.items()
    ]


def moved_columns(
    net: Classifier, images: torch.Tensor, gaussians: Mapping[str, Gaussians], kinds: Sequence[str], magnitude: float
) -> list[torch.Tensor]:
    """`distance_columns` after pre-processing, which every column does for itself: a pass each."""
    with torch.inference_mode(False), torch.enable_grad():
        x = images.detach().clone().requires_grad_()
        plain = distance_columns(net, x, gaussians, kinds)
        gradients = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in plain]
    with torch.no_grad(), evaluating(net):
        predicted = net(images).argmax(1)
    columns = []
    for (to, tap), gradient in zip(product(kinds, gaussians), gradients, strict=True):
        moved = images - magnitude * (2 * uphill(gradient).to(images.dtype) - 1)
        with evaluating(net):
            features = tap_features(net, moved, tap)
        at = gaussians[tap]
        columns.append(at.distance_tensor(features, at.nearest(features) if to == "nearest" else predicted))
    return columns


@register_detector("mahalanobis")
class Mahalanobis:
    """Half the squared distance to a class mean under one tied covariance, one characteristic per tap.

    M = min_c 1/2 (f - mu_c)^T S^-1 (f - mu_c), minus the score of eq. 2 so that higher is more adversarial; f are a
    tap's spatially mean-pooled features, mu_c and S come from all clean training images by true label.

    ``distance``: ``nearest`` (the paper), ``predicted`` (to the mean of the classifier's predicted class) or ``both``
    (nearest of every tap, then predicted of every tap). ``magnitude``: m of the input pre-processing of Algorithm 1, in
    pixel units, done for every tap separately; 0 means none. ``taps``: the classifier's taps to use; None: all.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks",
        formula="min_c 1/2 (f - mu_c)^T S^-1 (f - mu_c) per tap",
        year=2018,
        needs=("clean", "gradient"),
        venue="NeurIPS",
        url="https://arxiv.org/abs/1807.03888",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = tuple({"magnitude": m} for m in MAGNITUDES)

    def __init__(self, *, distance: str = "nearest", magnitude: float = 0.0, taps: Sequence[str] | None = None) -> None:
        self.distance = one_of("mahalanobis", "distance", distance, DISTANCES)
        at_least("mahalanobis", "magnitude", magnitude, 0, most=1)
        self.magnitude, self.taps = float(magnitude), taps
        self._gaussians: dict[str, Gaussians] | None = None

    def fit(self, train: View) -> Self:
        labels = labels_of("mahalanobis", train)
        taps = chosen_taps("mahalanobis", train, self.taps)
        self._gaussians = {tap: gaussians_at(train, tap, labels) for tap in taps}
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, taps)``; twice as many columns for ``both``."""
        gaussians = fitted("mahalanobis", self._gaussians)
        columns = []
        for to in ("nearest", "predicted") if self.distance == "both" else (self.distance,):
            for tap, at in gaussians.items():
                # Algorithm 1 moves towards the tap's own decision, not the net's.
                plain = distances_after(x, tap, at, x.predicted, 0)
                classes = plain.argmin(1) if to == "nearest" else x.predicted
                after = distances_after(x, tap, at, classes, self.magnitude)
                columns.append(after.min(1) if to == "nearest" else after[np.arange(len(x)), classes])
        return np.stack(columns, 1)

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact: one pass for all taps; the choice of a class has no gradient.

        With ``magnitude`` m, the sign in x' = x - m sign(gradient) counts as a constant, so that x' moves as x does
        (straight through); that is the derivative wherever no sign flips.
        """
        gaussians = fitted("mahalanobis", self._gaussians)
        kinds = ("nearest", "predicted") if self.distance == "both" else (self.distance,)

        def columns(images: torch.Tensor) -> torch.Tensor:
            if self.magnitude == 0:
                return torch.stack(distance_columns(classifier, images, gaussians, kinds), 1)
            return torch.stack(moved_columns(classifier, images, gaussians, kinds, self.magnitude), 1)

        return columns
