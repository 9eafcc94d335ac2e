from __future__ import annotations

import copy
import pickle

import pytest
import torch
from subnetbench.bench import UserError
from subnetbench.bench.core.registry import models
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.classifier import PENULTIMATE, Classifier, evaluating, per_channel, pool
from subnetbench.bench.models.weights import load_weights, save_weights
from subnetbench.bench.views import View
from subnetbench.subnets.gated import Gated
from torch import nn

IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def net() -> Classifier:
    torch.manual_seed(0)
    return digits_cnn(width=8).requires_grad_(False).eval()


def gates_of(net: Classifier, value: float = 1.0, rows: int = 1) -> dict[str, torch.Tensor]:
    return {path: torch.full((rows, count), value) for path, count in net.channels(net.gated_paths("units")).items()}


@pytest.mark.parametrize("name", ["digits-cnn", "wide7", "resnet18", "resnet34"])
def test_every_model_gives_logits_and_its_taps_and_gates_exist(name):
    net = models.get(name)(classes=7).eval()
    images = torch.rand(2, *net.shape)
    with torch.no_grad():
        logits, seen = net.observe(images, net.taps)
    assert logits.shape == (2, 7)
    assert {tap: x.shape[1] for tap, x in seen.items()} == net.channels(net.taps)
    assert all(float(x.min()) >= 0 for x in seen.values())  # every tap lies behind a ReLU
    assert net.head.out_features == 7
    assert {"units", "stages", "late"} <= set(net.gate_positions)
    assert all(net.channels(paths) for paths in net.gate_positions.values())


def test_resnet34_has_the_taps_of_lee_2018():
    net = models.get("resnet34")(width=4)
    assert net.taps == ("stem", "layer1", "layer2", "layer3", "layer4")
    assert len(net.gate_positions["units"]) == 1 + 16


def test_normalisation_lives_inside():
    torch.manual_seed(0)
    net = Classifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3, 3)),
        mean=(0.5, 0.2, 0.1),
        std=(1.0, 2.0, 4.0),
        taps=(),
        gate_positions={},
        classes=3,
        shape=(3, 1, 1),
    )
    net.net[1].weight.data = torch.eye(3)
    net.net[1].bias.data.zero_()
    logits = net(torch.tensor([1.0, 0.4, 0.9]).view(1, 3, 1, 1))
    assert torch.allclose(logits, torch.tensor([[0.5, 0.1, 0.2]]))


def test_gates_of_one_change_nothing(net):
    out, seen = net.observe(IMAGES, net.taps, gates_of(net))
    plain, taps = net.observe(IMAGES, net.taps)
    assert torch.equal(out, plain)
    assert torch.equal(out, net(IMAGES))
    assert all(torch.equal(seen[tap], taps[tap]) for tap in net.taps)


def test_a_gate_of_zero_removes_its_channel_and_what_follows_sees_it(net):
    gates = {"conv2": torch.ones(1, 8)}
    gates["conv2"][0, 3] = 0
    out, seen = net.observe(IMAGES, net.taps, gates)
    plain, taps = net.observe(IMAGES, net.taps)
    assert (seen["conv2"][:, 3] == 0).all()
    assert torch.equal(seen["conv2"][:, :3], taps["conv2"][:, :3])
    assert torch.equal(seen["conv1"], taps["conv1"])
    assert not torch.equal(seen["conv3"], taps["conv3"])
    assert not torch.equal(out, plain)


def test_every_image_has_gates_of_its_own(net):
    rows = {path: torch.rand(len(IMAGES), gate.shape[1]) for path, gate in gates_of(net).items()}
    together, _ = net.observe(IMAGES, gates=rows)
    alone = [net.observe(IMAGES[i : i + 1], gates={p: g[i : i + 1] for p, g in rows.items()})[0] for i in range(6)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_observing_leaves_no_hook_behind_even_where_it_fails(net):
    plain = net(IMAGES)
    with pytest.raises(RuntimeError):
        net.observe(IMAGES, net.taps, {"conv1": torch.zeros(1, 3)})  # 3 gates for 8 channels
    assert torch.equal(net(IMAGES), plain)
    with pytest.raises(UserError, match="no module 'conv9'"):
        net.observe(IMAGES, ("conv1", PENULTIMATE, "conv9"))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_penultimate_features_are_read_under_gates_too(net):
    for gates in ({}, gates_of(net, 0.7)):
        logits, seen = net.observe(IMAGES, ("conv4", PENULTIMATE), gates)
        assert torch.equal(net.head(seen[PENULTIMATE]), logits)
    assert net.stage_of(PENULTIMATE) == 6


@pytest.mark.parametrize("start", [1, 2, 3, 6])
def test_going_on_from_a_prefix_is_the_whole(net, start):
    hidden, first = net.observe(IMAGES, stop=start)
    out, _ = net.observe(hidden, start=start)
    assert first == {}
    assert torch.equal(out, net(IMAGES))


def test_stages_are_found_for_nested_paths():
    net = models.get("resnet18")(width=4)
    assert net.stage_of("stem") == 0
    assert net.stage_of("layer2.1") == 2


def test_a_module_that_comes_twice_is_two_stages():
    relu = nn.ReLU()
    layers = nn.Sequential(nn.Conv2d(1, 2, 1), relu, nn.Conv2d(2, 2, 1), relu, nn.Flatten(), nn.Linear(8, 3))
    net = Classifier(layers, mean=(0,), std=(1,), taps=("2",), gate_positions={}, classes=3, shape=(1, 2, 2))
    assert net.stages == ("0", "1", "2", "3", "4", "5")
    images = torch.rand(2, 1, 2, 2)
    assert torch.equal(net.advance(images, stop=1 + net.stage_of("2")), net.observe(images, ("2",))[1]["2"])
    assert net.stage_of(PENULTIMATE) == 5


def test_gradients_reach_images_and_gates(net):
    images, gate = IMAGES.clone().requires_grad_(), torch.ones(1, 8, requires_grad=True)
    out, seen = net.observe(images, ("conv3",), {"conv1": gate})
    (out.sum() + seen["conv3"].sum()).backward()
    assert float(images.grad.abs().sum()) > 0
    assert float(gate.grad.abs().sum()) > 0


def test_unknown_places_are_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    with pytest.raises(UserError, match=r"no module 'conv9' to tap or gate; its stages are 0, 1"):
        Classifier(net, mean=(0,), std=(1,), taps=("conv9",), gate_positions={}, classes=2, shape=(1, 1, 3))
    with pytest.raises(UserError, match="no module 'x'"):
        Classifier(net, mean=(0,), std=(1,), taps=(), gate_positions={"units": ("x",)}, classes=2, shape=(1, 1, 3))
    with pytest.raises(UserError, match="no gate position 'everywhere'; it has late, stages, units"):
        digits_cnn().gated_paths("everywhere")


def test_a_net_whose_last_linear_layer_is_no_head_says_so():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(3, 5), nn.Conv1d(1, 1, 1))
    net = Classifier(layers, mean=(0,), std=(1,), taps=(), gate_positions={}, classes=2, shape=(1, 1, 3))
    with pytest.raises(UserError, match="last linear layer does not give its 2 logits"):
        _ = net.head


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_mode_is_lent_and_the_earlier_mode_restored(net, training):
    net.train(training)

    def fail() -> None:
        with evaluating(net):
            assert not net.net.training
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert net.training is net.net.conv1[1].training is training


def test_asking_for_channels_moves_no_batch_statistics(net):
    before = copy.deepcopy(net.state_dict())
    net.train()
    net.channels(net.taps)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_hash_changes_with_one_weight_one_buffer_and_one_tap(net):
    hashes = {net.content_hash()}
    net.net.conv2[0].weight.data[0, 0, 0, 0] += 1e-6
    hashes.add(net.content_hash())
    net.net.conv2[1].running_mean[3] += 1e-6
    hashes.add(net.content_hash())
    net.taps = net.taps[:-1]
    hashes.add(net.content_hash())
    assert len(hashes) == 4
    assert copy.deepcopy(net).content_hash() == net.content_hash()


def test_the_hash_knows_neither_mode_nor_memory_layout(net):
    before = net.content_hash()
    assert net.train().content_hash() == before
    assert net.to(memory_format=torch.channels_last).content_hash() == before


def test_saved_weights_come_back_with_their_metadata(net, tmp_path):
    save_weights(net, tmp_path / "net.safetensors", {"test_accuracy": "0.98"})
    other = digits_cnn(width=8).eval()
    assert other.content_hash() != net.content_hash()
    assert load_weights(other, tmp_path / "net.safetensors") == {"test_accuracy": "0.98"}
    assert other.content_hash() == net.content_hash()


def test_a_pickle_is_refused_and_never_run(net, tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    path = tmp_path / "net.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"not a safetensors file .*pickled weights are never loaded"):
        load_weights(net, path)
    torch.save(net.state_dict(), path)
    with pytest.raises(UserError, match="not a safetensors file"):
        load_weights(net, path)
    assert not (tmp_path / "sprung").exists()


def test_weights_of_another_net_are_refused_and_change_nothing(net, tmp_path):
    save_weights(digits_cnn(width=4), tmp_path / "narrow.safetensors", {})
    before = net.content_hash()
    with pytest.raises(UserError, match=r"do not fit the net: \d+ of \d+ tensors differ in name or shape"):
        load_weights(net, tmp_path / "narrow.safetensors")
    assert net.content_hash() == before
    with pytest.raises(UserError, match="no weights file"):
        load_weights(net, tmp_path / "nowhere.safetensors")


def test_pool_is_the_spatial_mean_and_leaves_matrices():
    x = torch.rand(2, 3, 4, 5)
    assert torch.allclose(pool(x), x.mean((2, 3)))
    assert torch.equal(pool(x[:, :, 0, 0]), x[:, :, 0, 0])


def test_factors_multiply_channels_of_all_images_or_of_each():
    x = torch.rand(4, 3, 2, 5)
    for values in (torch.rand(3), torch.rand(1, 3), torch.rand(4, 3)):
        expected = torch.einsum("nchw,nc->nchw", x, values.expand(4, 3))
        assert torch.equal(x * per_channel(values, x), expected)
        matrix = x[:, :, 0, 0]
        assert torch.equal(matrix * per_channel(values, matrix), expected[:, :, 0, 0])


class Added(nn.Module):
    """A shortcut around a convolution, added in place or not."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.body, self.inplace = nn.Conv2d(4, 4, 3, padding=1), inplace

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.body(x)
        if self.inplace:
            x += out
            return x
        return x + out


def rectified(inplace: bool) -> Classifier:
    """A net whose taps lie before a ReLU, a sum and a whole stage, which all work in place or not."""
    torch.manual_seed(0)
    stages = [nn.Conv2d(1, 4, 3), nn.ReLU(inplace), nn.Conv2d(4, 4, 3), Added(inplace), nn.Tanh()]
    return Classifier(
        nn.Sequential(*stages, nn.Flatten(), nn.Linear(64, 10)),
        mean=(0.3,),
        std=(0.35,),
        taps=("0", "2", "3.body"),
        gate_positions={"units": ("0", "2")},
        classes=10,
        shape=(1, 8, 8),
    ).requires_grad_(False)


def test_a_tap_is_read_as_its_module_gave_it_though_later_layers_work_in_place():
    own, plain = rectified(True), rectified(False)
    assert plain.overwritten == frozenset()
    assert own.overwritten == {"0", "2"}
    for gates in ({}, gates_of(plain, 0.5)):
        logits, seen = own.observe(IMAGES, own.taps, gates)
        expected, apart = plain.observe(IMAGES, plain.taps, gates)
        assert torch.equal(logits, expected)
        assert all(torch.equal(seen[tap], apart[tap]) for tap in own.taps)
    with torch.inference_mode():
        assert torch.equal(rectified(True).observe(IMAGES, ("0",))[1]["0"], plain.advance(IMAGES, stop=1))
    features = [View(net, IMAGES, key="images").features("2") for net in (own, plain)]
    assert (features[0] == features[1]).all()


def test_going_on_from_a_prefix_leaves_it_as_it_was():
    own, plain = rectified(True), rectified(False)
    hidden = plain.advance(IMAGES, stop=3)
    kept = hidden.clone()
    assert torch.equal(own.advance(hidden, 3), own.advance(hidden, 3))
    assert torch.equal(hidden, kept)
    gated = Gated(own, ("0",), ("0",))
    prefix, _ = gated.prefix(IMAGES)
    _, seen = gated.rest(prefix, gates_of(plain, 0.5))
    assert torch.equal(seen["0"], 0.5 * plain.advance(IMAGES, stop=1))
