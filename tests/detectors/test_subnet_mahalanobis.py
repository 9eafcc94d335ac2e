"""Class-specific subnets in place of the full net (Wang, Hu and Su, eq. 4-5), and the controls of the claim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from subnetbench.bench.core.arrays import ClassGates
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.models.classifier import Classifier, evaluating, pool
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import View
from subnetbench.detectors import subnet_mahalanobis
from subnetbench.detectors.mahalanobis import Mahalanobis
from subnetbench.detectors.subnet_mahalanobis import SubnetMahalanobis, by_class, sorted_batches

from .conformance import fresh


@pytest.mark.parametrize("magnitude", [0.0, 0.002])
@pytest.mark.parametrize(("classes", "distance"), [("all", "nearest"), ("predicted", "predicted")])
def test_gates_of_one_give_the_full_nets_score_to_the_last_bit(
    classes: str, distance: str, magnitude: float, train_view: View, test_view: View
) -> None:
    identity = detectors.get("subnet-mahalanobis-identity")(classes=classes, magnitude=magnitude)
    full = Mahalanobis(distance=distance, magnitude=magnitude)
    np.testing.assert_array_equal(
        identity.fit(train_view).characteristics(test_view), full.fit(train_view).characteristics(fresh(test_view))
    )


@pytest.mark.parametrize("magnitude", [0.0, 0.002])
@pytest.mark.parametrize(("classes", "distance"), [("all", "nearest"), ("predicted", "predicted")])
def test_the_gated_path_itself_gives_the_full_nets_score(
    classes: str, distance: str, magnitude: float, net: Classifier, dataset: Dataset, gates: ClassGates, test_view: View
) -> None:
    """Gates a hair off 1 are no shortcut: every subnet is run, statistics and gradient too."""
    almost = {path: torch.full_like(gate, 1 + 2**-23) for path, gate in gates.items()}
    train = View(net, dataset.train.tensor(), key="t", labels=dataset.train.labels, gates={"learned": almost})
    fitted = SubnetMahalanobis(classes=classes, magnitude=magnitude).fit(train)
    with counted(net) as passes:
        gated = fitted.characteristics(test_view)
    full = Mahalanobis(distance=distance, magnitude=magnitude).fit(train).characteristics(test_view)
    assert passes.forward >= 2 * len(test_view)
    np.testing.assert_allclose(gated, full, rtol=1e-3)


def test_distances_equal_a_naive_loop_over_images_and_classes(
    net: Classifier, dataset: Dataset, gates: ClassGates, train_view: View, test_view: View
) -> None:
    """One image, one class, one hooked pass at a time; scikit-learn's precision."""

    def through(image: torch.Tensor, c: int) -> dict[str, np.ndarray]:
        rows = {path: gate[c : c + 1] for path, gate in gates.items()}
        with torch.no_grad(), evaluating(net):
            _, seen = net.observe(image[None], net.taps, rows)
        return {tap: pool(value)[0].double().numpy() for tap, value in seen.items()}

    some = dataset.train.select(np.arange(200))
    train = View(net, some.tensor(), key="some", labels=some.labels, gates={"learned": gates})
    mine = [through(image, int(c)) for image, c in zip(some.tensor(), some.labels, strict=True)]
    found = SubnetMahalanobis(classes="all").fit(train).characteristics(test_view)
    single = SubnetMahalanobis().fit(train).characteristics(test_view)
    index = range(0, len(test_view), 17)
    seen = {i: [through(test_view.images[i], c) for c in range(10)] for i in index}
    for column, tap in enumerate(net.taps):
        data = np.stack([features[tap] for features in mine])
        means = [data[some.labels == c].mean(0) for c in range(10)]
        residuals = np.concatenate([data[some.labels == c] - means[c] for c in range(10)])
        precision = EmpiricalCovariance().fit(residuals).precision_
        for i in index:
            gaps = [seen[i][c][tap] - means[c] for c in range(10)]
            expected = [0.5 * gap @ precision @ gap for gap in gaps]
            assert found[i, column] == pytest.approx(min(expected), rel=1e-3)
            assert single[i, column] == pytest.approx(expected[test_view.predicted[i]], rel=1e-3)


def test_top_k_lies_between_predicted_and_all(train_view: View, test_view: View) -> None:
    def scores(**parameters: object) -> np.ndarray:
        return SubnetMahalanobis(**parameters).fit(train_view).characteristics(test_view)  # type: ignore[arg-type]

    predicted, three, everything = scores(), scores(classes="top-k", k=3), scores(classes="all")
    slack = 1 + 1e-4
    assert (everything <= three * slack).all()
    assert (three <= predicted * slack).all()
    np.testing.assert_allclose(scores(classes="top-k", k=1), predicted, rtol=1e-4)
    np.testing.assert_allclose(scores(classes="top-k", k=99), everything, rtol=1e-4)


def test_taps_before_the_first_gate_are_the_full_nets(train_view: View, test_view: View) -> None:
    """The gates of the fixture start at conv2."""
    subnet = SubnetMahalanobis(classes="all").fit(train_view).characteristics(test_view)
    full = Mahalanobis().fit(train_view).characteristics(test_view)
    np.testing.assert_array_equal(subnet[:, 0], full[:, 0])
    assert not np.allclose(subnet[:, 1:], full[:, 1:], rtol=0.01)


def test_preprocessing_goes_downhill_through_the_subnet(train_view: View, test_view: View) -> None:
    for classes in ("predicted", "all"):
        plain = SubnetMahalanobis(classes=classes).fit(train_view).characteristics(test_view)
        moved = SubnetMahalanobis(classes=classes, magnitude=0.002).fit(train_view).characteristics(test_view)
        assert (moved < plain).mean() > 0.95


def test_random_gates_are_seeded_and_differ_from_the_learned(train_view: View, test_view: View) -> None:
    def scores(seed: int) -> np.ndarray:
        kind = detectors.get("subnet-mahalanobis-random")
        return kind(gate_seed=seed).fit(train_view).characteristics(fresh(test_view))

    np.testing.assert_array_equal(scores(1), scores(1))
    assert not np.allclose(scores(1), scores(2), rtol=0.01)
    learned = SubnetMahalanobis().fit(train_view).characteristics(test_view)
    assert not np.allclose(scores(1), learned, rtol=0.01)


def test_a_subnet_with_every_channel_dead_still_scores(net: Classifier, dataset: Dataset, test_view: View) -> None:
    dead = {"conv3": torch.zeros(10, 64)}
    train = View(net, dataset.train.tensor(), key="dead", labels=dataset.train.labels, gates={"learned": dead})
    found = SubnetMahalanobis(taps=["conv3"]).fit(train).characteristics(test_view)
    np.testing.assert_array_equal(found, 0)


def test_without_learned_gates_only_identity_can_be_asked(net: Classifier, dataset: Dataset, test_view: View) -> None:
    bare = View(net, dataset.train.tensor(), key="bare", labels=dataset.train.labels)
    with pytest.raises(UserError, match="give the suite its subnets section"):
        SubnetMahalanobis().fit(bare)
    assert SubnetMahalanobis(gates="identity").fit(bare).characteristics(test_view).shape == (len(test_view), 4)


def test_mistakes_are_said_in_one_sentence() -> None:
    with pytest.raises(UserError, match="predicted, top-k, all"):
        SubnetMahalanobis(classes="some")
    with pytest.raises(UserError, match="learned, identity, random"):
        SubnetMahalanobis(gates="none")
    with pytest.raises(UserError, match="k is 0"):
        SubnetMahalanobis(classes="top-k", k=0)


@pytest.mark.parametrize(("block", "size"), [(1000, 2**27), (7, 2**27), (1000, 1)])
def test_groups_of_a_class_hold_every_image_and_class_once_whatever_the_block(
    block: int, size: int, monkeypatch: pytest.MonkeyPatch, net: Classifier, gates: ClassGates
) -> None:
    monkeypatch.setattr(subnet_mahalanobis, "BLOCK", block)
    monkeypatch.setattr(subnet_mahalanobis, "BLOCK_BYTES", size)
    seen = View(net, torch.rand(23, *net.shape, generator=torch.Generator().manual_seed(0)), key="k", batch_size=5)
    classes = np.random.default_rng(0).integers(0, 10, (23, 4))  # unsorted, and some classes twice an image
    expected = seen.subnet_features(gates, classes)
    times = np.zeros(classes.shape, int)
    with counted(net) as passes:
        groups = list(by_class(seen, gates, net.taps[1:], classes, sorted_batches(seen, classes)))
    for group in groups:
        assert (classes[group.index, group.column] == group.label).all()
        times[group.index, group.column] += 1
        for tap in net.taps[1:]:
            np.testing.assert_allclose(
                group.features[tap], expected[tap][group.index, group.column], rtol=1e-4, atol=1e-5
            )
    assert (times == 1).all()
    assert passes.forward == classes.size


@pytest.mark.parametrize("magnitude", [0.0, 0.002])
def test_a_view_of_no_images_has_no_scores(magnitude: float, train_view: View, test_view: View) -> None:
    detector = SubnetMahalanobis(classes="all", magnitude=magnitude).fit(train_view)
    assert detector.characteristics(fresh(test_view, slice(0, 0))).shape == (0, 4)
