"""Local intrinsic dimensionality of features (Ma et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Floats
from ..bench.core.errors import UserError
from ..bench.core.parameters import seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier
from ..bench.views import View
from .checks import chosen_taps, fitted, one_of
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by
from .reference import batch_of, distances_to, squares_to

#: Relative precision to which distances between float32 features are known.
RESOLUTION = 1e-7


def lid_mle(distances: Floats) -> Floats:
    """Maximum-likelihood LID ``(N,)`` of sorted distances ``(N, k)`` to the k nearest: -k / sum_i log(r_i / r_k).

    Eq. 4, the mean of the logarithms written as a sum over k. It is undefined in two cases: with a neighbour at
    distance 0 it is set to 0, its limit; with k equal distances it is infinite and is capped at 1 / RESOLUTION, the
    most that float32 features can resolve.
    """
    k = distances.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        total = -np.log(distances / distances[:, -1:]).sum(1)
        lid = np.where(total == np.inf, 0.0, k / np.maximum(total, k * RESOLUTION))
    return np.asarray(np.where(distances[:, -1] == 0, 0.0, lid))


def lid_tensor(features: torch.Tensor, batch: torch.Tensor, k: int) -> torch.Tensor:
    """`lid_mle` of features ``(N, D)`` to their k nearest of ``batch`` ``(M, D)``, ``(N,)``.

    Differentiable in the distances; which of ``batch`` are the nearest has no gradient. In the two cases in which
    `lid_mle` is a constant (a distance of 0, k equal distances) the gradient is 0.
    """
    squares = squares_to(batch, features, k)
    zero = squares == 0  # a root has no gradient there
    logarithms = 0.5 * torch.where(zero, 1.0, squares).log()
    total = (logarithms[:, -1:] - logarithms).sum(1)
    return torch.where(zero.any(1), 0.0, k / total.clamp(min=k * RESOLUTION))


@register_detector("lid")
class Lid:
    """Maximum-likelihood estimate of local intrinsic dimensionality, one characteristic per tap.

    LID = -(1/k sum_{i=1..k} log(r_i / r_k))^-1 (eq. 4), r_i the distance of a tap's spatially mean-pooled features to
    the i-th nearest of a reference batch. Adversarial images lie in regions of higher LID.

    ``reference``: ``train`` draws ``batch_size`` clean training images once, with ``seed``, for use with all images.
    ``parents`` follows the authors' code: images are split in file order into batches of ``batch_size``, the references
    are the clean images of the same batch (``x.parents``, which for clean images are the images themselves), and the
    nearest of them is dropped for every image: the image itself or, most often, its clean original. An incomplete last
    batch is compared with the last ``batch_size`` parents (all of them if there are fewer); the protocol drops its
    images. With ``parents`` an image does depend on its neighbours: only the protocol that copies the paper should use
    it.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Characterizing Adversarial Subspaces Using Local Intrinsic Dimensionality",
        formula="-(1/k sum_i log(r_i / r_k))^-1 per tap",
        year=2018,
        needs=("clean",),
        venue="ICLR",
        url="https://arxiv.org/abs/1801.02613",
        coupled_by={"reference": "parents"},
        protocol_parameters={"lee2018": {"reference": "parents"}},
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = tuple({"k": k} for k in range(10, 100, 10))

    def __init__(
        self,
        *,
        k: int = 20,
        batch_size: int = 100,
        reference: str = "train",
        seed: int = 0,
        taps: Sequence[str] | None = None,
    ) -> None:
        whole("lid", "k", k, 2)
        whole("lid", "batch_size", batch_size, 2)
        seed_of("lid", "seed", seed)
        self.reference = one_of("lid", "reference", reference, ("train", "parents"))
        if k >= batch_size:
            raise UserError(f"lid: k is {k} and batch_size is {batch_size}; k must be below batch_size.")
        self.k, self.batch_size, self.seed, self.taps = k, batch_size, seed, taps
        self._references: dict[str, Floats] | None = None

    def fit(self, train: View) -> Self:
        if self.reference == "train":
            self._references = batch_of("lid", train, self.batch_size, self.seed, self.taps)
        else:
            self._references = dict.fromkeys(chosen_taps("lid", train, self.taps), np.empty((0, 0)))
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, taps)``."""
        references = fitted("lid", self._references)
        if self.reference == "train":
            nearest = [distances_to(batch, x, tap) for tap, batch in references.items()]
        else:
            nearest = [self._to_parents(x, tap) for tap in references]
        return np.stack([lid_mle(distances[:, : self.k]) for distances in nearest], 1)

    def differentiable(self, classifier: Classifier) -> Differentiable | None:
        """`characteristics` in torch: distances have a gradient, the choice of neighbours has none.

        None with ``reference="parents"``, where the numbers of an image depend on the clean images of its batch.
        """
        references = fitted("lid", self._references)
        if self.reference == "parents":
            return None
        batches = {tap: torch.from_numpy(batch).double() for tap, batch in references.items()}

        def columns(images: torch.Tensor) -> torch.Tensor:
            _, seen = seen_by(classifier, images, tuple(batches))
            lids = [lid_tensor(seen[tap], batch.to(images.device), self.k) for tap, batch in batches.items()]
            return torch.stack(lids, 1)

        return columns

    def _to_parents(self, x: View, tap: str) -> Floats:
        """Sorted distances ``(N, batch_size - 1)`` to the same batch of clean originals, without the nearest."""
        from scipy.spatial.distance import cdist  # whoever asks for another detector does without

        parents, size = x.parents, self.batch_size
        if parents is None or len(parents) != len(x):
            raise UserError(
                "lid with reference='parents' needs the clean originals of every image (View(parents=...)), which only "
                "the protocol lee2018 gives; use reference='train'."
            )
        if len(x) <= self.k:
            raise UserError(f"lid: k is {self.k}, but the view has {len(x)} images; lower k or give more images.")

        def compute() -> Floats:
            features, clean = x.features(tap), parents.features(tap)
            distances = np.empty((len(x), min(size, len(x)) - 1))
            for begin in range(0, len(x), size):
                end = min(begin + size, len(x))
                batch = clean[max(0, end - size) : end]
                distances[begin:end] = np.sort(cdist(features[begin:end], batch), axis=1)[:, 1:]
            return distances

        return x.memo(("lid parents", tap, size), compute)


__all__ = ["RESOLUTION", "Lid", "lid_mle"]
