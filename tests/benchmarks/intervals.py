"""Do 95% intervals cover 95%, and do verdicts keep their level? A simulation with a known truth.

    python tests/benchmarks/intervals.py [--datasets 20000] [--images 1000]

Every data set has images that contribute to a difference of two AUROCs by being evaluated (standard deviation 1) and
by being fitted on (``fit`` times as much, normal or skewed), the truth being 0; halves take turns as in `strict`, or
tenths as in `lee2018`.
``luck`` is noise of each fit that no image explains. Printed are the shares of data sets whose interval holds 0 and of
those called different at the level of one among 28 claims; the latter should be at most .18%.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from subnetbench.bench.stats.splits import Design, Replicates, difference_test, estimate

#: Sizes of the contribution by being fitted on, as multiples of that by being evaluated.
FITS = (0.0, 1.0, 5.0, 15.0)

#: Shapes of the contribution by being fitted on: skewness 0, 2 and 6.
SHAPES = ("normal", "exponential", "lognormal")


def contributions(shape: str, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draws of mean 0 and standard deviation 1."""
    if shape == "normal":
        return rng.normal(size=size)
    if shape == "exponential":
        return rng.exponential(size=size) - 1
    return (rng.lognormal(0, 1, size) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)


def simulated(
    images: int,
    splits: int,
    blocks: int,
    fit: float,
    shape: str,
    luck: float,
    together: float,
    *,
    count: int,
    seed: int,
) -> Iterator[Replicates]:
    """``count`` data sets: the difference in each split, and the advantage of the images that fitted it.

    ``together`` is the correlation of both contributions of an image.
    """
    rng = np.random.default_rng(seed)
    fitted = np.zeros((splits, images), bool)
    for split in range(splits):
        if split % blocks == 0:
            parts = np.array_split(rng.permutation(images), blocks)
        fitted[split, parts[split % blocks]] = True
    by_fit = contributions(shape, (images, count), rng)
    by_evaluation = together * by_fit + np.sqrt(1 - together**2) * rng.normal(size=(images, count))
    share = fitted / fitted.sum(1, keepdims=True)
    rest = ~fitted / (~fitted).sum(1, keepdims=True)
    values = fit * (share @ by_fit) + rest @ by_evaluation
    values += luck * contributions(shape, (splits, count), rng) / np.sqrt(images / 2)
    advantage = share @ (by_evaluation - by_evaluation.mean(0))
    places = tuple((0, split) for split in range(splits))
    for k in range(count):
        yield Replicates(places, values[:, k], advantage[:, k])


def rates(
    fit: float,
    shape: str,
    *,
    luck: float = 0,
    together: float = 0,
    datasets: int,
    images: int,
    splits: int,
    blocks: int = 2,
) -> tuple[float, float]:
    """Share of intervals that hold the truth, and share of data sets called different at .05 / 28."""
    inside = different = done = 0
    while done < datasets:
        count = min(500, datasets - done)  # new blocks for every 500 data sets
        for replicates in simulated(images, splits, blocks, fit, shape, luck, together, count=count, seed=done):
            # So many images stand for half an image that no interval is widened: this is about the variance.
            test = difference_test(estimate(replicates, Design(1 / blocks, blocks)), 10**9)
            inside += test.low <= 0 <= test.high
            different += test.p <= 0.05 / 28
        done += count
    return float(inside / datasets), float(different / datasets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("datasets", 20_000), ("images", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = vars(parser.parse_args())
    print("  design     fit  shape        luck  together  coverage  false verdicts")
    cases = [(fit, shape, 0.0, 0.0) for fit in FITS for shape in SHAPES]
    more = [(1.0, "normal", 0.0, together) for together in (-0.5, 0.5)]
    more += [(0.0, "normal", luck, 0.0) for luck in FITS[1:]]
    designs = (("30 halves", 30, 2, cases + more), ("10 tenths", 10, 10, cases))
    for title, splits, blocks, tried in designs:
        for fit, shape, luck, together in tried:
            shares = rates(fit, shape, luck=luck, together=together, splits=splits, blocks=blocks, **options)
            figures = f"{shares[0]:8.3f}  {100 * shares[1]:13.3f}%"
            print(f"  {title}  {fit:4g}  {shape:11}  {luck:4g}  {together:8g}  {figures}", flush=True)


if __name__ == "__main__":
    main()
