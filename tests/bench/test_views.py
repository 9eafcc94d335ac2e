from __future__ import annotations

import numpy as np
import pytest
import torch
from subnetbench.bench import UserError
from subnetbench.bench.core.store import Store
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import Classifier, pool
from subnetbench.bench.models.passes import counted
from subnetbench.bench.views import PENULTIMATE, View
from subnetbench.subnets.gates import fingerprint

IMAGES = torch.rand(11, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = np.arange(11) % 10


@pytest.fixture(scope="module")
def net() -> Classifier:
    torch.manual_seed(0)
    return digits_cnn(width=8).requires_grad_(False).eval()


def view(net: Classifier, images: torch.Tensor = IMAGES, **changes) -> View:
    return View(net, images, **{"key": "k", "labels": LABELS, "batch_size": 4} | changes)


def gates_of(net: Classifier, position: str = "late") -> dict[str, torch.Tensor]:
    channels = net.channels(net.gated_paths(position))
    generator = torch.Generator().manual_seed(1)
    return {path: torch.rand(10, count, generator=generator) for path, count in channels.items()}


def test_one_pass_serves_logits_and_all_taps(net):
    seen = view(net)
    with counted(net) as passes:
        _ = seen.predicted
        for tap in (*net.taps, PENULTIMATE):
            seen.features(tap)
    assert passes.forward == len(IMAGES)


def test_what_a_view_shows_is_what_the_net_computes(net):
    seen = view(net)
    logits, taps = net.observe(IMAGES, net.taps)
    np.testing.assert_allclose(seen.logits, logits.numpy(), atol=1e-5)
    assert (seen.predicted == logits.argmax(1).numpy()).all()
    for tap in net.taps:
        np.testing.assert_allclose(seen.features(tap), pool(taps[tap]).numpy(), atol=1e-5)
    weight, bias = net.head.weight.numpy(), net.head.bias.numpy()
    np.testing.assert_allclose(seen.features(PENULTIMATE) @ weight.T + bias, seen.logits, atol=1e-5)


def test_a_view_looks_in_evaluation_mode_and_leaves_the_net_as_it_was(net):
    expected = view(net).logits
    net.train()
    before = net.content_hash()
    assert (view(net).logits == expected).all()
    assert net.training
    net.eval()
    assert net.content_hash() == before


def test_unknown_taps_are_named(net):
    for tap in ("conv9", "logits"):
        with pytest.raises(UserError, match=rf"no tap '{tap}'; it has conv1, conv2, conv3, conv4, penultimate"):
            view(net).features(tap)


def test_a_subset_shares_what_is_computed(net):
    whole = view(net)
    _ = whole.logits
    index = np.array([7, 2, 2])
    with counted(net) as passes:
        part = whole.subset(index)
        assert (part.features("conv3") == whole.features("conv3")[index]).all()
    assert passes.forward == 0
    assert torch.equal(part.images, IMAGES[index])
    assert part.labels.tolist() == LABELS[index].tolist()


def test_a_subset_by_mask_is_the_one_by_position_and_keys_differ(net):
    whole = view(net)
    mask = np.zeros(11, bool)
    mask[[1, 4]] = True
    assert whole.subset(mask).key == whole.subset(np.array([1, 4])).key
    assert len({whole.key, whole.subset(mask).key, whole.subset(~mask).key}) == 3


def test_parents_follow_a_subset(net):
    parents = view(net, key="clean")
    part = view(net, IMAGES.flip(3), parents=parents).subset(np.array([3, 5]))
    assert torch.equal(part.parents.images, IMAGES[[3, 5]])


def test_labels_are_hidden_at_scoring_time_and_nothing_is_computed_again(net):
    seen = view(net)
    _ = seen.logits
    hidden = seen.unlabelled()
    assert hidden.labels is None
    with counted(net) as passes:
        assert (hidden.logits == seen.logits).all()
    assert passes.forward == 0
    assert hidden.memo("mine", lambda: 1) == seen.memo("mine", lambda: 2) == 1
    assert hidden.unlabelled() is hidden


@pytest.mark.parametrize("position", ["units", "late"])
def test_k_subnets_at_once_are_each_subnet_alone(net, position):
    seen, gates = view(net), gates_of(net, position)
    classes = np.stack([(LABELS + shift) % 10 for shift in (0, 3, 7)], axis=1)
    together = seen.subnet_features(gates, classes)
    for column in range(3):
        alone = seen.subnet_features(gates, classes[:, column : column + 1])
        for tap in net.taps:
            np.testing.assert_allclose(together[tap][:, column], alone[tap][:, 0], atol=1e-5)
    for row in (0, 10):
        one = {path: gate[classes[row, 1]].view(1, -1) for path, gate in gates.items()}
        _, expected = net.observe(IMAGES[row : row + 1], net.taps, one)
        for tap in net.taps:
            np.testing.assert_allclose(together[tap][row, 1], pool(expected[tap])[0].numpy(), atol=1e-5)


def test_gates_of_one_give_the_nets_own_features(net):
    seen = view(net)
    gates = {path: torch.ones_like(gate) for path, gate in gates_of(net, "units").items()}
    through = seen.subnet_features(gates, LABELS[:, None])
    for tap in net.taps:
        assert through[tap].shape[:2] == (11, 1)
        np.testing.assert_allclose(through[tap][:, 0], seen.features(tap), atol=1e-5)


def test_taps_before_the_first_gate_are_the_nets_own_for_every_class(net):
    seen = view(net)
    through = seen.subnet_features(gates_of(net, "late"), np.stack([LABELS, 9 - LABELS % 10], axis=1))
    for tap in ("conv1", "conv2"):
        for column in (0, 1):
            np.testing.assert_allclose(through[tap][:, column], seen.features(tap), atol=1e-5)
    assert not np.allclose(through["conv3"][:, 0], through["conv3"][:, 1])


def test_subnet_features_are_computed_once_for_the_same_gates_and_classes(net):
    seen, gates = view(net), gates_of(net)
    with counted(net) as passes:
        first = seen.subnet_features(gates, LABELS[:, None])
        assert seen.subnet_features({p: g.clone() for p, g in gates.items()}, LABELS[:, None].copy()) is first
    assert passes.forward == len(LABELS)
    seen.forget()
    assert seen.subnet_features(gates, LABELS[:, None]) is not first


def test_gates_have_a_fingerprint(net):
    gates = gates_of(net)
    assert fingerprint(gates) == fingerprint(dict(reversed(gates.items())))
    changed = {path: gate.clone() for path, gate in gates.items()}
    changed["conv3"][0, 0] += 1e-3
    assert fingerprint(changed) != fingerprint(gates)


def test_a_second_view_reads_the_pass_from_the_store(net, tmp_path):
    first = view(net, store=Store(tmp_path))
    second = view(net, store=Store(tmp_path))
    for seen, expected in ((first, 11), (second, 0), (view(net, key="other", store=Store(tmp_path)), 11)):
        with counted(net) as passes:
            assert (seen.logits == first.logits).all()
        assert passes.forward == expected


@pytest.mark.parametrize("size", [1, 3, 250])
def test_the_batch_size_changes_nothing(net, size):
    np.testing.assert_allclose(view(net, batch_size=size).features("conv4"), view(net).features("conv4"), atol=1e-6)


def test_a_view_of_no_images_has_empty_features(net):
    empty = view(net, IMAGES[:0], labels=LABELS[:0])
    assert empty.logits.shape == (0, 10)
    assert empty.features("conv3").shape == (0, 16)
    assert empty.subnet_features(gates_of(net), np.zeros((0, 2), np.int64))["conv3"].shape == (0, 2, 16)


@pytest.mark.parametrize("bad", [-0.01, 1.01, float("nan"), float("inf")])
def test_images_outside_0_1_are_refused(net, bad):
    images = IMAGES.clone()
    images[3, 0, 2, 2] = bad
    with pytest.raises(UserError, match=r"must lie in \[0, 1\]"):
        view(net, images)


def test_images_of_another_kind_are_refused(net):
    for images in (IMAGES.double(), IMAGES[0], (IMAGES * 255).byte()):
        with pytest.raises(UserError, match=r"must be float32 of shape \(N, C, H, W\)"):
            view(net, images)
