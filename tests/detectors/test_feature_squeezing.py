"""Squeezers against scipy, OpenCV and loops; the score against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from subnetbench.bench.adaptive.honest import gradient_of
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import View
from subnetbench.detectors.feature_squeezing import FeatureSqueezing
from subnetbench.detectors.squeezers import fewer_levels, median, non_local_means, squeezed


@pytest.fixture
def images() -> torch.Tensor:
    """Two colour images of flat patches with a little noise, 8-bit levels, 20x18."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 5, 5, generator=generator)
    flat = torch.nn.functional.interpolate(coarse, (20, 18), mode="nearest")
    noise = 0.01 * torch.randn(flat.shape, generator=generator)
    return ((flat + noise).clamp(0, 1) * 255).round() / 255


def test_bit_depth_keeps_the_ends_and_rounds_to_the_nearest_level() -> None:
    pixels = torch.tensor([0.0, 0.16, 0.17, 0.49, 0.51, 0.84, 1.0])
    np.testing.assert_allclose(fewer_levels(pixels, 2), np.array([0, 0, 1, 1, 2, 3, 3]) / 3, rtol=1e-6)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_median_is_that_of_scipy(images: torch.Tensor, size: int) -> None:
    expected = ndimage.median_filter(images.numpy(), size=(1, 1, size, size), mode="reflect")
    np.testing.assert_array_equal(median(images, size).numpy(), expected)


def test_non_local_means_is_its_formula_in_loops(images: torch.Tensor) -> None:
    part = images[:1, :, :9, :9].double()
    window, patch, strength = 5, 3, 0.05
    got = non_local_means(part, window, patch, strength)[0].numpy()
    source = np.pad(part[0].numpy(), ((0, 0), (3, 3), (3, 3)), mode="reflect")
    for row, column in [(0, 0), (4, 4), (8, 2)]:
        centre = source[:, row + 2 : row + 5, column + 2 : column + 5]
        total, weights = np.zeros(3), 0.0
        for i in range(-2, 3):
            for j in range(-2, 3):
                other = source[:, row + i + 2 : row + i + 5, column + j + 2 : column + j + 5]
                weight = math.exp(-((centre - other) ** 2).mean() / strength**2)
                if weight >= 1e-3:
                    total, weights = total + weight * other[:, 1, 1], weights + weight
        np.testing.assert_allclose(got[:, row, column], total / weights, rtol=1e-9)


@pytest.mark.parametrize("strength", [4, 6, 10])
def test_non_local_means_is_that_of_opencv_but_for_its_whole_numbers(images: torch.Tensor, strength: int) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    ours = squeezed(f"non-local-means 13-3-{strength}", images)
    for image, mine in zip(images, ours, strict=True):
        pixels = np.ascontiguousarray((image * 255).round().byte().permute(1, 2, 0).numpy())
        theirs = cv2.fastNlMeansDenoising(pixels, [float(strength)], templateWindowSize=3, searchWindowSize=13)
        off = np.abs(np.rint(255 * mine.permute(1, 2, 0).numpy()) - theirs)
        assert off.max() <= 1
        assert off.mean() < 0.1 * np.abs(pixels - theirs.astype(float)).mean()


def test_the_score_is_the_largest_distance_of_softmax_vectors(net: Classifier, test_view: View) -> None:
    names = ["bit-depth 1", "median 2"]
    score = FeatureSqueezing(squeezers=names).fit(test_view).characteristics(test_view)
    pixels = test_view.images.numpy().astype(np.float64)
    turns = [np.rint(pixels), ndimage.median_filter(test_view.images.numpy(), size=(1, 1, 2, 2), mode="reflect")]
    for index in (0, 7, 100):
        plain = net(test_view.images[index : index + 1]).double().softmax(1)
        distances = []
        for turn in turns:
            other = net(torch.from_numpy(turn[index : index + 1]).float()).double().softmax(1)
            distances.append(sum(abs(float(a) - float(b)) for a, b in zip(plain[0], other[0], strict=True)))
        assert score[index, 0] == pytest.approx(max(distances), abs=1e-6)


def test_every_squeezer_costs_a_pass(test_view: View) -> None:
    test_view.logits  # noqa: B018
    with counted(test_view.classifier) as passes:
        FeatureSqueezing().fit(test_view).characteristics(test_view)
    assert passes.forward == 3 * len(test_view)


def test_without_rounding_the_gradient_is_honest_and_with_it_none_is_offered(net: Classifier, test_view: View) -> None:
    flat = FeatureSqueezing(squeezers=["median 2", "non-local-means 7-3-8"]).fit(test_view)
    function, measured = gradient_of(flat, net, test_view.images[:64])
    assert function is not None, measured
    function, measured = gradient_of(FeatureSqueezing().fit(test_view), net, test_view.images[:64])
    assert function is None
    assert "surrogate" in measured


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("blur 3", "there is no squeezer 'blur 3'"),
        ("median", "there is no squeezer 'median'"),
        ("bit-depth 9", "the bits of 'bit-depth 9' is 9; it must be from 1 to 8"),
        ("non-local-means 12-3-2", "the window of 'non-local-means 12-3-2' is 12; it must be odd"),
    ],
)
def test_a_squeezer_that_is_none_is_one_sentence(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        FeatureSqueezing(squeezers=[name])


def test_a_window_larger_than_the_image_is_one_sentence(test_view: View) -> None:
    detector = FeatureSqueezing(squeezers=["non-local-means 21-5-2"]).fit(test_view)
    with pytest.raises(UserError, match="needs images of 13 pixels a side and these have 8x8"):
        detector.characteristics(test_view)
