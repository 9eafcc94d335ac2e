"""The Gaussian statistics, the distances and the input pre-processing of Lee et al. 2018."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.linalg import pinvh
from sklearn.covariance import EmpiricalCovariance
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import View
from subnetbench.detectors.mahalanobis import Gaussians, Mahalanobis, descend, gaussians_at, input_gradient, uphill


def classes_of(rng: np.random.Generator, n: int, c: int) -> np.ndarray:
    return rng.permutation(np.arange(n) % c).astype(np.int64)


def test_distances_are_those_of_a_known_gaussian(rng: np.random.Generator) -> None:
    covariance = np.array([[4.0, 1.0], [1.0, 0.5]])
    means = np.array([[0.0, 0.0], [10.0, -5.0]])
    labels = classes_of(rng, 200_000, 2)
    data = means[labels] + rng.multivariate_normal([0, 0], covariance, len(labels))
    found = Gaussians.fit(data, labels, 2)
    np.testing.assert_allclose(found.means, means, atol=0.02)
    np.testing.assert_allclose(found.precision, np.linalg.inv(covariance), rtol=0.02)
    point = np.array([[2.0, 1.0]])
    expected = 0.5 * (point[0] @ np.linalg.inv(covariance) @ point[0])
    assert found.distances(point)[0, 0] == pytest.approx(expected, rel=0.03)


def test_distances_equal_a_naive_loop_over_the_digits_features(train_view: View, test_view: View) -> None:
    labels = train_view.labels
    assert labels is not None
    found = Mahalanobis().fit(train_view).characteristics(test_view)
    for column, tap in enumerate(train_view.classifier.taps):
        data = train_view.features(tap).astype(np.float64)
        means = [data[labels == c].mean(0) for c in range(10)]
        residuals = np.concatenate([data[labels == c] - means[c] for c in range(10)])
        precision = EmpiricalCovariance(assume_centered=False).fit(residuals).precision_
        for i in range(0, len(test_view), 7):
            gaps = [test_view.features(tap)[i].astype(np.float64) - mean for mean in means]
            expected = min(0.5 * gap @ precision @ gap for gap in gaps)
            assert found[i, column] == pytest.approx(expected, rel=1e-5)


def test_the_tied_covariance_pools_residuals_and_divides_by_n(rng: np.random.Generator) -> None:
    """Trap 10: neither the mean of the classes' covariances nor a division by N - C."""
    labels = np.array([0] * 30 + [1] * 5, np.int64)
    data = rng.normal(size=(35, 3)) * np.where(labels, 3.0, 1.0)[:, None]
    residuals = np.concatenate([data[labels == c] - data[labels == c].mean(0) for c in (0, 1)])
    pooled = np.linalg.inv(residuals.T @ residuals / 35)
    found = Gaussians.fit(data, labels, 2).precision
    np.testing.assert_allclose(found, pooled, rtol=1e-9)
    by_class = np.mean([np.cov(data[labels == c].T, bias=True) for c in (0, 1)], axis=0)
    assert not np.allclose(found, np.linalg.inv(by_class), rtol=0.1)
    assert not np.allclose(found, np.linalg.inv(residuals.T @ residuals / 33), rtol=0.01)


def test_dead_and_dependent_channels_take_no_part(rng: np.random.Generator) -> None:
    labels = classes_of(rng, 400, 4)
    alive = rng.normal(size=(400, 5)) + labels[:, None]
    data = np.concatenate([alive, np.zeros((400, 3)), alive[:, :1]], 1).astype(np.float32)
    found = Gaussians.fit(data, labels, 4)
    residuals = data.astype(np.float64) - found.means[labels]
    np.testing.assert_allclose(found.precision, pinvh(np.cov(residuals.T, bias=True)), rtol=1e-6, atol=1e-9)
    assert found.whitening.shape == (9, 5)
    # The pseudo-inverse splits a doubled channel, so the distances are those of the channels that are alive.
    plain = Gaussians.fit(alive.astype(np.float32), labels, 4)
    np.testing.assert_allclose(found.distances(data), plain.distances(alive.astype(np.float32)), rtol=1e-6)


def test_rounding_of_a_dependent_channel_is_no_direction(rng: np.random.Generator) -> None:
    """The float32 sum of two channels depends on them up to its rounding, which must not weigh like a direction."""
    labels = classes_of(rng, 2000, 4)
    pair = rng.normal(10, 1, (2000, 2)).astype(np.float32)
    data = np.concatenate([pair, pair.sum(1, keepdims=True)], 1)
    found = Gaussians.fit(data, labels, 4)
    assert found.whitening.shape == (3, 2)
    before, after = found.distances(data), found.distances(np.nextafter(data, np.float32(np.inf)))
    np.testing.assert_allclose(after, before, atol=1e-4)
    np.testing.assert_allclose(before, Gaussians.fit(pair, labels, 4).distances(pair), rtol=1e-5, atol=1e-6)


def test_a_direction_far_above_rounding_is_kept_however_small_it_is_beside_others(rng: np.random.Generator) -> None:
    data = (rng.normal(size=(500, 3)) * [1e2, 1.0, 1e-3] + [0.0, 10.0, 1e-2]).astype(np.float32)
    found = Gaussians.fit(data, np.zeros(500, np.int64), 1)
    assert found.whitening.shape == (3, 3)
    sums = np.concatenate([data, data[:, 1:2] + np.float32(1e-3) * data[:, :1]], 1)
    assert Gaussians.fit(sums, np.zeros(500, np.int64), 1).whitening.shape == (4, 3)


def test_one_class_at_a_time_gives_the_same_bits_as_all_at_once(rng: np.random.Generator) -> None:
    labels = classes_of(rng, 300, 3)
    found = Gaussians.fit(rng.normal(size=(300, 17)), labels, 3)
    x, chosen = rng.normal(size=(2500, 17)).astype(np.float32), classes_of(rng, 2500, 3)
    np.testing.assert_array_equal(found.distances(x)[np.arange(2500), chosen], found.distances(x, chosen))


def test_predicted_is_never_below_nearest_and_both_holds_the_two(train_view: View, test_view: View) -> None:
    nearest = Mahalanobis().fit(train_view).characteristics(test_view)
    predicted = Mahalanobis(distance="predicted").fit(train_view).characteristics(test_view)
    both = Mahalanobis(distance="both").fit(train_view).characteristics(test_view)
    assert (predicted >= nearest).all()
    assert (predicted > nearest).any()
    np.testing.assert_array_equal(both, np.concatenate([nearest, predicted], 1))


def test_a_zero_gradient_moves_the_pixel_down_like_a_positive_one() -> None:
    """Traps 8 and 12: the authors take the sign by torch.ge(gradient, 0)."""
    assert uphill(torch.tensor([-1.0, -0.0, 0.0, 2.0])).tolist() == [False, True, True, True]


def test_the_input_gradient_is_the_finite_difference(
    net: Classifier, train_view: View, dataset: Dataset, rng: np.random.Generator
) -> None:
    double = copy.deepcopy(net).double().eval()
    images = dataset.test.tensor(slice(0, 3)).double()
    labels = train_view.labels
    assert labels is not None
    classes = torch.tensor([1, 4, 7])
    for tap in net.taps:
        at = gaussians_at(train_view, tap, labels)
        gradient = input_gradient(double, images, tap, at, classes)

        def total(x: torch.Tensor, tap: str = tap, at: Gaussians = at) -> torch.Tensor:
            _, seen = double.observe(x, (tap,))
            return at.distance_tensor(seen[tap].mean((2, 3)), classes).detach()

        direction = torch.from_numpy(rng.normal(size=images.shape))
        step = 1e-7
        numeric = (total(images + step * direction) - total(images - step * direction)) / (2 * step)
        exact = (gradient * direction).sum((1, 2, 3))
        np.testing.assert_allclose(numeric.numpy(), exact.numpy(), rtol=1e-4, atol=1e-4 * float(exact.abs().max()))


def test_preprocessing_goes_downhill_by_m_a_pixel_and_is_not_clamped(train_view: View, test_view: View) -> None:
    labels = train_view.labels
    assert labels is not None
    tap = "conv2"
    at = gaussians_at(train_view, tap, labels)
    plain = at.distances(test_view.features(tap))
    moved = torch.cat([x for _, x in descend(test_view, tap, at, plain.argmin(1), 0.002)])
    np.testing.assert_allclose((moved - test_view.images).abs().numpy(), 0.002, rtol=1e-3)
    assert float(moved.min()) < 0
    after = Mahalanobis(magnitude=0.002, taps=[tap]).fit(train_view).characteristics(test_view)[:, 0]
    assert (after < plain.min(1)).mean() > 0.95


def test_every_tap_is_moved_on_its_own(train_view: View, test_view: View) -> None:
    """Trap 12: the column of a tap is the same whether the other taps are asked for or not."""
    whole = Mahalanobis(magnitude=0.01).fit(train_view).characteristics(test_view)
    for column, tap in enumerate(train_view.classifier.taps):
        alone = Mahalanobis(magnitude=0.01, taps=[tap]).fit(train_view).characteristics(test_view)
        np.testing.assert_array_equal(whole[:, [column]], alone)


def test_seven_magnitudes_cost_one_backward_pass_a_tap(train_view: View, test_view: View) -> None:
    _ = train_view.logits
    with counted(test_view.classifier) as passes:
        for candidate in Mahalanobis.candidates:
            Mahalanobis(**candidate).fit(train_view).characteristics(test_view)
    n, taps, magnitudes = len(test_view), len(test_view.classifier.taps), 6
    assert passes.backward == n * taps
    assert passes.forward == n * (1 + taps * (1 + magnitudes))


def test_statistics_are_shared_by_all_candidates(train_view: View) -> None:
    labels = train_view.labels
    assert labels is not None
    assert gaussians_at(train_view, "conv1", labels) is gaussians_at(train_view, "conv1", labels)


def test_mistakes_are_said_in_one_sentence(net: Classifier, dataset: Dataset, train_view: View) -> None:
    with pytest.raises(UserError, match="nearest, predicted, both"):
        Mahalanobis(distance="mean")
    with pytest.raises(UserError, match="magnitude is -1"):
        Mahalanobis(magnitude=-1)
    with pytest.raises(UserError, match="no tap 'conv9'; it has conv1"):
        Mahalanobis(taps=["conv9"]).fit(train_view)
    with pytest.raises(UserError, match="fitted by true label"):
        Mahalanobis().fit(train_view.unlabelled())
    few = View(net, dataset.train.tensor(slice(0, 5)), key="few", labels=np.arange(5))
    with pytest.raises(UserError, match="none of class 5"):
        Mahalanobis().fit(few)
