"""Claims about learning: one pass equals one class at a time, and no shortcut changes a result."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from subnetbench.bench.core.arrays import Ints
from subnetbench.bench.data.dataset import Split
from subnetbench.bench.models.cifar import resnet18
from subnetbench.bench.models.classifier import Classifier
from subnetbench.subnets import learn as learning
from subnetbench.subnets.calibration import Calibration, fit_calibration
from subnetbench.subnets.frozen import GatedNet, Images
from subnetbench.subnets.gates import GateOptions, identity_gates
from subnetbench.subnets.learn import Epoch, choose_epoch, epoch_batches, gate_loss, l1_norm, learn
from torch import nn

OPTIONS = GateOptions(batch_size=16, gamma=0.1, epochs=2)


def pools_of(images: Split, *, uneven: bool = False) -> list[Ints]:
    """Twenty images a class; where uneven, class c loses c of them, so that classes take different numbers of steps."""
    return [np.flatnonzero(images.labels == c)[: 20 - (c if uneven else 0)] for c in range(10)]


def learned(net: Classifier, images: Split, options: GateOptions = OPTIONS, chunk: range = range(10)) -> list[Epoch]:
    gated = GatedNet(net, net.gated_paths(options.position))
    seen = Images(gated, images, options.prefix_mib)
    return learn(gated, seen, pools_of(images, uneven=True), chunk, CALIBRATION, options)


CALIBRATION = Calibration(0.7, torch.linspace(-1, 1, 10, dtype=torch.float64))


def one_class_at_a_time(
    net: Classifier, images: Split, label: int, options: GateOptions
) -> list[dict[str, torch.Tensor]]:
    """Equation 2 written down plainly: torch's own Adam, the whole net in every pass, a class alone."""
    gates = {path: gate[:1].double().requires_grad_() for path, gate in identity_gates(net, options.position).items()}
    adam = torch.optim.Adam(gates.values(), lr=options.learning_rate)
    ends = []
    for epoch in range(options.epochs):
        for index in epoch_batches(pools_of(images, uneven=True), label, options, epoch):
            x = images.tensor(index).double()
            full, gated = net(x)[:, label], net.observe(x, (), gates)[0][:, label]
            full, gated = (CALIBRATION.scale * f + CALIBRATION.bias[label] for f in (full, gated))
            l1 = sum(gate.mean() for gate in gates.values())
            loss = F.binary_cross_entropy(gated.sigmoid(), full.sigmoid()) + options.gamma * l1
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                for gate in gates.values():
                    gate.clamp_(0, options.clamp)
        ends.append({path: gate.detach().clone() for path, gate in gates.items()})
    return ends


def test_all_classes_in_one_pass_equal_one_class_at_a_time(net64: Classifier, images: Split) -> None:
    options = OPTIONS.model_copy(update={"learning_rate": 0.3})  # fast enough that gates reach the clamp at 0
    epochs = learned(net64, images, options)
    assert epochs[0].gates["conv1"].dtype == torch.float64
    reached_zero = False
    for label in range(10):
        for epoch, end in zip(epochs, one_class_at_a_time(net64, images, label, options), strict=True):
            for path, gate in end.items():
                assert torch.allclose(epoch.gates[path][label], gate[0], rtol=0, atol=1e-8)
                reached_zero |= bool((gate == 0).any())
    assert reached_zero


def test_classes_of_the_claim_above_take_different_numbers_of_steps(images: Split) -> None:
    assert len({len(epoch_batches(pools_of(images, uneven=True), c, OPTIONS, 0)) for c in range(10)}) > 1


@pytest.mark.parametrize("position", ["units", "stages", "late"])
def test_sharing_the_prefix_changes_nothing(net64: Classifier, images: Split, position: str) -> None:
    options = OPTIONS.model_copy(update={"position": position})
    shared = learned(net64, images, options)
    recomputed = learned(net64, images, options.model_copy(update={"prefix_mib": 0}))
    for a, b in zip(shared, recomputed, strict=True):
        assert all(torch.allclose(a.gates[path], b.gates[path], rtol=0, atol=1e-8) for path in a.gates)


def test_a_class_learns_the_same_in_any_company(net64: Classifier, images: Split) -> None:
    together, alone = learned(net64, images)[-1], learned(net64, images, chunk=range(3, 5))[-1]
    for path in together.gates:
        assert torch.allclose(together.gates[path][3:5], alone.gates[path], rtol=0, atol=1e-8)
    assert together.loss[3:5] == pytest.approx(alone.loss, abs=1e-8)


def test_passes_of_fewer_classes_change_nothing(
    net64: Classifier, images: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert learning.passes([16] * 10) == [slice(0, 160)]
    expected = learned(net64, images)
    monkeypatch.setattr(learning, "PASS", 40)
    assert learning.passes([16, 16, 16, 41, 3]) == [slice(0, 32), slice(32, 48), slice(48, 89), slice(89, 92)]
    for epoch, other in zip(learned(net64, images), expected, strict=True):
        np.testing.assert_allclose(epoch.loss, other.loss, rtol=1e-12)
        for path, gate in epoch.gates.items():
            torch.testing.assert_close(gate, other.gates[path], rtol=1e-12, atol=1e-12)


def test_what_is_kept_once_an_image_starts_where_the_first_gate_sits(net: Classifier, images: Split) -> None:
    part = images.select(np.arange(4))
    depth = {position: GatedNet(net, net.gated_paths(position)).cut for position in ("units", "stages", "late")}
    assert depth == {"units": 1, "stages": 2, "late": 3}
    hidden = Images(GatedNet(net, net.gated_paths("late")), part, 100).hidden(np.array([1, 1]))
    assert torch.allclose(hidden, net.advance(part.tensor(np.array([1, 1])), 0, 3), atol=1e-5)
    assert not Images(GatedNet(net, net.gated_paths("late")), part, 0).shared


@pytest.mark.parametrize("paths", [("layer1.0",), ("layer1.0", "layer1"), ("stem", "layer3"), ("stem.0", "layer4")])
def test_the_frozen_copy_computes_what_the_classifier_computes(paths: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    net = resnet18(width=4).double()
    x = torch.rand(8, 3, 32, 32, dtype=torch.float64)
    net(x)  # moves BatchNorm's statistics off their start
    net.eval()
    before = net.content_hash()
    frozen = GatedNet(net, paths)
    gates = {path: torch.rand(8, count, dtype=torch.float64) for path, count in net.channels(paths).items()}
    logits = frozen.logits(frozen.prefix(x), gates)
    assert torch.allclose(logits, net.observe(x, (), gates)[0], rtol=0, atol=1e-10)
    assert torch.equal(
        frozen.logits(frozen.prefix(x), {p: torch.ones_like(g) for p, g in gates.items()}),
        frozen.logits(frozen.prefix(x)),
    )
    assert net.content_hash() == before
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_a_batchnorm_behind_a_relu_that_comes_twice_is_not_folded() -> None:
    torch.manual_seed(0)
    relu, norm = nn.ReLU(), nn.BatchNorm2d(4)
    layers = nn.Sequential(nn.Conv2d(1, 4, 1), relu, nn.Conv2d(4, 4, 1), relu, norm, nn.Flatten(), nn.Linear(16, 3))
    net = Classifier(layers, mean=(0,), std=(1,), taps=(), gate_positions={}, classes=3, shape=(1, 2, 2)).eval()
    norm.running_mean = torch.rand(4)
    images = torch.rand(5, 1, 2, 2)
    frozen = GatedNet(net, ("4",))
    assert torch.allclose(frozen.logits(frozen.prefix(images)), net(images), atol=1e-6)


class Standardised(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight / self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, padding=1)


class Activated(nn.BatchNorm2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).relu()


class Backwards(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self[0](self[1](x))


@pytest.mark.parametrize(
    "pair",
    [
        nn.Sequential(Standardised(1, 4, 3, padding=1), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(1, 4, 1), Activated(4)),
        Backwards(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
    ],
)
def test_convolutions_and_norms_of_others_are_not_folded(pair: nn.Sequential) -> None:
    norm = pair[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.running_mean = torch.rand(4)
    stage = pair if pair[0].in_channels == 1 else nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), pair)
    layers = nn.Sequential(stage, nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    net = Classifier(layers, mean=(0,), std=(1,), taps=(), gate_positions={}, classes=3, shape=(1, 2, 2)).eval()
    images = torch.rand(5, 1, 2, 2)
    frozen = GatedNet(net, ("1",))
    assert torch.allclose(frozen.logits(frozen.prefix(images)), net(images), atol=1e-6)


def test_gradients_of_the_loss_are_right(net64: Classifier, images: Split) -> None:
    gated = GatedNet(net64, ("conv4",))
    index, owner, labels = np.arange(6), torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([2, 5])
    seen = Images(gated, images, 100)
    full = CALIBRATION(seen.logits[torch.from_numpy(index), labels[owner]], labels[owner])

    def loss(gate: torch.Tensor) -> torch.Tensor:
        return gate_loss(gated, seen.hidden(index), full, {"conv4": gate}, owner, labels, CALIBRATION, OPTIONS)

    gate = (0.5 + torch.rand(2, 64, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(loss, (gate,))  # type: ignore[no-untyped-call]


def test_the_gradient_of_a_class_is_its_own_alone(net64: Classifier, images: Split) -> None:
    gated = GatedNet(net64, ("conv4",))
    seen = Images(gated, images, 100)
    owner, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([2, 5])
    gate = torch.ones(2, 64, dtype=torch.float64, requires_grad=True)
    hidden, full = seen.hidden(np.arange(4)), torch.zeros(4, dtype=torch.float64)
    loss = gate_loss(gated, hidden, full, {"conv4": gate}, owner, labels, CALIBRATION, OPTIONS)
    (gradient,) = torch.autograd.grad(loss[0], gate)
    assert gradient[0].any()
    assert not gradient[1].any()


def test_the_three_ways_to_count_the_l1_norm() -> None:
    gates = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([[3.0, 3.0, 0.0, 0.0]])}
    assert [l1_norm(gates, kind).item() for kind in ("sum", "mean", "layersum")] == [9.0, 1.5, 3.0]


def test_an_epoch_takes_every_image_of_the_class_once_and_as_many_distinct_others(images: Split) -> None:
    pools = pools_of(images, uneven=True)
    batches = epoch_batches(pools, 4, OPTIONS, 0)
    index = np.concatenate(batches)
    own = np.isin(index, pools[4])
    assert sorted(index[own]) == sorted(pools[4])
    assert own.sum() == (~own).sum() == len(set(index[~own]))
    assert max(map(len, batches)) <= OPTIONS.batch_size
    assert all(abs(np.isin(batch, pools[4]).mean() - 0.5) < 0.1 for batch in batches)
    assert not np.array_equal(index, np.concatenate(epoch_batches(pools, 4, OPTIONS, 1)))


def test_the_epoch_taken_has_the_least_loss_among_those_sparse_enough() -> None:
    loss, active = [0.1, 0.4, 0.3, 0.3, 0.9], [0.9, 0.5, 0.4, 0.3, 0.2]
    assert choose_epoch(loss, active, 0.5, "sparsest") == (2, True)
    assert choose_epoch(loss, active, 0.2, "sparsest") == (4, True)
    assert choose_epoch(loss, active, 1.0, "sparsest") == (0, True)


def test_where_no_epoch_is_sparse_enough_the_fallback_takes_one_and_says_so() -> None:
    loss, active = [0.1, 0.4, 0.3], [0.9, 0.7, 0.7]
    assert choose_epoch(loss, active, 0.5, "sparsest") == (2, False)
    assert choose_epoch(loss, active, 0.5, "loss") == (0, False)


def test_calibration_recovers_the_scale_and_bias_that_made_the_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(20000, 3, generator=generator, dtype=torch.float64) * 2
    labels = torch.distributions.Categorical(logits=truth).sample()
    shrunk = fit_calibration(truth * 0.1 + 5, labels)
    plain = fit_calibration(truth, labels)
    assert shrunk.scale == pytest.approx(10 * plain.scale, rel=1e-3)
    assert torch.allclose(shrunk.bias + 5 * shrunk.scale, plain.bias, atol=1e-2)


def test_calibration_of_separable_logits_is_finite() -> None:
    labels = torch.arange(300) % 3
    fitted = fit_calibration(F.one_hot(labels, 3) * 20.0, labels)
    assert 0 < fitted.scale < 10
    assert fitted.bias.isfinite().all()
