"""One index of training features for every detector that asks for nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..bench.core.arrays import Float64, Floats, Ints
from ..bench.core.errors import UserError
from ..bench.views import View
from .checks import labels_of

#: Share of the training images, and their largest number, that are kept out of the index to calibrate on.
SHARE, MOST = 4, 5000

#: Neighbours that are looked up even where fewer are asked for, so that all k share one search.
DEPTH = 100

#: Bytes of one block of distances: bounds memory, changes no result.
BYTES = 2**26

METRICS = ("cosine", "euclidean")


@dataclass(frozen=True, eq=False)
class Split:
    """Training images ``(n,)`` by position: those in the index, and those held out to calibrate on; both ascending."""

    indexed: Ints
    calibration: Ints

    @classmethod
    def of(cls, train: View, seed: int) -> Split:
        """A quarter, at most `MOST`, is held out by a draw that depends on ``seed`` and the number of images alone."""

        def draw() -> Split:
            order = np.random.default_rng(seed).permutation(len(train))
            held = min(len(train) // SHARE, MOST)
            return cls(np.sort(order[held:]), np.sort(order[:held]))

        return train.memo(("neighbours split", seed), draw)


@dataclass(frozen=True, eq=False)
class Index:
    """Features ``(M, D)`` of one tap in float64 with their labels ``(M,)``, searched exactly.

    ``euclidean``: |a - b|. ``cosine``: 1 - cos(a, b); a row of zeros has no direction and is .5 from any that has one.
    Equal distances are ordered by position in the index. Instances compare by identity, as keys of a view's results.
    """

    tap: str
    metric: str
    references: Float64
    labels: Ints
    centre: Float64

    @classmethod
    def of(cls, train: View, tap: str, metric: str, seed: int) -> Index:
        """The index of a training view's `Split.indexed` images, built once for all detectors."""

        def build() -> Index:
            labels, split = labels_of("A neighbour index", train), Split.of(train, seed)
            references = placed(train.features(tap)[split.indexed], metric)
            return cls(tap, metric, references, labels[split.indexed], references.mean(0))

        return train.memo(("neighbours", tap, metric, seed), build)

    def __len__(self) -> int:
        return len(self.references)

    def of_view(self, x: View, k: int) -> tuple[Float64, Ints]:
        """`nearest` of a view's features at this tap: one search serves every k up to `DEPTH`."""
        depth = max(k, min(DEPTH, len(self)))
        known: dict[int, tuple[Float64, Ints]] = x.memo(("neighbours of", self), dict)
        enough = [size for size in known if size >= k]
        if not enough:
            known[depth] = self.nearest(x.features(self.tap), depth)
        distances, positions = known[min(enough, default=depth)]
        return distances[:, :k], positions[:, :k]

    def nearest(self, features: Floats, k: int) -> tuple[Float64, Ints]:
        """Distances and positions in the index, both ``(N, k)``, of the k nearest, ascending.

        A matrix product finds all that may be among them, rounding included; their distances are then computed term by
        term, so that no row depends on the others of its block.
        """
        if not 1 <= k <= len(self):
            raise UserError(
                f"A neighbour index holds {len(self)} training images, but {k} neighbours were asked for; lower k or "
                "give more training images."
            )
        points = placed(features, self.metric)
        distances, positions = np.empty((len(points), k)), np.empty((len(points), k), np.int64)
        reference = self.references - self.centre  # the expanded square cancels least around the middle
        norms = np.square(reference).sum(1)
        slack = 8 * (reference.shape[1] + 4) * np.finfo(np.float64).eps
        step = max(1, BYTES // (8 * len(self)))
        for begin in range(0, len(points), step):
            shifted = points[begin : begin + step] - self.centre
            own = np.square(shifted).sum(1)
            rough = own[:, None] + norms - 2 * shifted @ reference.T
            reach = np.partition(rough, k - 1, axis=1)[:, k - 1] + 2 * slack * (own + norms.max())
            for row in range(len(rough)):
                possible = np.flatnonzero(rough[row] <= reach[row])
                squares = np.square(points[begin + row] - self.references[possible]).sum(1)
                order = np.argsort(squares, kind="stable")[:k]
                distances[begin + row], positions[begin + row] = squares[order], possible[order]
        return (np.sqrt(distances) if self.metric == "euclidean" else distances / 2), positions

    def counts(self, x: View, k: int, classes: int) -> Ints:
        """How many of the k nearest have each label, ``(N, classes)``."""
        labels = self.labels[self.of_view(x, k)[1]]
        return np.stack([(labels == c).sum(1) for c in range(classes)], 1).astype(np.int64)

    def square_tensor(self, features: torch.Tensor, k: int) -> torch.Tensor:
        """Squared distances ``(N, k)`` to the k nearest, ascending, differentiable in ``features`` ``(N, D)`` float64.

        Only for ``euclidean``. Which are the nearest has no gradient.
        """
        chosen = torch.from_numpy(self.nearest(features.detach().cpu().numpy(), k)[1])
        references = torch.from_numpy(self.references)[chosen].to(features.device)
        squares: torch.Tensor = (features[:, None] - references).square().sum(2)
        return squares


def placed(features: Floats, metric: str) -> Float64:
    """Features ``(N, D)`` in float64; for ``cosine`` on the unit sphere, where half a squared distance is 1 - cos."""
    points = features.astype(np.float64)
    if metric == "euclidean":
        return points
    sizes = np.sqrt(np.square(points).sum(1, keepdims=True))
    return np.asarray(points / np.where(sizes > 0, sizes, 1.0))


__all__ = ["DEPTH", "METRICS", "Index", "Split"]
