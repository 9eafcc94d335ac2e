"""The odds are odd (Roth, Kilcher and Hofmann 2019): how noise moves the log odds of the predicted class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Floats, Ints
from ..bench.core.parameters import at_least, seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier, evaluating
from ..bench.views import View
from .checks import fitted, labels_of, one_of
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by

NOISES = ("normal", "uniform", "sign")

#: Least deviation of a pair of classes, as a share of the median one: a pair that never varied must not dwarf others.
LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class Moves:
    """How noise moves logits: the mean over draws and the mean square of z_c's move against that of class y.

    ``mean`` and ``square`` are ``(N, classes)`` float64: E_eta[g_{y,z}] and E_eta[g_{y,z}^2], y the predicted class.
    """

    mean: Floats
    square: Floats


@dataclass(frozen=True, eq=False)
class Normal:
    """Mean and deviation of g_{y,z} over clean training images and noise, ``(classes, classes)`` by y and z."""

    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, moves: Moves, predicted: Ints, classes: int) -> Normal:
        """By predicted class; one that the net predicts for fewer than two images gets the figures of all images."""
        mean, square = np.empty((classes, classes)), np.empty((classes, classes))
        for y in range(classes):
            rows = predicted == y
            rows = rows if rows.sum() > 1 else np.ones_like(rows)
            mean[y], square[y] = moves.mean[rows].mean(0), moves.square[rows].mean(0)
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        others = deviation[~np.eye(classes, dtype=bool)]
        floor = LEAST * float(np.median(others)) if others.size else 0.0
        return cls(mean, np.maximum(deviation, floor or 1.0))


@register_detector("odds")
class Odds:
    """max_{z != y} (E_eta[g_{y,z}(x, eta)] - mu_{y,z}) / sigma_{y,z}, y the predicted class. One column.

    g_{y,z}(x, eta) = (z_z - z_y)(x + eta) - (z_z - z_y)(x), of logits z; mu and sigma are its mean and deviation over
    clean training images that the net takes for y, and over noise (Roth et al. 2019, section 3). The paper sets a
    threshold for every pair of classes; here the largest of all is the score.

    ``noise``: ``normal`` of deviation ``strength``, ``uniform`` within +-``strength``, or ``sign``, +-``strength``. The
    same ``draws`` patterns, drawn with ``seed``, are added to all images, so that a score depends on the image alone;
    the paper draws 256 anew for each. They are not clipped to [0, 1], as in the paper.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="The Odds are Odd: A Statistical Test for Detecting Adversarial Examples",
        formula="max_{z != y} (E_eta[g_yz(x, eta)] - mu_yz) / sigma_yz, g_yz: move of z_z - z_y by noise eta",
        year=2019,
        venue="ICML",
        url="https://arxiv.org/abs/1902.04818",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"noise": "normal", "strength": 0.01},
        {"noise": "normal", "strength": 0.03},
        {"noise": "normal", "strength": 0.1},
        {"noise": "uniform", "strength": 0.03},
        {"noise": "sign", "strength": 0.03},
    )

    def __init__(
        self,
        *,
        noise: str = "normal",
        strength: float = 0.03,
        draws: int = 16,
        train_images: int = 1000,
        seed: int = 0,
    ) -> None:
        self.noise = one_of("odds", "noise", noise, NOISES)
        at_least("odds", "strength", strength, 1e-6, most=10)
        whole("odds", "draws", draws, 1, most=10_000)
        whole("odds", "train_images", train_images, 2)
        seed_of("odds", "seed", seed)
        self.strength, self.draws, self.train_images, self.seed = float(strength), draws, train_images, seed
        self.notes = ""
        self._normal: Normal | None = None

    def fit(self, train: View) -> Self:
        labels_of("odds", train)
        count = min(len(train), self.train_images)
        chosen = np.random.default_rng(self.seed).permutation(len(train))[:count]
        part = train if count == len(train) else train.memo(("odds", count, self.seed), lambda: train.subset(chosen))
        self._normal = Normal.of(self._moves(part), part.predicted, train.classifier.classes)
        self.notes = f"{count} training images, {self.draws} draws"
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 1)``."""
        normal = fitted("odds", self._normal)
        y = x.predicted
        scores = (self._moves(x).mean - normal.mean[y]) / normal.deviation[y]
        np.put_along_axis(scores, y[:, None], -np.inf, axis=1)
        return np.asarray(scores.max(1, keepdims=True))

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact, with the same draws; which classes are compared has no gradient."""
        normal = fitted("odds", self._normal)
        patterns = self._patterns(classifier.shape)

        def column(images: torch.Tensor) -> torch.Tensor:
            plain = seen_by(classifier, images)[0]
            y = plain.argmax(1)
            moved = [seen_by(classifier, images + pattern.to(images))[0] for pattern in patterns]
            moves = torch.stack(moved).mean(0) - plain
            moves = moves - moves.gather(1, y[:, None])
            mean, deviation = (torch.from_numpy(a).to(images.device)[y] for a in (normal.mean, normal.deviation))
            return ((moves - mean) / deviation).scatter(1, y[:, None], -torch.inf).max(1, keepdim=True).values

        return column

    def _patterns(self, shape: tuple[int, int, int]) -> torch.Tensor:
        """The noise ``(draws, C, H, W)`` float32 that all images get."""
        generator = torch.Generator().manual_seed(self.seed)
        size = (self.draws, *shape)
        if self.noise == "normal":
            return self.strength * torch.randn(size, generator=generator)
        uniform = 2 * torch.rand(size, generator=generator) - 1
        return self.strength * (uniform if self.noise == "uniform" else torch.where(uniform < 0, -1.0, 1.0))

    def _moves(self, x: View) -> Moves:
        """By one pass for each draw."""

        def compute() -> Moves:
            patterns, means, squares = self._patterns(x.classifier.shape).to(x.device), [], []
            with torch.no_grad(), evaluating(x.classifier):
                for part in x.batches():
                    images = x.images[part].to(x.device)
                    plain = x.classifier(images).double()
                    y = plain.argmax(1, keepdim=True)
                    total, square = torch.zeros_like(plain), torch.zeros_like(plain)
                    for pattern in patterns:
                        move = x.classifier(images + pattern).double() - plain
                        move = move - move.gather(1, y)
                        total, square = total + move, square + move.square()
                    means.append((total / len(patterns)).cpu().numpy())
                    squares.append((square / len(patterns)).cpu().numpy())
            return Moves(np.concatenate(means), np.concatenate(squares))

        return x.memo(("odds", self.noise, self.strength, self.draws, self.seed), compute)
