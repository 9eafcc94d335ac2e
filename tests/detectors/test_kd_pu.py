"""Kernel density against scikit-learn's, prediction uncertainty against naive loops."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.neighbors import KernelDensity
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.models.cifar import conv_unit
from subnetbench.bench.models.classifier import Classifier, evaluating
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import PENULTIMATE, View
from subnetbench.detectors.kd_pu import KdPu, References, mask_like
from torch import nn


@pytest.fixture(scope="module")
def dropout_net(dataset: Dataset) -> Classifier:
    """Both kinds of dropout and BatchNorm, with weights as drawn."""
    torch.manual_seed(0)
    stages = OrderedDict(
        conv1=conv_unit(1, 8),
        drop1=nn.Dropout2d(0.25),
        conv2=conv_unit(8, 16, downsample=True),
        flatten=nn.Flatten(),
        drop2=nn.Dropout(0.5),
        head=nn.Linear(16 * 16, 10),
    )
    net = Classifier(
        nn.Sequential(stages),
        mean=(0.3,),
        std=(0.3,),
        taps=("conv1", "conv2"),
        gate_positions={},
        classes=10,
        shape=(1, 8, 8),
    )
    with torch.no_grad():
        net.train()(dataset.train.tensor(slice(0, 200)))  # so that BatchNorm's running statistics are not the initial
    return net.eval()


@pytest.mark.parametrize("bandwidth", [0.26, 1.0, 1.2, 3.7926, "0.25 median"])
def test_density_equals_scikit_learns(bandwidth: float | str, train_view: View, test_view: View) -> None:
    """scikit-learn's with every point in one leaf: its tree of the default leaf size loses digits in the tails."""
    found = KdPu(bandwidth=bandwidth, passes=2).fit(train_view).characteristics(test_view)[:, 0]
    labels = train_view.labels
    assert labels is not None
    if isinstance(bandwidth, str):
        within = [pdist(train_view.features(PENULTIMATE)[labels == c]) for c in range(10)]
        bandwidth = 0.25 * float(np.median(np.concatenate(within)))
    for c in range(10):
        rows = test_view.predicted == c
        if rows.any():
            kde = KernelDensity(bandwidth=bandwidth, leaf_size=10_000)
            kde.fit(train_view.features(PENULTIMATE)[labels == c])
            expected = -kde.score_samples(test_view.features(PENULTIMATE)[rows])
            np.testing.assert_allclose(found[rows], expected, rtol=1e-5)


def test_density_of_far_points_neither_vanishes_nor_ties(rng: np.random.Generator) -> None:
    features = rng.normal(size=(100, 512))
    references = References.draw(features, np.zeros(100, np.int64), 1, 1000, 0)
    found = references.log_density(features + 100 * np.arange(1, 101)[:, None], np.zeros(100, np.int64), 0.26)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


def test_a_relative_bandwidth_does_not_care_for_the_features_scale(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1], 100).astype(np.int64)
    features = rng.normal(size=(200, 6)) + labels[:, None]
    one = References.draw(features, labels, 2, 1000, 0)
    ten = References.draw(10 * features, labels, 2, 1000, 0)
    assert ten.median == pytest.approx(10 * one.median)
    x, classes = rng.normal(size=(50, 6)), (np.arange(50) % 2).astype(np.int64)
    ours = one.log_density(x, classes, 0.5 * one.median)
    theirs = ten.log_density(10 * x, classes, 0.5 * ten.median)
    np.testing.assert_allclose(ours - theirs, 6 * np.log(10), rtol=1e-9)


def test_at_most_so_many_training_images_a_class_are_drawn_by_seed(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1], [300, 20]).astype(np.int64)
    features = rng.normal(size=(320, 4))
    drawn = [References.draw(features, labels, 2, 50, seed) for seed in (0, 0, 1)]
    assert [len(group) for group in drawn[0].features] == [50, 20]
    np.testing.assert_array_equal(drawn[0].features[0], drawn[1].features[0])
    assert not np.array_equal(drawn[0].features[0], drawn[2].features[0])


def test_uncertainty_through_own_dropout_equals_a_naive_loop(dropout_net: Classifier, dataset: Dataset) -> None:
    train = View(dropout_net, dataset.train.tensor(), key="train", labels=dataset.train.labels)
    view = View(dropout_net, dataset.test.tensor(slice(0, 30)), key="test", batch_size=8)
    detector = KdPu(passes=6, seed=5).fit(train)
    assert "own dropout layers (drop1, drop2)" in detector.notes
    found = detector.characteristics(view)[:, 1]
    for i in range(30):
        probabilities = []
        for step in range(6):
            x = (view.images[i : i + 1] - dropout_net.mean) / dropout_net.std
            with torch.no_grad(), evaluating(dropout_net):
                for index, stage in enumerate(dropout_net.net):
                    x = stage(x)
                    if isinstance(stage, nn.Dropout | nn.Dropout2d):
                        x = x * mask_like(x.shape, stage, 5, 0 if index == 1 else 1, step)
            probabilities.append(x.double().softmax(1)[0].numpy())
        expected = np.mean([np.mean((p - np.mean(p)) ** 2) for p in np.stack(probabilities).T])
        assert found[i] == pytest.approx(expected, rel=1e-4)


def test_uncertainty_without_dropout_is_of_a_dropout_head_and_says_so(train_view: View, test_view: View) -> None:
    detector = KdPu(passes=4, seed=2, rate=0.3).fit(train_view)
    assert "the net has no dropout of its own" in detector.notes
    found = detector.characteristics(test_view)[:, 1]
    head, layer = test_view.classifier.head, nn.Dropout(0.3)
    for i in range(0, len(test_view), 9):
        feature = torch.from_numpy(test_view.features(PENULTIMATE)[i : i + 1])
        with torch.no_grad():
            masked = [feature * mask_like(feature.shape, layer, 2, 0, step) for step in range(4)]
            probabilities = np.stack([head(m).double().softmax(1)[0].numpy() for m in masked])
        assert found[i] == pytest.approx(probabilities.var(0).mean(), rel=1e-3, abs=1e-12)


def test_masks_drop_at_the_rate_keep_the_mean_and_whole_channels_where_spatial() -> None:
    masks = torch.cat([mask_like((7, 400), nn.Dropout(0.25), 0, 0, step) for step in range(50)])
    assert masks.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert float((masks == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(masks.mean()) == pytest.approx(1, abs=0.02)
    assert mask_like((7, 5, 8, 8), nn.Dropout2d(0.5), 0, 0, 0).shape == (1, 5, 1, 1)
    assert mask_like((7, 5, 8, 8), nn.Dropout(0.5), 0, 0, 0).shape == (1, 5, 8, 8)


def test_bandwidths_share_the_dropout_passes(dropout_net: Classifier, dataset: Dataset) -> None:
    train = View(dropout_net, dataset.train.tensor(), key="train", labels=dataset.train.labels)
    view = View(dropout_net, dataset.test.tensor(slice(0, 30)), key="test")
    _ = train.logits
    with counted(dropout_net) as passes:
        for candidate in KdPu.candidates:
            KdPu(**candidate).fit(train).characteristics(view)
    assert passes.forward == 30 * (1 + 50)


def test_mistakes_are_said_in_one_sentence() -> None:
    with pytest.raises(UserError, match=r"bandwidth is 0\.0; it must be above 0"):
        KdPu(bandwidth=0)
    with pytest.raises(UserError, match=r"a text like '0\.25 median'"):
        KdPu(bandwidth="wide")
    with pytest.raises(UserError, match="between 0 and 1"):
        KdPu(rate=1)
    with pytest.raises(UserError, match="passes is 1; it must be at least 2"):
        KdPu(passes=1)


@pytest.mark.parametrize("seed", [10**13, 2**63, 2**70 + 1])
def test_masks_are_drawn_from_any_seed(seed: int) -> None:
    layer = nn.Dropout(0.5)
    mask = mask_like((2, 1000), layer, seed, 0, 0)
    assert 0.4 < float((mask == 0).float().mean()) < 0.6
    assert not torch.equal(mask, mask_like((2, 1000), layer, seed + 1, 0, 0))
