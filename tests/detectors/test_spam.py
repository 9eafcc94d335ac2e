"""Transition probabilities against plain loops over pixels."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from subnetbench.bench.core.arrays import Floats
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import View
from subnetbench.detectors.spam import DIRECTIONS, Spam, adjacency


def in_loops(image: np.ndarray, order: int, most: int) -> Floats:
    """Equations 3 to 7 of Pevny et al. 2010 for an image ``(C, H, W)``, pixel by pixel."""
    within = range(-most, most + 1)
    matrices = []
    for down, right in DIRECTIONS:
        pairs: Counter[tuple[int, ...]] = Counter()
        given: Counter[tuple[int, ...]] = Counter()
        for colour in image:
            height, width = colour.shape
            for i, j in product(range(height), range(width)):
                places = [(i + down * t, j + right * t) for t in range(order + 2)]
                if not all(0 <= a < height and 0 <= b < width for a, b in places):
                    continue
                values = [int(colour[place]) for place in places]
                steps = tuple(a - b for a, b in pairwise(values))
                given[steps[:-1]] += 1
                pairs[steps] += 1
        keys = product(within, repeat=order + 1)
        matrices.append([pairs[key] / given[key[:-1]] if given[key[:-1]] else 0.0 for key in keys])
    return np.concatenate([np.mean(matrices[:4], axis=0), np.mean(matrices[4:], axis=0)])


@pytest.mark.parametrize(("order", "most"), [(1, 1), (1, 4), (2, 1), (2, 3)])
def test_features_are_those_of_plain_loops(rng: np.random.Generator, order: int, most: int) -> None:
    steps = rng.integers(-2, 3, (3, 2, 9, 7))
    images = steps.cumsum(3) + rng.integers(0, 3, (3, 2, 9, 1))
    got = adjacency(images, order, most)
    assert got.shape == (3, 2 * (2 * most + 1) ** (order + 1))
    for image, row in zip(images, got, strict=True):
        np.testing.assert_allclose(row, in_loops(image, order, most), atol=1e-12)


def test_rows_are_probabilities_of_what_follows() -> None:
    """A flat image: every difference is 0 and followed by 0, and no other was ever seen."""
    row = adjacency(np.full((1, 1, 8, 8), 7), 1, 1)[0]
    expected = np.zeros((2, 3, 3))
    expected[:, 1, 1] = 1
    np.testing.assert_array_equal(row, expected.ravel())


def test_the_paper_s_own_sizes(test_view: View) -> None:
    first = Spam().fit(test_view).characteristics(test_view)
    second = Spam(order=2, truncation=3).fit(test_view).characteristics(test_view)
    assert (first.shape[1], second.shape[1]) == (162, 686)


def test_no_net_is_asked(test_view: View) -> None:
    with counted(test_view.classifier) as passes:
        Spam().fit(test_view).characteristics(test_view)
    assert passes.forward == 0
    assert detectors.get("spam").info.control


def test_levels_set_the_unit_of_a_difference(test_view: View) -> None:
    """One step of 17 levels is 15.9 of 256, beyond every T."""
    ramp = (torch.arange(8.0) / 16).expand(1, 1, 8, 8).contiguous()
    view = View(test_view.classifier, ramp, key="ramp")
    assert Spam(levels=17).fit(view).characteristics(view)[0].max() > 0
    along_rows = adjacency(np.rint(ramp.numpy() * 255).astype(np.int64), 1, 4)[0, :81].reshape(9, 9)
    assert along_rows[4, 4] == 0.5  # down and up the columns, where nothing changes: two of four directions
    assert along_rows.sum() == 0.5


def test_wrong_parameters_are_one_sentence(test_view: View) -> None:
    with pytest.raises(UserError, match="spam: order is 3; it must be at most 2"):
        Spam(order=3)
    with pytest.raises(UserError, match="spam: truncation is 5; it must be at most 4"):
        Spam(order=2, truncation=5)
    small = View(test_view.classifier, torch.zeros(1, 1, 3, 3), key="small")
    with pytest.raises(UserError, match="images of 3 pixels are too small; order 2 takes 4"):
        Spam(order=2, truncation=1).fit(small)
