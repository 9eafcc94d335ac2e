"""Are true and adversarial images further apart in the subnets? A measure of their separation by features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.arrays import Bools, Float64, Floats, Ints
from ..core.store import Arrays
from ..stats.inference import bootstrap_auroc, interval, resample_counts, share_interval
from ..stats.metrics import auroc
from .arrays import REPRESENTATIONS, features_file, read_features

#: Number of neighbours that vote.
NEIGHBOURS = 10
RESAMPLES = 2000
#: Reported differences: the first minus the second.
DIFFERENCES = (("subnet", "full"), ("subnet", "random"))


def neighbour_votes(features: Floats, adversarial: Bools, image: Ints, k: int = NEIGHBOURS) -> Float64:
    """Share of adversarial images among the k nearest neighbours (Euclidean) of each row of ``(M, D)``: ``(M,)``.

    Neither the row itself nor the other version of the same image votes. An adversarial image lies close to the image
    that it was made from, which would count against both; and with both left out, as many true as adversarial images
    may vote on every row, so that two samples of one distribution give an AUROC near .5, not below it as plain
    leave-one-out does. With fewer rows than k, all vote.
    """
    rows = np.asarray(features, np.float64)
    rows = rows - rows.mean(0)  # distances stay, and lose less to rounding
    square = np.einsum("md,md->m", rows, rows)
    distance = square[:, None] + square[None, :] - 2 * rows @ rows.T
    distance[image[:, None] == image[None, :]] = np.inf
    voters = int(np.isfinite(distance).sum(1).min())
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : min(k, voters)]
    votes: Float64 = adversarial.astype(np.float64)[nearest].mean(1)
    return votes


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap samples; ``images``: on how many an AUROC is, None for a difference."""

    value: float
    samples: Floats
    images: int | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        return interval(self.samples) if self.images is None else share_interval(self.samples, self.images)

    def minus(self, other: Estimate) -> Estimate:
        """The paired difference: both are of the same images and resamples."""
        return Estimate(self.value - other.value, self.samples - other.samples)


def two_sample_auroc(
    features: Floats, adversarial: Bools, image: Ints, *, k: int = NEIGHBOURS, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """k-NN two-sample AUROC: how well neighbours' votes separate adversarial from true images; .5 is "not at all".

    The bootstrap draws images, an image together with its adversarial version; votes are those of the whole set (a
    repeated image would be its own neighbour), so the interval covers the choice of images judged, not of voters.
    """
    adversarial = np.asarray(adversarial, bool)
    votes = neighbour_votes(features, adversarial, image, k)
    images, unit = np.unique(image, return_inverse=True)
    counts = resample_counts(len(images), resamples, np.random.default_rng(seed))
    positive, negative = votes[adversarial], votes[~adversarial]
    samples = bootstrap_auroc(positive, unit[adversarial], negative, unit[~adversarial], counts)
    return Estimate(auroc(positive, negative), samples, len(images))


def measured(arrays: Arrays) -> dict[str, Estimate]:
    """The k-NN two-sample AUROC of every representation that the arrays of figure 2 hold."""
    return {
        name: two_sample_auroc(arrays[name], arrays["adversarial"] > 0, arrays["image"])
        for name in REPRESENTATIONS
        if name in arrays
    }


SEPARATION_NOTE = (
    "Figure 2 as a number: AUROC in percent of the share of adversarial images among the "
    f"{NEIGHBOURS} nearest neighbours in penultimate features (an image and its own adversarial version never vote for "
    "each other; 50 is not separable), with a 95% bootstrap interval over the images judged, whose voters stay as they "
    "are: narrower than one that draws these anew. Differences are paired. One set of gates and one draw of random "
    "gates, which keep its number of channels; the subnet is that of the class that the full net predicts."
)


def separation(folder: Path) -> pd.DataFrame:
    """The table of figure 2, one row per representation and difference; empty where the folder has no features."""
    if features_file(folder) is None:
        return pd.DataFrame()
    arrays, metadata = read_features(folder)
    estimates = measured(arrays)
    head = {"dataset": metadata["dataset"], "attack": metadata.get("attack", "–")}
    images = str(len(arrays["image"]) // 2)
    rows = []
    for name, estimate in estimates.items():
        low, high = estimate.bounds
        text = f"{100 * estimate.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        rows.append(head | {"representation": REPRESENTATIONS[name], "images": images, "k-NN AUROC": text})
    for first, second in DIFFERENCES:
        if first in estimates and second in estimates:
            difference = estimates[first].minus(estimates[second])
            low, high = difference.bounds
            text = f"{100 * difference.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
            title = f"difference: {REPRESENTATIONS[first]} minus {REPRESENTATIONS[second].removesuffix(' (control)')}"
            rows.append(head | {"representation": title, "images": images, "k-NN AUROC": text})
    return pd.DataFrame(rows)
