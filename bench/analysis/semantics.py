"""Do classes of similar meaning have similar subnets? Distances, clusters and a layout of subnets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...subnets.similarity import class_distances
from ...subnets.stored import checked_gates
from ..core.arrays import Float64, Floats, Ints
from ..core.errors import UserError
from .arrays import GATES, read_arrays
from .class_names import class_names, superclasses

PERMUTATIONS = 9_999


def read_gates(folder: Path) -> tuple[dict[str, Floats], str]:
    """The class gates behind figure 3 and the name of their data set."""
    arrays, metadata = read_arrays(folder / GATES)
    try:
        return checked_gates(arrays), metadata["dataset"]
    except UserError as error:
        raise UserError(f"{folder / GATES}: {error}") from None


def names_of(dataset: str, classes: int) -> tuple[str, ...]:
    """Names of the classes, where the data set is known and has that many; otherwise their numbers."""
    names = class_names(dataset)
    return names if names is not None and len(names) == classes else tuple(map(str, range(classes)))


def groups_of(dataset: str, classes: int) -> tuple[str, ...] | None:
    """Superclasses of the classes, where they are known and the data set has that many classes."""
    groups = superclasses(dataset)
    return groups if groups is not None and len(groups) == classes else None


@dataclass(frozen=True)
class Association:
    """How distances between classes relate to their superclasses.

    ``spearman``: rank correlation over pairs of classes of their distance with 0 (same superclass) or 1 (another);
    above 0, classes of one superclass are closer. ``p``: one-sided, see `association`.
    """

    within_pairs: int
    between_pairs: int
    within: float
    between: float
    spearman: float
    p: float


def association(
    distance: Floats, groups: Sequence[str], *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Association:
    """Rank correlation of distances ``(n, n)`` with superclasses ``(n,)``, tested by permuting the class labels.

    Pairs of classes are not independent, so the classes are permuted and not the pairs (Mantel 1967): p is the share of
    ``permutations`` random ones, plus the observed one, whose correlation is at least the observed. NaN and 1 where
    there is nothing to rank: all distances equal, or no two (or all) classes of one superclass.
    """
    from scipy.stats import rankdata  # a second to import, as scikit-learn below: tables of other suites do without

    n = len(groups)
    first, second = np.triu_indices(n, 1)
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    same = codes[first] == codes[second]
    # Rounding errors in the last digits must not rank distances that are equal.
    pairs = np.round(np.asarray(distance, np.float64)[first, second], 12)
    ranks = rankdata(pairs)
    within, between = (float(pairs[part].mean()) if part.any() else float("nan") for part in (same, ~same))
    inside, across = int(same.sum()), int((~same).sum())
    if min(inside, across) == 0 or np.ptp(ranks) == 0:
        return Association(inside, across, within, between, float("nan"), 1.0)
    spearman = float(np.corrcoef(ranks, ~same)[0, 1])
    # With two values on one side, the correlation falls as the sum of the ranks within superclasses rises: that sum is
    # all that a permutation changes, and sums of half-integers are exact.
    table = np.zeros((n, n))
    table[first, second] = table[second, first] = ranks
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (permutations, 1)), axis=1)
    sums = table[order[:, first[same]], order[:, second[same]]].sum(1)
    p = (1 + int((sums <= ranks[same].sum()).sum())) / (permutations + 1)
    return Association(inside, across, within, between, spearman, p)


def layout(distance: Floats) -> tuple[Float64, float]:
    """Classical multidimensional scaling (Torgerson 1952) of ``(n, n)`` into the plane: ``(n, 2)``.

    Also the share of the positive eigenvalues' sum that the two axes hold: 1 where the plane shows everything.
    """
    n = len(distance)
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * centre @ np.asarray(distance, np.float64) ** 2 @ centre)
    values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
    axes = vectors[:, :2] * np.sqrt(values[:2])
    # An eigenvector's sign is arbitrary: make the largest coordinate of each axis positive.
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    points = np.zeros((n, 2))
    points[:, : axes.shape[1]] = axes
    total = float(values.sum())
    return points, float(values[:2].sum()) / total if total > 0 else 1.0


def clusters(distance: Floats, count: int | None = None) -> Ints:
    """Clusters ``(n,)`` from 1 in the order of their first class, by average linkage of ``(n, n)``.

    ``count`` of them, or as many (up to 20) as have the highest mean silhouette.
    """
    from scipy.cluster.hierarchy import fcluster

    n = len(distance)
    if n < 3:
        return np.ones(n, np.int64)
    tree = linked(distance)
    if count is not None:
        return _numbered(fcluster(tree, count, "maxclust").astype(np.int64))
    from sklearn.metrics import silhouette_score

    cuts: list[Ints] = [fcluster(tree, size, "maxclust").astype(np.int64) for size in range(2, min(20, n - 1) + 1)]
    cuts = [cut for cut in cuts if 1 < cut.max() < n]  # ties can leave fewer clusters than asked for
    if not cuts:
        return np.ones(n, np.int64)
    return _numbered(max(cuts, key=lambda cut: float(silhouette_score(distance, cut, metric="precomputed"))))


def linked(distance: Floats) -> Float64:
    """Average linkage of ``(n, n)`` distances, as scipy has it: ``(n - 1, 4)``."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    tree: Float64 = linkage(squareform(np.asarray(distance, np.float64), checks=False), "average")
    return tree


def _numbered(labels: Ints) -> Ints:
    order = list(dict.fromkeys(labels.tolist()))
    return np.array([1 + order.index(label) for label in labels.tolist()], np.int64)


def class_map(folder: Path) -> tuple[pd.DataFrame, str, float]:
    """Figure 3 as a frame (class, name, superclass, cluster, x, y), its data set, and the share of `layout`.

    Distances are cosine; there are as many clusters as superclasses, or as many as maximise the silhouette.
    """
    gates, dataset = read_gates(folder)
    distance = class_distances(gates)
    n = len(distance)
    groups = groups_of(dataset, n)
    points, share = layout(distance)
    columns = {
        "class": np.arange(n),
        "name": names_of(dataset, n),
        "superclass": groups or [""] * n,
        "cluster": clusters(distance, len(set(groups)) if groups else None),
        "x": points[:, 0],
        "y": points[:, 1],
    }
    return pd.DataFrame(columns), dataset, share


def class_tree(folder: Path) -> tuple[Float64, Float64]:
    """Cosine distances ``(n, n)`` between the classes' gates, and their average linkage ``(n - 1, 4)``."""
    distance = np.asarray(class_distances(read_gates(folder)[0]), np.float64)
    return distance, linked(distance)


SEMANTICS_NOTE = (
    "Figure 3 as a number: distances between the gates of two classes, in one set of gates, over pairs of the "
    "same superclass and of different ones; Spearman: rank correlation over all pairs of that distance with same (0) "
    "or different (1), above "
    f"0 where alike classes have alike subnets; p: one-sided, {PERMUTATIONS:,} permutations of the class labels; ARI: "
    "adjusted Rand index of as many hierarchical clusters with the superclasses (0: chance, 1: the same). CIFAR-100's "
    "superclasses are official, CIFAR-10's are animals and vehicles."
)


def semantics(folder: Path) -> pd.DataFrame:
    """The table of figure 3, one row per distance; empty without gates or superclasses of the data set."""
    if not (folder / GATES).is_file():
        return pd.DataFrame()
    gates, dataset = read_gates(folder)
    groups = groups_of(dataset, len(next(iter(gates.values()))))
    if groups is None:
        return pd.DataFrame()
    from sklearn.metrics import adjusted_rand_score

    rows = []
    for title, metric in (("cosine", "cosine"), ("Jaccard", "jaccard")):
        distance = class_distances(gates, metric)  # type: ignore[arg-type]
        relation = association(distance, groups)
        nothing = np.isnan(relation.spearman)
        rows.append(
            {
                "dataset": dataset,
                "distance": title,
                "classes": str(len(groups)),
                "superclasses": str(len(set(groups))),
                "pairs within": str(relation.within_pairs),
                "pairs between": str(relation.between_pairs),
                "mean within": f"{relation.within:.3f}",
                "mean between": f"{relation.between:.3f}",
                "Spearman": "–" if nothing else f"{relation.spearman:+.3f}",
                "p": "–" if nothing else f"{relation.p:.4f}",
                "ARI": f"{adjusted_rand_score(groups, clusters(distance, len(set(groups)))):.2f}",
            }
        )
    return pd.DataFrame(rows)
