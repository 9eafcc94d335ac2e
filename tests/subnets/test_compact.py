"""A class's subnet, cut or gated as a whole, computes what the classifier computes under that class's gates."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from subnetbench.bench.core.arrays import ClassGates
from subnetbench.bench.models.cifar import conv_unit, digits_cnn, resnet18, wide7
from subnetbench.bench.models.classifier import Classifier, evaluating, pool
from subnetbench.subnets import tree
from subnetbench.subnets.compact import CutSubnets, GatedSubnets, class_subnets
from torch import nn

SHAPE = (3, 12, 12)


def live(net: Classifier, seed: int = 0) -> Classifier:
    """Statistics and factors of BatchNorm off their first values, some of them negative."""
    generator = torch.Generator().manual_seed(seed)
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        for tensor, low, high in ((norm.running_mean, -0.5, 0.5), (norm.running_var, 0.3, 2.0)):
            assert tensor is not None
            tensor.uniform_(low, high, generator=generator)
        norm.weight.data.uniform_(-0.3, 1.5, generator=generator)
        norm.bias.data.uniform_(-0.5, 0.5, generator=generator)
    return net


def draw_gates(net: Classifier, paths: Sequence[str], *, binary: bool, classes: int = 3, seed: int = 0) -> ClassGates:
    generator = torch.Generator().manual_seed(seed)
    gates = {}
    for path, count in net.channels(paths).items():
        alive = (torch.rand(classes, count, generator=generator) < 0.6).float()
        gates[path] = alive if binary else alive * 3 * torch.rand(classes, count, generator=generator)
    return gates


def naive(
    net: Classifier, images: torch.Tensor, gates: ClassGates, taps: Sequence[str], label: int
) -> dict[str, torch.Tensor]:
    """A row of gates a sample, hooked into the classifier itself."""
    rows = {p: gate[torch.full((len(images),), label)].to(images) for p, gate in gates.items()}
    with torch.no_grad(), evaluating(net):
        return {tap: pool(output) for tap, output in net.observe(images, taps, rows)[1].items()}


def check(
    net: Classifier, gates: ClassGates, taps: Sequence[str], kind: type | None, shape: tuple[int, int, int] = SHAPE
) -> None:
    """Equality in both precisions, image by image alone too."""
    generator = torch.Generator().manual_seed(5)
    for dtype, bound in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        net = net.to(dtype)
        images = torch.rand(4, *shape, generator=generator).to(dtype)
        subnets = class_subnets(net, gates, taps)
        assert kind is None or type(subnets) is kind
        with torch.inference_mode():
            hidden = subnets.prefix(images)
            count = len(next(iter(gates.values())))
            together = dict(subnets.each(hidden, range(count)))
            assert sorted(together) == list(range(count))
            for label in range(count):
                found, expected = subnets.of(label)(hidden), naive(net, images, gates, taps, label)
                alone = subnets.of(label)(hidden[2:3])
                assert set(found) == set(together[label]) == set(taps)
                for tap in taps:
                    scale = max(float(expected[tap].abs().max()), 1e-3)
                    assert found[tap].dtype == dtype
                    assert float((found[tap] - expected[tap]).abs().max()) <= bound * scale
                    assert float((together[label][tap] - expected[tap]).abs().max()) <= bound * scale
                    assert float((found[tap][2:3] - alone[tap]).abs().max()) <= bound * scale


def after(net: Classifier, position: str) -> list[str]:
    first = min(net.stage_of(path) for path in net.gated_paths(position))
    return [tap for tap in net.taps if net.stage_of(tap) >= first]


def small_wide7() -> Classifier:
    return wide7(shape=SHAPE, widths=(8, 12, 16))


def small_resnet() -> Classifier:
    return resnet18(shape=SHAPE, width=4)


def small_digits() -> Classifier:
    return digits_cnn(shape=SHAPE, width=8)


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "continuous"])
@pytest.mark.parametrize("position", ["units", "stages", "late"])
@pytest.mark.parametrize("make", [small_wide7, small_digits, small_resnet])
def test_a_subnet_is_the_classifier_under_its_gates(
    make: Callable[[], Classifier], position: str, binary: bool
) -> None:
    torch.manual_seed(0)
    net = live(make())
    kind = GatedSubnets if make is small_resnet else CutSubnets
    check(net, draw_gates(net, net.gated_paths(position), binary=binary), after(net, position), kind)


@pytest.mark.parametrize("make", [small_wide7, small_resnet])
def test_a_layer_with_no_active_channel_gives_constants(make: Callable[[], Classifier]) -> None:
    torch.manual_seed(0)
    net = live(make())
    for path in net.gated_paths("units"):
        gates = draw_gates(net, net.gated_paths("units"), binary=True)
        gates[path][1] = 0
        check(net, gates, after(net, "units"), None)
        if make is small_resnet:
            continue  # a shortcut goes round a dead unit
        net = net.float()
        subnets = class_subnets(net, gates, after(net, "units"))
        with torch.inference_mode():
            found = subnets.of(1)(subnets.prefix(torch.rand(5, *SHAPE)))
        for tap in (tap for tap in found if net.stage_of(tap) >= net.stage_of(path)):
            torch.testing.assert_close(found[tap], found[tap][:1].expand(5, -1), rtol=1e-6, atol=1e-6)


def test_removed_channels_are_exactly_zero_and_in_their_places() -> None:
    torch.manual_seed(0)
    net = live(small_wide7())
    gates = draw_gates(net, net.gated_paths("units"), binary=True)
    subnets = class_subnets(net, gates, ["conv2b"])
    with torch.inference_mode():
        found = subnets.of(2)(subnets.prefix(torch.rand(5, *SHAPE)))["conv2b"]
    assert found.shape == (5, 12)
    assert (found[:, gates["conv2b"][2] == 0] == 0).all()
    assert (found[:, gates["conv2b"][2] == 1] != 0).any(0).sum() > 3


def chain(names: Mapping[str, nn.Module]) -> Classifier:
    return Classifier(
        nn.Sequential(OrderedDict(names)),
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
        taps=(),
        gate_positions={},
        classes=3,
        shape=SHAPE,
    )


def flat_chain() -> Classifier:
    """Modules as stages of their own, as in AlexNet; BatchNorm before and after ReLU and pool."""
    torch.manual_seed(0)
    return live(
        chain(
            {
                "conv1": nn.Conv2d(3, 6, 3, stride=2, padding=1),
                "relu1": nn.ReLU(),
                "pool1": nn.MaxPool2d(2),
                "conv2": nn.Conv2d(6, 8, (3, 1), padding="same", dilation=2),
                "pool2": nn.MaxPool2d(3, 1, 1),
                "norm2": nn.BatchNorm2d(8),
                "relu2": nn.ReLU(),
                "drop2": nn.Dropout(0.5),
                "conv3": nn.Conv2d(8, 7, 3, padding=1, bias=False),
                "relu3": nn.ReLU(),
                "norm3": nn.BatchNorm2d(7),
                "conv4": nn.Conv2d(7, 5, 1),
                "relu4": nn.ReLU(),
                "pool4": nn.AdaptiveAvgPool2d(1),
                "flatten": nn.Flatten(),
                "head": nn.Linear(5, 3),
            }
        )
    )


@pytest.mark.parametrize(
    ("gated", "taps", "kind"),
    [
        (["relu1", "relu2", "relu4"], ["relu1", "relu2", "norm3", "relu4"], CutSubnets),
        (["relu1"], ["pool1", "relu4"], CutSubnets),
        (["relu1", "relu3"], ["relu2", "norm3"], GatedSubnets),  # BatchNorm lifts what was removed off zero
        (["relu1", "norm3"], ["norm3", "relu4"], CutSubnets),
        (["relu1", "relu2", "pool4"], ["conv2", "norm2", "relu2", "conv4", "pool4"], CutSubnets),
        (["conv1", "conv2"], ["conv1", "pool2"], CutSubnets),
        (["conv1", "conv2"], ["conv1", "relu2"], GatedSubnets),
        (["relu1", "pool1"], ["relu2"], GatedSubnets),
        (["relu2", "pool4"], ["head"], GatedSubnets),
        (["pool4"], ["pool4"], CutSubnets),
        (["relu1", "relu4"], ["relu1"], CutSubnets),
    ],
)
def test_gates_and_taps_may_sit_anywhere(gated: list[str], taps: list[str], kind: type) -> None:
    net = flat_chain()
    for binary in (True, False):
        check(net, draw_gates(net, gated, binary=binary), taps, kind)


def test_a_tap_inside_a_gated_unit_is_read_before_the_gate() -> None:
    torch.manual_seed(0)
    net = live(small_wide7())
    gates = draw_gates(net, ["conv2a", "conv2b"], binary=False)
    for taps in (["conv2a.3"], ["conv2a.1"], ["conv2a.3", "conv2a"], ["conv2b.0", "conv3b"], ["conv2b.2", "conv2b"]):
        check(net, gates, taps, None)


def test_gates_below_zero_are_not_cut() -> None:
    torch.manual_seed(0)
    net = live(small_wide7())
    gates = draw_gates(net, net.gated_paths("late"), binary=False)
    gates["conv2b"][0, 3] = -0.7
    check(net, gates, ["conv2b", "conv3b"], GatedSubnets)


@settings(max_examples=25)
@given(
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    downsample=st.lists(st.booleans(), min_size=3, max_size=3),
    every=st.lists(st.booleans(), min_size=3, max_size=3),
    binary=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_small_chain(widths: list[int], downsample: list[bool], every: list[bool], binary: bool, seed: int) -> None:
    torch.manual_seed(seed)
    sizes = [3, *widths]
    units = {f"u{i}": conv_unit(sizes[i], sizes[i + 1], downsample=downsample[i]) for i in range(len(widths))}
    net = live(chain(units), seed)
    gated = [name for name, take in zip(units, every, strict=False) if take] or ["u0"]
    taps = [name for name in units if name >= gated[0]]
    check(net, draw_gates(net, gated, binary=binary, seed=seed), taps, CutSubnets)


def test_the_classifier_is_left_as_it_was_and_later_changes_do_not_matter() -> None:
    torch.manual_seed(0)
    net = live(small_wide7()).train()
    before = net.content_hash()
    gates = draw_gates(net, net.gated_paths("units"), binary=True)
    images = torch.rand(3, *SHAPE)
    subnets = class_subnets(net, gates, ["conv3b"])

    def features() -> torch.Tensor:
        with torch.inference_mode():
            return subnets.of(0)(subnets.prefix(images))["conv3b"]

    found = features()
    assert net.training
    assert net.content_hash() == before
    with torch.no_grad():
        next(net.parameters()).zero_()
    assert torch.equal(features(), found)


def alike_gates(net: Classifier, position: str, *, binary: bool) -> ClassGates:
    """As learned ones are: few channels removed early, pairs of classes equal there, and none left in one layer."""
    generator = torch.Generator().manual_seed(3)
    paths, gates = net.gated_paths(position), {}
    for place, (path, count) in enumerate(net.channels(paths).items()):
        rows = (torch.rand(6, count, generator=generator) < (0.9, 0.6)[place >= 2]).float()
        if not binary:
            rows *= torch.where(torch.rand(rows.shape, generator=generator) < 0.5, 1.0, 1.7)
        gates[path] = rows.repeat_interleave(2, 0)[:6] if place < 2 else rows
    gates[paths[0]][:2] = 1
    gates[paths[-1]][4] = 0
    return gates


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "continuous"])
@pytest.mark.parametrize("subtract", [0, 10**6], ids=["subtracted", "direct"])
@pytest.mark.parametrize("pick", [0, 10**9], ids=["picked", "zero weights"])
@pytest.mark.parametrize("make", [small_wide7, small_digits])
def test_every_way_gives_the_features_of_the_classifier_under_its_gates(
    make: Callable[[], Classifier], pick: int, subtract: int, binary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "SUBTRACT", subtract)
    monkeypatch.setattr(tree, "PICK", pick)
    corrected, less = [], tree._less
    monkeypatch.setattr(tree, "_less", lambda *inputs: corrected.append(1) or less(*inputs))
    torch.manual_seed(0)
    net = live(make()).double()
    gates, taps = alike_gates(net, "units", binary=binary), after(net, "units")
    images = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    subnets = class_subnets(net, gates, taps)
    assert isinstance(subnets, CutSubnets)
    with torch.inference_mode():
        hidden = subnets.prefix(images)
        before = hidden.clone()
        features = dict(subnets.each(hidden, [5, 0, 1, 4, 3, 2]))
    assert torch.equal(hidden, before)
    assert bool(corrected) == (subtract == 0)
    for label, by_tap in features.items():
        for tap, expected in naive(net, images, gates, taps, label).items():
            torch.testing.assert_close(by_tap[tap], expected, rtol=1e-9, atol=1e-9)
            assert (by_tap[tap][:, gates[tap][label] == 0] == 0).all()


def test_a_layer_that_all_classes_share_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = live(small_wide7())
    gates = {path: torch.ones(5, count) for path, count in net.channels(net.gated_paths("units")).items()}
    gates["conv3a"] = (torch.rand(5, 16) < 0.5).float()
    subnets = class_subnets(net, gates, ["conv3b"])
    runs, convolve = [], tree._convolve
    monkeypatch.setattr(tree, "_convolve", lambda *inputs: runs.append(1) or convolve(*inputs))
    with torch.inference_mode():
        list(subnets.each(subnets.prefix(torch.rand(2, *SHAPE)), range(5)))
    assert len(runs) == 4 + 5  # conv1b, 2a, 2b and 3a once, conv3b for every class
