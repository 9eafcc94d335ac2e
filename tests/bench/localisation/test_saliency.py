"""Maps are what their formulas say, gates and shared or functional ReLUs included, and depend on nothing else."""

from __future__ import annotations

import copy
import math
import warnings
from collections import OrderedDict

import captum.attr
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from subnetbench.bench.core import registry
from subnetbench.bench.core.device import has_fast_bf16
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.localisation.attribution import drawn
from subnetbench.bench.localisation.contract import SaliencyInfo
from subnetbench.bench.localisation.gradcam import gradcam_layer
from subnetbench.bench.localisation.net import AttributionNet, attribution_net
from subnetbench.bench.models.cifar import BasicBlock, digits_cnn, wide7
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.models.efficientnet import Ceiling
from subnetbench.bench.models.tiny_imagenet import alexnet64, bottleneck64, vgg64
from subnetbench.bench.models.torchvision import alexnet, resnet50, vgg16
from subnetbench.bench.models.trace import sketch_of
from torch import nn
from torchvision.models.resnet import Bottleneck

METHODS = ("deconv", "grad-cam", "guided-bp", "input-x-gradient", "int-grad", "saliency", "smooth-grad")
SHAPE = (3, 6, 6)


def method(name, **parameters):
    if name == "int-grad":
        parameters.setdefault("steps", 10)
    return registry.saliency.get(name)(**parameters)


def classifier(*stages, shape=SHAPE, classes=4, seed=0, positions=None):
    """A net of these stages, named or not, all weights and BatchNorm statistics drawn, in no trivial normalisation."""
    named = OrderedDict(s if isinstance(s, tuple) else (f"s{i}", s) for i, s in enumerate(stages))
    net = Classifier(
        nn.Sequential(named),
        mean=(0.4,) * shape[0],
        std=(0.3,) * shape[0],
        taps=(),
        gate_positions=positions or {},
        classes=classes,
        shape=shape,
    )
    return drawn_anew(net, seed)


def drawn_anew(net, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for module in net.net.modules():
        for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if tensor.is_floating_point():
                drawn = torch.randn(tensor.shape, generator=generator)
                scale = 1 / math.sqrt(tensor[0].numel()) if tensor.ndim > 1 else 0.3
                shift = 0.0 if isinstance(module, nn.Conv2d | nn.Linear) or name in ("bias", "running_mean") else 1.0
                tensor.data = (drawn * scale + shift).abs() if shift else drawn * scale
    return net.eval()


def images_of(net, count=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, *net.shape, generator=generator)
    return images, torch.arange(count) % net.classes


def run(name, net, images, targets, *, seed=0, ids=None, **parameters):
    ids = torch.arange(len(images)) + 100 if ids is None else ids
    return method(name, **parameters)(net, images, targets, ids=ids, seed=seed)


def small(**more):
    """Convolution, BatchNorm, ReLU; the same again behind a pool; a head."""
    stages = [
        ("one", nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())),
        ("pool1", nn.MaxPool2d(2)),
        ("two", nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("head", nn.Linear(8, 4)),
    ]
    return classifier(*stages, **more)


def light(make, size):
    """One of torchvision's nets, its fully connected layers cut to 8 units: initialising them takes seconds."""
    with torch.device("meta"):
        own = make(classes=4, shape=(3, size, size))
    inputs = None
    for name, module in list(own.net.named_children()):
        if isinstance(module, nn.Linear):
            outputs = min(8, module.out_features)
            setattr(own.net, name, nn.Linear(inputs or module.in_features, outputs, device="meta"))
            inputs = outputs
    own.to_empty(device="cpu")
    own.mean.fill_(0.45)
    own.std.fill_(0.25)
    return drawn_anew(own)


def rows_of(net, paths, seed=3):
    """Gates of which about half are 0 and none is 1."""
    generator = torch.Generator().manual_seed(seed)
    return {
        path: 2 * torch.rand(count, generator=generator) * (torch.rand(count, generator=generator) > 0.5)
        for path, count in net.channels(paths).items()
    }


def true_gradient(net, images, targets, row=None):
    """In normalised space, by autograd through the classifier itself."""
    images = images.clone().requires_grad_()
    logits, _ = net.observe(images, (), {path: gate[None] for path, gate in (row or {}).items()})
    return torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), images)[0] * net.std


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


# -- closed forms -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def linear():
    return classifier(nn.Flatten(), nn.Linear(108, 4))


def test_of_a_linear_net_saliency_is_its_weights(linear):
    images, targets = images_of(linear)
    weight = linear.net[1].weight[targets].detach().view(3, *SHAPE)
    close(run("saliency", attribution_net(linear), images, targets), weight.abs().amax(1))


@pytest.mark.parametrize("name", ["input-x-gradient", "int-grad"])
def test_of_a_linear_net_input_times_gradient_and_the_integral_are_weight_times_normalised_input(linear, name):
    images, targets = images_of(linear)
    weight = linear.net[1].weight[targets].detach().view(3, *SHAPE)
    close(run(name, attribution_net(linear), images, targets), (weight * (images - 0.4) / 0.3).abs().amax(1))


@pytest.mark.parametrize(("magnitude", "power"), [(True, 2), (False, 1)])
def test_of_a_linear_net_smooth_grad_is_the_weight_or_its_square(linear, magnitude, power):
    images, targets = images_of(linear)
    weight = linear.net[1].weight[targets].detach().view(3, *SHAPE)
    found = run("smooth-grad", attribution_net(linear), images, targets, magnitude=magnitude)
    close(found, weight.abs().amax(1) ** power)


def test_integrated_gradients_sum_to_the_change_of_the_logit():
    own = small()
    net, (images, targets) = attribution_net(own), images_of(own)
    found = method("int-grad", steps=2000).attributions(net, images, targets, torch.arange(3), 0)
    x = net.normalise(images)
    change = (net(x) - net(torch.zeros_like(x))).gather(1, targets[:, None]).flatten()
    torch.testing.assert_close(found.flatten(1).sum(1), change, rtol=0.01, atol=0.003)


def test_input_times_gradient_is_captums():
    own = small()
    net, (images, targets) = attribution_net(own), images_of(own)
    x = net.normalise(images).requires_grad_()
    expected = captum.attr.InputXGradient(net).attribute(x, target=targets)
    close(run("input-x-gradient", net, images, targets), expected.detach().abs().amax(1))


def rectified(gated):
    """One 1x1 convolution of one channel to six, ReLU, linear: whose rules fit on a line. With its parts and a gate."""
    own = classifier(
        ("conv", nn.Conv2d(1, 6, 1)),
        ("relu", nn.ReLU(inplace=True)),
        ("flat", nn.Flatten()),
        ("head", nn.Linear(24, 4)),
        shape=(1, 2, 2),
    )
    gate = torch.tensor([0.0, 0.3, 2.0, 1.0, 0.0, 0.7]) if gated else torch.ones(6)
    images, targets = images_of(own)
    hidden = own.net.conv((images - 0.4) / 0.3).detach()
    above = own.net.head.weight.detach()[targets].view(3, 6, 2, 2) * gate.view(6, 1, 1)
    down = own.net.conv.weight.detach().view(6, 1, 1)
    net = attribution_net(own, {"relu": gate} if gated else None)
    return net, images, targets, hidden, above, down


@pytest.mark.parametrize("gated", [False, True])
def test_guided_backprop_passes_back_what_is_positive_where_the_input_was(gated):
    net, images, targets, hidden, above, down = rectified(gated)
    expected = (down * above.clamp(min=0) * (hidden > 0)).sum(1).abs()
    close(run("guided-bp", net, images, targets), expected)


@pytest.mark.parametrize("gated", [False, True])
def test_deconvolution_passes_back_what_is_positive_wherever_the_input_was(gated):
    net, images, targets, _, above, down = rectified(gated)
    close(run("deconv", net, images, targets), (down * above.clamp(min=0)).sum(1).abs())


@pytest.mark.parametrize("gated", [False, True])
def test_grad_cam_weighs_channels_by_their_mean_gradient(gated):
    net, images, targets, hidden, above, _ = rectified(gated)
    # `above` holds the gate, which belongs to the activation: the layer's output is the gated one.
    gate = torch.tensor([0.0, 0.3, 2.0, 1.0, 0.0, 0.7]) if gated else torch.ones(6)
    bare = torch.where(gate.view(6, 1, 1) > 0, above / gate.clamp(min=1e-9).view(6, 1, 1), 0)
    activation = hidden.clamp(min=0) * gate.view(6, 1, 1)
    expected = (bare.mean((2, 3), keepdim=True) * activation).sum(1).clamp(min=0)
    close(run("grad-cam", net, images, targets), expected)


def test_grad_cam_is_enlarged_bilinearly_to_the_images_size():
    own = small()
    net, (images, targets) = attribution_net(own), images_of(own)
    _, seen = own.observe(images, ("two",))
    weight = own.net.head.weight.detach()[targets][:, :, None, None] / 9
    coarse = (weight * seen["two"].detach()).sum(1, keepdim=True).clamp(min=0)
    expected = F.interpolate(coarse, (6, 6), mode="bilinear", align_corners=False)[:, 0]
    assert expected.max() > 0
    close(run("grad-cam", net, images, targets), expected)


def test_grad_cam_at_a_convolution_sees_its_output_and_not_that_of_its_batchnorm():
    own = small()
    net, (images, targets) = attribution_net(own), images_of(own)
    assert "two.0" in net.folded
    logits, seen = own.observe(images, ("two.0",))
    grad = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), seen["two.0"])[0]
    coarse = (grad.mean((2, 3), keepdim=True) * seen["two.0"]).sum(1, keepdim=True).clamp(min=0).detach()
    expected = F.interpolate(coarse, (6, 6), mode="bilinear", align_corners=False)[:, 0]
    assert expected.max() > 0
    close(run("grad-cam", net, images, targets, layer="two.0"), expected)


# -- smooth-grad's noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("magnitude", "kind"), [(True, "smoothgrad_sq"), (False, "smoothgrad")])
def test_smooth_grad_is_captums_noise_tunnel_fed_with_the_same_noise(monkeypatch, magnitude, kind):
    own = small()
    net, (images, targets) = attribution_net(own), images_of(own, 1)
    found = run("smooth-grad", net, images, targets, magnitude=magnitude, seed=5)
    monkeypatch.setattr(torch, "normal", lambda mean, deviation: deviation * drawn(5, 100, tuple(deviation.shape)))
    x = net.normalise(images).requires_grad_()
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(net))
    spread = 0.15 * float((x.max() - x.min()).detach())
    expected = tunnel.attribute(x, nt_type=kind, nt_samples=25, stdevs=spread, target=targets, abs=False)
    close(found, expected.detach().abs().amax(1))


def test_noise_belongs_to_a_seed_and_an_image():
    own = small()
    net, (images, targets) = attribution_net(own), images_of(own, 2)
    one = run("smooth-grad", net, images, targets, seed=0)
    assert torch.equal(one, run("smooth-grad", net, images, targets, seed=0))
    assert not torch.allclose(one, run("smooth-grad", net, images, targets, seed=1))
    same = run("smooth-grad", net, images[[0, 0]], targets[[0, 0]], ids=torch.tensor([7, 8]))
    assert not torch.allclose(same[0], same[1])
    assert abs(float(drawn(0, -3, (50_000,)).std()) - 1) < 0.02


# -- gates, and ReLUs of every kind -----------------------------------------------------------------------------------


def residual(**more):
    return classifier(
        ("stem", nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())),
        ("block", BasicBlock(6, 8, 2)),
        ("last", BasicBlock(8, 8, 1)),
        ("pool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("head", nn.Linear(8, 4)),
        **more,
    )


CASES = {
    "units of a chain": (small, ("one", "two")),
    "convolutions before BatchNorm": (small, ("one.0", "two.0")),
    "ReLUs": (small, ("one.2", "two.2")),
    "a unit and its own ReLU": (small, ("one", "one.2")),
    "the last unit alone": (small, ("two",)),
    "blocks with shortcuts": (residual, ("stem", "block", "last")),
    "inside of blocks": (residual, ("block.body.2", "last.relu")),
    "pool between convolution and BatchNorm": (lambda: drawn_anew(digits_cnn(width=6)), ("conv1", "conv3", "conv4")),
    "several pixels before the head": (lambda: drawn_anew(alexnet64(classes=4, hidden=8)), ("conv1", "conv4", "conv5")),
    "a factor before the head": (lambda: drawn_anew(wide7(classes=4, widths=(4, 6, 8))), ("conv2a", "conv3b")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_subnets_logits_and_gradients_are_those_of_the_gated_classifier(case):
    make, paths = CASES[case]
    own = make()
    row, (images, targets) = rows_of(own, paths), images_of(own)
    net = attribution_net(own, row)
    expected, _ = own.observe(images, (), {path: gate[None] for path, gate in row.items()})
    close(net(net.normalise(images)).detach(), expected.detach())
    close(run("saliency", net, images, targets), true_gradient(own, images, targets, row).abs().amax(1))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("make", [small, lambda: drawn_anew(vgg64(classes=4, widths=(4, 6, 8, 10), hidden=8))])
def test_channels_that_are_not_computed_change_no_map(monkeypatch, make, name):
    own = make()
    paths = [path for path in ("one", "two", "conv1_1", "conv3_2", "conv4_2") if path in dict(own.net.named_modules())]
    row, (images, targets) = rows_of(own, paths), images_of(own)
    short = attribution_net(own, row)
    monkeypatch.setattr("subnetbench.bench.localisation.net.cut", lambda net, gates, sketch: {})
    whole = attribution_net(own, row)
    weights = [sum(parameter.numel() for parameter in net.parameters()) for net in (short, whole)]
    assert weights[0] < weights[1]
    expected = run(name, whole, images, targets)
    assert expected.abs().sum() > 0
    close(run(name, short, images, targets), expected)


def test_a_subnet_without_a_channel_left_still_gives_a_map():
    own = small()
    images, targets = images_of(own)
    net = attribution_net(own, {"one": torch.zeros(8)})
    assert run("saliency", net, images, targets).eq(0).all()


def test_a_gate_for_another_net_is_refused_by_name():
    with pytest.raises(UserError, match=r"'one'.*\(5,\).*8 channels"):
        attribution_net(small(), {"one": torch.ones(5)})
    with pytest.raises(UserError, match="'three'"):
        attribution_net(small(), {"three": torch.ones(8)})


class Shared(nn.Module):
    """One nn.ReLU for two parallel branches, whose input a shortcut reads too."""

    def __init__(self, width: int, shared: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.relu = nn.ReLU()
        if not shared:
            self.second, self.third = nn.ReLU(), nn.ReLU()
        self.shared = shared

    def forward(self, x):
        second, third = (self.relu, self.relu) if self.shared else (self.second, self.third)
        hidden = self.a(x)
        out = self.relu(hidden) * 2 + second(self.b(x)) + hidden.view_as(hidden)
        return third(out)


def by_hand(own, images, targets, guided):
    """Guided Backprop or Deconvolution with the rule written into the backward pass of every ReLU."""

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad.clamp(min=0) * (x > 0) if guided else grad.clamp(min=0)

    class Ruled(nn.Module):
        def forward(self, x):
            return Rule.apply(x)

    net = copy.deepcopy(own)
    for module in list(net.modules()):
        for name, child in list(module._modules.items()):  # named_children leaves out one that comes twice
            if isinstance(child, nn.ReLU):
                setattr(module, name, Ruled())
    return true_gradient(net, images, targets).abs().amax(1)


def with_block(block, width=8):
    return classifier(
        ("stem", nn.Conv2d(3, width, 3, padding=1)),
        ("block", block),
        ("pool", nn.AdaptiveAvgPool2d(2)),
        ("flatten", nn.Flatten()),
        ("head", nn.Linear(4 * width, 4)),
    )


BLOCKS = {
    "a ReLU in parallel branches": lambda: Shared(8, shared=True),
    "three ReLUs and a second reader": lambda: Shared(8, shared=False),
    "torchvision's bottleneck": lambda: Bottleneck(8, 2),
    "the same ReLU twice in a sequence": lambda: (lambda r: nn.Sequential(r, nn.Conv2d(8, 8, 1), r))(nn.ReLU()),
    "ReLUs in place": lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(8, 8, 1), nn.ReLU(inplace=True)),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("name", "guided"), [("guided-bp", True), ("deconv", False)])
def test_rules_hold_at_each_call_of_a_relu(block, name, guided):
    own = with_block(BLOCKS[block]())
    images, targets = images_of(own)
    close(run(name, attribution_net(own), images, targets), by_hand(own, images, targets, guided))


@pytest.mark.parametrize("name", METHODS)
def test_a_pass_that_failed_halfway_leaves_the_next_one_right(name):
    own = with_block(Shared(8, shared=True))
    net, (images, targets) = attribution_net(own), images_of(own)
    expected = run(name, net, images, targets)
    for module in net.modules():
        if hasattr(module, "next"):
            module.next += 1
    close(run(name, attribution_net(own), images, targets), expected)
    close(run(name, net, images.clone(), targets), expected)


class Functional(nn.Module):
    def __init__(self, call) -> None:
        super().__init__()
        self.conv, self.call = nn.Conv2d(8, 8, 1), call

    def forward(self, x):
        return self.call(self.conv(x))


CALLS = {
    "torch.relu": torch.relu,
    "F.relu": F.relu,
    "in place": lambda x: F.relu(x, inplace=True),
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["guided-bp", "deconv"])
def test_a_functional_relu_is_found_and_the_rules_for_relus_refuse_it_by_name(call, name):
    own = with_block(nn.Sequential(nn.ReLU(), Functional(CALLS[call])))
    assert sketch_of(own.net, own.shape).functional == ["block.1"]
    net, (images, targets) = attribution_net(own), images_of(own)
    with pytest.raises(UserError, match=r"'block\.1'.*nn\.ReLU\(\)"):
        run(name, net, images, targets)
    close(run("saliency", net, images, targets), true_gradient(own, images, targets).abs().amax(1))


@pytest.mark.parametrize("make", [small, residual, lambda: with_block(Bottleneck(8, 2))])
def test_a_relu_module_is_no_functional_one(make):
    own = make()
    assert sketch_of(own.net, own.shape).functional == []


@pytest.mark.parametrize("kind", [nn.SiLU, nn.GELU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.Hardswish, nn.PReLU])
def test_rules_for_relus_refuse_other_activations_by_name(kind):
    own = with_block(nn.Sequential(nn.ReLU(), nn.Conv2d(8, 8, 1), kind()))
    net, (images, targets) = attribution_net(own), images_of(own)
    with pytest.raises(UserError, match=rf"'block\.2'.*{kind.__name__}"):
        run("guided-bp", net, images, targets)
    close(run("saliency", net, images, targets), true_gradient(own, images, targets).abs().amax(1))


def test_a_ceiling_behind_a_relu_and_a_sigmoid_are_left_as_they_are():
    own = with_block(nn.Sequential(nn.ReLU(), Ceiling(), nn.Conv2d(8, 8, 1), nn.Sigmoid()))
    images, targets = images_of(own)
    close(run("guided-bp", attribution_net(own), images, targets), by_hand(own, images, targets, guided=True))


def test_rules_for_relus_refuse_a_net_without_one(linear):
    images, targets = images_of(linear)
    with pytest.raises(UserError, match="has none"):
        run("deconv", attribution_net(linear), images, targets)


# -- Grad-CAM's layer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (lambda: light(alexnet, 64), "relu5"),  # pool5 leaves one pixel of 64
        (lambda: light(alexnet, 224), "pool5"),
        (lambda: light(vgg16, 64), "pool5"),
        (lambda: light(resnet50, 64), "layer4"),
        (digits_cnn, "conv4"),
        (lambda: wide7(widths=(4, 4, 4)), "conv3b"),
        (alexnet64, "pool5"),
        (vgg64, "pool4"),
        (bottleneck64, "layer3"),
        (residual, "last"),
        (lambda: with_block(Bottleneck(8, 2)), "block"),
    ],
)
def test_grad_cams_layer_is_the_last_map_before_the_pool(make, layer):
    assert gradcam_layer(attribution_net(make())) == layer


def test_a_net_without_a_convolution_has_no_grad_cam_unless_a_map_is_named(linear):
    images, targets = images_of(linear)
    with pytest.raises(UserError, match="convolution"):
        run("grad-cam", attribution_net(linear), images, targets)
    pooled = classifier(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(27, 4))
    assert run("grad-cam", attribution_net(pooled), images, targets, layer="s0").max() > 0


@pytest.mark.parametrize(("layer", "reason"), [("three", "is no module that runs"), ("head", r"\(4,\) an image"),
                                               ("block.relu", "runs 3 times")])  # fmt: skip
def test_a_layer_that_has_no_map_is_refused_by_name(layer, reason):
    own = with_block(Bottleneck(8, 2))
    images, targets = images_of(own)
    with pytest.raises(UserError, match=f"'{layer}' .*{reason}"):
        run("grad-cam", attribution_net(own), images, targets, layer=layer)


# -- what a map depends on, and what it leaves behind -----------------------------------------------------------------


def test_every_method_of_the_table_is_registered_and_says_where_it_comes_from():
    assert {name for name in registry.saliency if registry.saliency.is_ours(name)} == set(METHODS)
    for name in METHODS:
        info = registry.saliency.get(name).info
        assert isinstance(info, SaliencyInfo)
        assert 2013 < info.year < 2018
        assert info.url.startswith("https://arxiv.org/abs/")
        assert info.title
        assert info.formula


def test_parameters_are_the_authors_unless_they_are_given():
    assert registry.saliency.get("int-grad")().parameters["steps"] == 100
    assert method("smooth-grad", samples=3).parameters == {
        "samples": 3,
        "sigma": 0.15,
        "magnitude": True,
        "inner_batch": 64,
        "bf16": False,
    }
    assert registry.saliency.get("smooth-grad")().parameters["samples"] == 25
    assert method("grad-cam", layer="one").parameters["layer"] == "one"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("smooth-grad", {"samples": 0}),
        ("smooth-grad", {"sigma": -1}),
        ("int-grad", {"steps": 1}),
        ("saliency", {"inner_batch": 0}),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(name, values):
    with pytest.raises(UserError, match=next(iter(values))):
        registry.saliency.get(name)(**values)


@pytest.mark.parametrize("make", [small, residual])
@pytest.mark.parametrize("name", METHODS)
def test_a_map_does_not_depend_on_its_neighbours_nor_on_inner_batches(name, make):
    own = make()
    net, (images, targets), ids = attribution_net(own), images_of(own, 7), torch.tensor([3, 1, 4, 15, 9, 2, 6])
    together = run(name, net, images, targets, ids=ids)
    assert together.shape == (7, 6, 6)
    assert together.dtype == torch.float32
    assert (together >= 0).all()
    assert together.amax((1, 2)).median() > 0  # Grad-CAM may see nothing of a class
    scale = float(together.max())
    order = torch.tensor([4, 0, 6, 2, 1, 5, 3])
    permuted = run(name, net, images[order], targets[order], ids=ids[order])
    torch.testing.assert_close(permuted, together[order], rtol=1e-4, atol=1e-5 * scale)
    alone = torch.cat([run(name, net, images[[i]], targets[[i]], ids=ids[[i]]) for i in range(7)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5 * scale)
    pieces = run(name, net, images, targets, ids=ids, inner_batch=2)
    torch.testing.assert_close(pieces, together, rtol=1e-4, atol=1e-5 * scale)


class NanIfWhite(nn.Module):
    def forward(self, x):
        return x * torch.where(x.mean((1, 2, 3), keepdim=True) > 1.9, torch.nan, 1.0)


@pytest.mark.parametrize("name", METHODS)
def test_nan_is_passed_on_for_its_own_image_alone(name):
    own = classifier(NanIfWhite(), *small().net)
    images, targets = images_of(own)
    images[1] = 1
    found = run(name, attribution_net(own), images, targets)
    assert found[1].isnan().all()
    assert found[[0, 2]].isfinite().all()


@pytest.mark.parametrize("name", METHODS)
def test_a_method_leaves_no_hook_no_warning_and_no_random_state_behind(name):
    own = residual()
    own.train()
    before = copy.deepcopy(own.state_dict())
    net, (images, targets) = attribution_net(own), images_of(own)
    given = images.clone()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = run(name, net, images, targets)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    for module in [*net.modules(), *own.modules()]:
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert all(parameter.requires_grad for parameter in own.parameters())
    assert own.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in own.state_dict().items())
    assert torch.equal(images, given)
    assert not images.requires_grad
    assert torch.equal(run(name, net, images.clone(), targets), first)


def test_one_gradient_serves_the_methods_that_need_it_and_no_other_batch():
    own = small()
    net, (images, targets) = attribution_net(own), images_of(own)
    passes = []
    handle = net.net.register_forward_hook(lambda *_: passes.append(1))
    found = {name: run(name, net, images, targets) for name in ("saliency", "input-x-gradient")}
    assert len(passes) == 1
    handle.remove()
    for name, heat in found.items():
        close(heat, run(name, attribution_net(own), images, targets))
    images.mul_(0.5)
    close(run("saliency", net, images, targets), true_gradient(own, images, targets).abs().amax(1))
    targets = targets.flip(0)
    close(run("saliency", net, images, targets), true_gradient(own, images, targets).abs().amax(1))


def test_a_class_that_the_net_does_not_have_is_refused():
    own = small()
    images, _ = images_of(own)
    with pytest.raises(UserError, match="class 4 and the net has 4 classes"):
        run("saliency", attribution_net(own), images, torch.tensor([0, 1, 4]))


@pytest.mark.parametrize("name", METHODS)
def test_no_images_no_maps(name):
    own = small()
    images, targets = images_of(own)
    assert run(name, attribution_net(own), images[:0], targets[:0]).shape == (0, 6, 6)


@pytest.mark.skipif(not has_fast_bf16(torch.device("cpu")), reason="this CPU has no bf16 arithmetic")
@pytest.mark.parametrize("name", METHODS)
def test_maps_in_bf16_agree_with_those_in_float32(name):
    own = drawn_anew(vgg64(classes=4, widths=(8, 8, 16, 16), hidden=16))
    net, (images, targets) = attribution_net(own), images_of(own)
    exact, rough = (run(name, net, images, targets, bf16=bf16).flatten(1) for bf16 in (False, True))
    assert not torch.equal(exact, rough)
    # A wide margin, for weights as drawn: those of trained nets agree better.
    assert ((exact - rough).norm(dim=1) < 0.5 * exact.norm(dim=1)).all()


@pytest.mark.parametrize("make", [alexnet, vgg16, resnet50])
def test_all_methods_run_on_torchvisions_nets(make):
    own = light(make, 64)
    net, (images, targets) = attribution_net(own), images_of(own, 2)
    assert isinstance(net, AttributionNet)
    fewer = {"smooth-grad": {"samples": 2}, "int-grad": {"steps": 2}}
    found = {name: run(name, net, images, targets, **fewer.get(name, {})) for name in METHODS}
    for name, heat in found.items():
        assert heat.shape == (2, 64, 64)
        assert heat.isfinite().all()
        assert name == "grad-cam" or heat.amax((1, 2)).min() > 0
    # Not to the last digit: rounding decides which of two near equal pixels wins a pool.
    expected = true_gradient(own, images, targets).abs().amax(1)
    assert torch.corrcoef(torch.stack([found["saliency"].flatten(), expected.flatten()]))[0, 1] > 0.999
