"""`Classifier.wrap` on nets of many shapes: taps are what hooks on the net see, gates are channels set to zero."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from subnetbench.bench.models.classifier import PENULTIMATE, Classifier, has_head, pool
from torch import nn

from .tiny_nets import NETS, SHAPE, made

#: Taps, their channels, and some gates of each net, by the net's own paths.
EXPECTED: dict[str, tuple[list[str], list[int], list[str]]] = {
    "resnet": (
        ["relu", "layer1", "layer2", "layer3", "layer4"],
        [64, 64, 128, 256, 512],
        ["relu", "layer1.0.bn1", "layer1.0.bn2", "layer2.0.bn1", "layer2.0.bn2", "layer2.0.downsample.1"],
    ),
    "mobile": (
        ["features.0", "features.1", "features.3", "features.8", "features.12"],
        [8, 8, 8, 16, 144],
        ["features.0.2", "features.1.block.0.2", "features.1.block.2.1", "features.2.block.0.2"],
    ),
    "dense": (
        ["features.relu0", "features.denseblock1", "features.norm5"],
        [8, 16, 16],
        ["features.relu0", "features.denseblock1.denselayer1.relu2", "features.denseblock1.denselayer1.conv2"],
    ),
    "functional": (["norm", "c"], [8, 12], ["a", "norm", "c"]),
    "excited": (["norm", "second"], [8, 8], ["norm", "second"]),
    "vit": (
        [f"encoder.layers.encoder_layer_{i}" for i in (0, 1, 2, 4)],
        [16] * 4,
        [f"encoder.layers.encoder_layer_{i}.mlp.1" for i in range(5)],
    ),
    "timm-vit": ([f"blocks.{i}" for i in range(3)], [16] * 3, [f"blocks.{i}.mlp.act" for i in range(3)]),
    "swin": (["features.1", "permute"], [8, 16], ["features.1.0.mlp.1", "features.3.0.mlp.1", "features.3.1.mlp.1"]),
    "convnext": (["features.1", "features.3"], [8, 12], [f"features.{i}.block.4" for i in ("1.0", "3.0", "3.1")]),
    "mlp": (["2", "5"], [16, 12], ["2", "5"]),
}
HEADLESS = ("excited",)


@pytest.fixture(scope="module")
def nets() -> dict[str, tuple[nn.Module, Classifier]]:
    modules = {name: made(name) for name in NETS}
    return {name: (module, Classifier.wrap(module, classes=10, shape=SHAPE)) for name, module in modules.items()}


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))


def inner(path: str) -> str:
    return path.removeprefix("wrapped.module.")


def logits(output: Any) -> torch.Tensor:
    return output[-1] if isinstance(output, tuple) else output


def hooked(module: nn.Module, path: str, hook: Any, images: torch.Tensor) -> torch.Tensor:
    handle = module.get_submodule(path).register_forward_hook(hook)
    try:
        with torch.no_grad():
            return logits(module(images))
    finally:
        handle.remove()


@pytest.mark.parametrize("name", NETS)
def test_taps_are_the_last_modules_of_stages_and_gates_the_ends_of_units(nets: Any, name: str) -> None:
    _, net = nets[name]
    taps, channels, gates = EXPECTED[name]
    assert [inner(path) for path in net.taps] == taps
    assert list(net.channels(net.taps).values()) == channels
    units = [inner(path) for path in net.gate_positions["units"]]
    assert units[: len(gates)] == gates
    assert not any(word in path for path in units for word in ("squeeze", "excite", "classes", "fc1", "fc2", "attn"))


@pytest.mark.parametrize("name", NETS)
def test_features_at_taps_are_what_a_hook_on_the_net_sees(nets: Any, name: str, images: torch.Tensor) -> None:
    module, net = nets[name]
    with torch.no_grad():
        given, seen = net.observe(images, net.taps)
    for path in net.taps:
        expected: list[torch.Tensor] = []
        plain = hooked(module, inner(path), lambda _m, _i, out, kept=expected: kept.append(out.clone()), images)
        torch.testing.assert_close(given, plain, atol=1e-5, rtol=1e-5)
        output = expected[0]
        last = output.ndim == 3 or (name == "swin" and path != net.taps[-1])
        positions = tuple(range(1, output.ndim - 1)) if last else tuple(range(2, output.ndim))
        mean = output.mean(positions) if positions else output
        torch.testing.assert_close(pool(seen[path]), mean, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_a_gated_pass_is_one_with_channels_set_to_zero_by_hand(nets: Any, name: str, images: torch.Tensor) -> None:
    module, net = nets[name]
    units = net.gate_positions["units"]
    for path in {units[0], units[len(units) // 2], units[-1]}:
        count = net.channels([path])[path]
        gate = (torch.arange(count) % 3 > 0).float()[None]

        def zeroed(_module: nn.Module, _inputs: Any, output: torch.Tensor, gate: torch.Tensor = gate) -> torch.Tensor:
            output = output.clone()
            last = output.ndim == 3 or (output.ndim == 4 and name in ("swin", "convnext"))
            (output if last else output.movedim(1, -1))[..., gate[0] == 0] = 0
            return output

        expected = hooked(module, inner(path), zeroed, images)
        with torch.no_grad():
            given = net.observe(images, (), {path: gate})[0]
            ungated = net(images)
        torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(given, ungated, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_the_head_maps_penultimate_features_to_the_logits(nets: Any, name: str, images: torch.Tensor) -> None:
    _, net = nets[name]
    assert has_head(net) is (name not in HEADLESS)
    if has_head(net):
        with torch.no_grad():
            given, seen = net.observe(images, [PENULTIMATE])
            torch.testing.assert_close(net.head(seen[PENULTIMATE]), given, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["functional", "vit", "swin"])
def test_taps_and_gates_have_gradients(nets: Any, name: str, images: torch.Tensor) -> None:
    _, net = nets[name]
    path = net.gate_positions["units"][0]
    gate = torch.ones(1, net.channels([path])[path], requires_grad=True)
    x = images.clone().requires_grad_()
    out, seen = net.observe(x, net.taps, {path: gate})
    total = out[:, 0].sum() + sum(pool(seen[tap])[:, 0].sum() for tap in net.taps)
    gradients = torch.autograd.grad(total, [x, gate])
    assert all(bool(gradient.any()) for gradient in gradients)


def test_wrapping_leaves_the_net_and_all_generators_as_they_were() -> None:
    module = made("functional").train()
    before, state = {k: v.clone() for k, v in module.state_dict().items()}, torch.get_rng_state()
    net = Classifier.wrap(module, classes=10, shape=SHAPE)
    assert module.training
    assert net.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in (*module.modules(), *net.modules()))
    assert torch.equal(net.state_dict()["net.wrapped.module.norm.running_mean"], before["norm.running_mean"])
