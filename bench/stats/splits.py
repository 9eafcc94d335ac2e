"""Intervals and tests of an AUROC that is the mean over many splits of one set of images, without resampling.

The AUROC of split s is mu + f(fitted images) + e(evaluated images) + a remainder, where f and e are means over images
of what one image contributes by being fitted on and by being evaluated. Over all splits an image does both, so the mean
has the variance of f + e over images, divided by their number, however many splits there are: splits share images, and
more of them are no more images (Nadeau and Bengio 2003).

- e is measured: the placement values of an image (DeLong, DeLong and Clarke-Pearson 1988) minus the split's AUROC,
  averaged over the splits that evaluate it. `advantages` gives the mean of e over the images each split was fitted on.
- f is what remains of the differences between splits, since those evaluated are those that were not fitted on.

A partition of the images whose blocks take turns in fitting is one look at f and e: its blocks share no image
(Dietterich 1998). The looks are averaged. What varies between splits is f - e, and that is the variance of f + e where
both are unrelated. If they go together (an image that is hard to judge is bad to learn from as well), f + e varies
more: their covariance is measured and counts where it widens, `NOISE` standard errors less. A remainder that is no sum
over images, such as luck of the optimiser, widens as well, as if more splits did not average it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float64, Floats, Ints
from .metrics import Ties, checked

#: Standard errors taken off a covariance that widens: what one of zero would add on average.
NOISE = 0.4

#: A replicate: the set of gates, the split.
Place = tuple[int, int]


@dataclass(frozen=True)
class Design:
    """How a protocol splits its images: the share that fits, and how many splits in a row partition the images.

    ``blocks`` 1: every split is drawn anew.
    """

    fit_share: float
    blocks: int = 1


@dataclass(frozen=True)
class Replicates:
    """A cell's AUROC in each split, for each set of gates, and the advantage of the images fitted on (`advantages`)."""

    places: tuple[Place, ...]
    values: Floats
    advantages: Floats

    def minus(self, other: Replicates, rows: Sequence[tuple[int, int]]) -> Replicates:
        """Paired differences of matching rows of both."""
        left, right = ([pair[k] for pair in rows] for k in (0, 1))
        return Replicates(
            tuple((max(self.places[i][0], other.places[j][0]), self.places[i][1]) for i, j in rows),
            self.values[left] - other.values[right],
            self.advantages[left] - other.advantages[right],
        )


@dataclass(frozen=True)
class Estimate:
    """A mean over replicates, the variance of that mean, and the variance's degrees of freedom (0: it has none)."""

    value: float
    variance: float
    freedom: float


def placements(positive: Floats, negative: Floats, ties: Ties = "half") -> tuple[Float64, Float64]:
    """Share of negatives below each positive, and of positives above each negative; a tie counts as in `auroc`."""
    positive, negative = checked(positive, negative)
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left").astype(np.float64)
    reverse = np.sort(positive)
    above = positive.size - np.searchsorted(reverse, negative, "right").astype(np.float64)
    if ties == "half":
        below = (below + np.searchsorted(ordered, positive, "right")) / 2
        above = (above + positive.size - np.searchsorted(reverse, negative, "left")) / 2
    return below / negative.size, above / positive.size


@dataclass(frozen=True)
class Evaluated:
    """One split of a cell: the images behind each side's scores, and the scores."""

    positive_images: Ints
    positive: Floats
    negative_images: Ints
    negative: Floats


def advantages(splits: Sequence[Evaluated], ties: Ties = "half") -> Floats:
    """For each split, by how much its AUROC would be higher on the images that it was fitted on, ``(S,)``.

    The images fitted on are those that the other splits evaluate and this one does not; what they contribute is
    measured in those other splits, whose fits did not see them.
    """
    return advantages_of(
        [
            list(
                zip(
                    (split.positive_images, split.negative_images),
                    placements(split.positive, split.negative, ties),
                    strict=True,
                )
            )
            for split in splits
        ]
    )


def advantages_of(splits: Sequence[Sequence[tuple[Ints, Floats]]]) -> Floats:
    """`advantages` of any figure that is the sum of one mean over images a side: of each side its images and values."""
    images = np.unique(np.concatenate([side for split in splits for side, _ in split]))
    total, count = np.zeros(len(images)), np.zeros(len(images))
    present = np.zeros((len(splits), len(images)), bool)
    for number, split in enumerate(splits):
        places = [np.searchsorted(images, side) for side, _ in split]
        present[number, np.concatenate(places)] = True
        for place, (_, values) in zip(places, split, strict=True):
            # Sides may hold an image more than once (clean and noisy): its weight is its share of the side's scores.
            total += np.bincount(place, values - values.mean(), len(images)) * present[number].sum() / len(values)
        count += present[number]
    contribution = total / count
    contribution -= contribution.mean()
    fitted = ~present
    return np.asarray(fitted @ contribution / np.maximum(fitted.sum(1), 1), np.float64)


def estimate(replicates: Replicates, design: Design) -> Estimate:
    """Mean, variance and degrees of freedom over images, fits and the sets of gates drawn (Satterthwaite 1946)."""
    values = replicates.values
    gates = _means(values, [gate for gate, _ in replicates.places])
    splits = [split for _, split in replicates.places]
    variance, freedom = _over_splits(_means(values, splits), _means(replicates.advantages, splits), design)
    if freedom and len(gates) > 1:
        between = float(np.var(list(gates.values()), ddof=1)) / len(gates)
        parts = variance**2 / freedom + between**2 / (len(gates) - 1)
        variance += between
        freedom = variance**2 / parts if parts > 0 else freedom
    return Estimate(float(np.mean(values)), variance, freedom)


def _means(values: Floats, groups: Sequence[int]) -> dict[int, float]:
    return {group: float(np.mean(values[np.array(groups) == group])) for group in sorted(set(groups))}


def _over_splits(values: Mapping[int, float], own: Mapping[int, float], design: Design) -> tuple[float, float]:
    """Variance of the mean over splits, and its degrees of freedom."""
    partitions: dict[int, list[int]] = {}
    for split in values:
        partitions.setdefault(split // design.blocks, []).append(split)
    whole = [members for members in partitions.values() if len(members) == design.blocks]
    if design.blocks > 1 and whole:
        looks = [_parts(members, values, own, design.fit_share) for members in whole]
        freedom = len(looks) * (design.blocks - 1)
        fitted, evaluated = (np.concatenate([look[k] for look in looks]) for k in (0, 1))
        return design.fit_share * _of_sums(fitted, evaluated, freedom), float(freedom)
    if len(values) < 2:
        return 0.0, 0.0
    # Splits drawn one by one: drawing without replacement hides a share of the variance, and few splits are not all.
    hidden = design.fit_share / (1 - design.fit_share)
    freedom = len(values) - 1
    fitted, evaluated = _parts(list(values), values, own, design.fit_share)
    few = float(np.var(list(values.values()), ddof=1)) / len(values)
    return hidden * _of_sums(fitted, evaluated, freedom) + few, float(freedom)


def _parts(
    members: Sequence[int], values: Mapping[int, float], own: Mapping[int, float], fit_share: float
) -> tuple[Floats, Floats]:
    """What the images fitted on contribute in each split by being fitted on and by being evaluated."""
    value, evaluated = (np.array([of[split] for split in members]) for of in (values, own))
    evaluated -= evaluated.mean()
    # The evaluated images are the rest: theirs is the opposite of what those fitted on would contribute.
    return value - value.mean() + fit_share / (1 - fit_share) * evaluated, evaluated


def _of_sums(fitted: Floats, evaluated: Floats, freedom: int) -> float:
    """The variance of the sum of both parts, from looks at each that are 0 on average."""
    apart = float(np.sum((fitted - evaluated) ** 2)) / freedom
    together = float(np.sum(fitted * evaluated)) / freedom
    error = float(np.sqrt(np.sum(fitted**2) * np.sum(evaluated**2) / freedom)) / freedom
    return apart + 4 * max(0.0, together - NOISE * error)


def share_interval(estimate: Estimate, images: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of an AUROC, by t on the logit scale, with half an image added to either side of the decision.

    So a perfect AUROC on n images has a lower end of about 1 - 4 / n, not 1 (Clopper and Pearson 1934 give 1 - 3.7 / n
    for a share), and the interval never leaves [0, 1].
    """
    if estimate.freedom == 0:
        return 0.0, 1.0
    from scipy import special  # a run that reads its figures from the store does without

    value = (estimate.value * images + 0.5) / (images + 1)
    deviation = np.sqrt(estimate.variance + 0.25 / images**2)
    width = special.stdtrit(estimate.freedom, (1 + level) / 2) * deviation / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-width, width]))
    return min(float(low), estimate.value), max(float(high), estimate.value)


@dataclass(frozen=True)
class Test:
    """The interval of a difference, and the two-sided p of "no difference"."""

    low: float
    high: float
    p: float


def difference_test(estimate: Estimate, images: int, level: float = 0.95) -> Test:
    """Interval and p of a difference of two AUROCs on the same images, by t; half an image as in `share_interval`."""
    if estimate.freedom == 0:
        return Test(-1.0, 1.0, 1.0)
    from scipy import special

    deviation = np.sqrt(estimate.variance + 0.5 / images**2)
    width = special.stdtrit(estimate.freedom, (1 + level) / 2) * deviation
    p = 2 * special.stdtr(estimate.freedom, -abs(estimate.value) / deviation)
    return Test(max(-1.0, estimate.value - width), min(1.0, estimate.value + width), min(1.0, float(p)))
