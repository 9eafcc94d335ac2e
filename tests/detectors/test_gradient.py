"""What a detector offers an attacker who knows it: its own numbers in torch, with a true gradient."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.attacks.presets import build
from subnetbench.attacks.verify import craft
from subnetbench.bench.adaptive.honest import Trial, gradient_of, same_numbers, useful
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.models.cifar import resnet18, wide7
from subnetbench.bench.models.classifier import Classifier
from subnetbench.bench.views import View
from torch import nn

#: Every detector of ours that offers a gradient as it is; feature squeezing rounds, unless it is told not to.
OFFERING = [
    name
    for name in detectors
    if detectors.is_ours(name) and hasattr(detectors.get(name), "differentiable") and name != "feature-squeezing"
]
#: What parameters change in the numbers.
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in OFFERING),
    ("feature-squeezing", {"squeezers": ["median 2"]}),
    ("energy", {"temperature": 3.0}),
    ("kd-pu", {"bandwidth": "0.25 median", "passes": 7, "train_per_class": 30}),
    ("lid", {"k": 10, "taps": ["conv2", "conv4"]}),
    ("mahalanobis", {"taps": ["conv3"]}),
    ("subnet-mahalanobis", {"classes": "top-k", "k": 3}),
    ("subnet-mahalanobis", {"classes": "all", "taps": ["conv4", "conv1"]}),
    ("subnet-mahalanobis-identity", {"classes": "predicted"}),
]
#: Pre-processing is checked with the contract (`test_conformance`), but for what it does not reach.
MOVED: list[tuple[str, dict[str, Any]]] = [
    ("mahalanobis-both", {"magnitude": 0.002}),
    ("subnet-mahalanobis", {"magnitude": 0.002, "classes": "all"}),
    ("subnet-mahalanobis", {"magnitude": 0.002, "classes": "top-k"}),
]


def named(case: tuple[str, dict[str, Any]]) -> str:
    return " ".join([case[0], *(f"{name}={value}" for name, value in case[1].items())])


@pytest.fixture(scope="session")
def kinds(net: Classifier, dataset: Dataset) -> dict[str, torch.Tensor]:
    """Clean, noisy and adversarial images, 64 together and 64 adversarial ones."""
    clean, labels = dataset.test.tensor(slice(0, 64)), dataset.test.labels[:64]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    fgsm = build("fgsm", "foolbox", "standard", {"epsilon": 0.2})
    adversarial = craft(fgsm, net, clean, labels, seed=0, name="fgsm")
    noisy = (clean + 0.15 * noise).clamp(0, 1)
    return {"mixed": torch.cat([clean[:22], noisy[22:43], adversarial[43:]]), "adversarial": adversarial}


def trial(detector: Any, net: Classifier, images: torch.Tensor) -> Trial:
    return Trial(detector, detector.differentiable(net), net, images, {})


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_detector_offers_its_own_numbers_with_a_true_gradient(
    case: tuple[str, dict[str, Any]], net: Classifier, train_view: View, kinds: dict[str, torch.Tensor]
) -> None:
    detector = detectors.get(case[0])(**case[1]).fit(train_view)
    smooth, reason = gradient_of(detector, net, kinds["mixed"])
    assert smooth is not None, reason
    attacked = trial(detector, net, kinds["adversarial"])
    assert same_numbers(attacked).startswith("numbers agree to ")
    assert useful(attacked).endswith(" on 100% of the images")


@pytest.mark.parametrize("case", [*CASES, *MOVED], ids=named)
def test_the_numbers_are_equal_far_below_what_is_asked(
    case: tuple[str, dict[str, Any]], net: Classifier, train_view: View, kinds: dict[str, torch.Tensor]
) -> None:
    detector = detectors.get(case[0])(**case[1]).fit(train_view)
    for images in kinds.values():
        expected = detector.characteristics(View(net, images, key="x"))
        with torch.no_grad():
            values = detector.differentiable(net)(images)
        assert values.dtype == torch.float64
        # Gated passes of whole batches round otherwise in float32 than a subnet that is cut out of the net.
        bound = 1e-5 if case[0] in ("subnet-mahalanobis", "subnet-mahalanobis-random") else 1e-10
        np.testing.assert_allclose(values.numpy(), expected, rtol=bound, atol=1e-14)  # the log of a ratio near 1


def small_nets() -> dict[str, Classifier]:
    """Nets for CIFAR, small; and one with dropout of its own. Their weights are drawn, their statistics too."""

    def dropping() -> Classifier:
        stages = OrderedDict(
            conv=nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Dropout2d(0.3)),
            pool=nn.AdaptiveAvgPool2d(2),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.5),
            head=nn.Linear(32, 10),
        )
        return Classifier(
            nn.Sequential(stages),
            mean=(0.5,) * 3,
            std=(0.2,) * 3,
            taps=("conv",),
            gate_positions={"units": ("conv",)},
            classes=10,
            shape=(3, 16, 16),
        )

    torch.manual_seed(0)
    nets = {"wide7": wide7(shape=(3, 16, 16), widths=(8, 12, 24)), "resnet18": resnet18(shape=(3, 16, 16), width=4)}
    nets["dropout"] = dropping()
    for net in nets.values():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0.5, 0.3)
        net.train()
        with torch.no_grad():
            for _ in range(20):
                net(torch.rand(64, 3, 16, 16))
        net.eval()
    return nets


@pytest.fixture(scope="session")
def trained() -> dict[str, View]:
    """Views of random training images of each small net, with gates at its units."""
    generator = torch.Generator().manual_seed(2)
    views = {}
    for name, net in small_nets().items():
        channels = net.channels(net.gated_paths("units"))
        gates = {path: (torch.rand(10, n, generator=generator) < 0.8).float() for path, n in channels.items()}
        images = torch.rand(400, 3, 16, 16, generator=generator)
        views[name] = View(net, images, key=name, labels=np.arange(400) % 10, gates={"learned": gates})
    return views


@pytest.mark.parametrize("name", OFFERING)
@pytest.mark.parametrize("net", ["wide7", "resnet18", "dropout"])
def test_it_holds_on_nets_of_every_form(name: str, net: str, trained: dict[str, View]) -> None:
    train = trained[net]
    parameters = {"bandwidth": "0.5 median", "passes": 5} if name == "kd-pu" else {}
    detector = detectors.get(name)(**parameters).fit(train)
    images = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    smooth, reason = gradient_of(detector, train.classifier, images)
    assert smooth is not None, reason


@pytest.mark.parametrize("case", [*CASES, *MOVED], ids=named)
def test_every_module_sees_the_whole_batch_in_its_order(
    case: tuple[str, dict[str, Any]], net: Classifier, train_view: View, kinds: dict[str, torch.Tensor]
) -> None:
    """So that the function also holds on a net that gives every image a last layer of its own."""
    smooth = detectors.get(case[0])(**case[1]).fit(train_view).differentiable(net)
    images, sizes, orders = kinds["mixed"][:30], [], []

    def watch(_module: nn.Module, inputs: Any) -> None:
        sizes.append(len(inputs[0]))
        orders.append(inputs[0].detach())

    handle = net.net[0].register_forward_pre_hook(watch)
    others = [module.register_forward_pre_hook(lambda _, x: sizes.append(len(x[0]))) for module in net.net[1:]]
    try:
        smooth(images)
    finally:
        for hook in (handle, *others):
            hook.remove()
    assert set(sizes) == {30}
    plain = (images - net.mean) / net.std
    if case[0] not in ("odds", "feature-squeezing"):  # which ask the net of changed images
        assert all(float((x - plain).abs().max()) < 0.002 / 0.35 + 1e-4 for x in orders)  # moved by m at most
    with torch.no_grad():
        torch.testing.assert_close(smooth(images)[:20], smooth(images[:20]), rtol=1e-3, atol=1e-4)


def test_all_taps_of_mahalanobis_come_from_one_pass(net: Classifier, train_view: View, test_view: View) -> None:
    smooth = detectors.get("mahalanobis-both")().fit(train_view).differentiable(net)
    calls: list[int] = []
    handle = net.net[0].register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        smooth(test_view.images)
    finally:
        handle.remove()
    assert len(calls) == 1


class HeadOfItsOwn(nn.Linear):
    """Every image of a batch has a last layer of its own."""

    def __init__(self, like: nn.Linear, count: int) -> None:
        super().__init__(like.in_features, like.out_features)
        generator = torch.Generator().manual_seed(4)
        noise = torch.randn(count, *like.weight.shape, generator=generator)
        self.weights = nn.Parameter(like.weight.detach() + 0.05 * noise)
        self.load_state_dict({"weight": like.weight, "bias": like.bias}, strict=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ncd,nd->nc", self.weights, features) + self.bias


@pytest.mark.parametrize("name", ["max-softmax", "energy", "kd-pu", "mahalanobis-both", "subnet-mahalanobis"])
def test_on_a_net_with_a_head_for_each_image_row_i_is_that_of_image_i_and_its_head(
    name: str, dataset: Dataset, net: Classifier, train_view: View
) -> None:
    parameters = {"bandwidth": "0.5 median"} if name == "kd-pu" else {}
    detector = detectors.get(name)(**parameters).fit(train_view)
    images = dataset.test.tensor(slice(0, 6))
    many = twin_of(net)
    head = HeadOfItsOwn(net.head, 6)
    many.net[-1] = head
    values = detector.differentiable(many)(images)
    for row in range(6):
        alone = twin_of(net)
        alone.net[-1].load_state_dict({"weight": head.weights[row].detach(), "bias": head.bias})
        expected = detector.differentiable(alone)(images[row : row + 1])
        torch.testing.assert_close(values[row : row + 1], expected, rtol=1e-3, atol=1e-4)


def twin_of(net: Classifier) -> Classifier:
    twin = copy.deepcopy(net)
    twin.__dict__.pop("head", None)  # found again: the last layer is about to change
    return twin


def test_lid_beside_its_parents_offers_none(net: Classifier, train_view: View, test_view: View) -> None:
    detector = detectors.get("lid")(reference="parents").fit(train_view)
    assert detector.differentiable(net) is None
    assert "attacked through a surrogate" in gradient_of(detector, net, test_view.images)[1]


def test_an_image_that_is_its_own_neighbour_has_a_gradient_of_0_and_not_nan(net: Classifier, train_view: View) -> None:
    detector = detectors.get("lid")(batch_size=100).fit(train_view)
    index = np.sort(np.random.default_rng(0).permutation(len(train_view))[:100])
    x = train_view.images[torch.from_numpy(index[:10])].clone().requires_grad_()
    values = detector.differentiable(net)(x)
    (gradient,) = torch.autograd.grad(values.sum(), x)
    assert torch.isfinite(gradient).all()
    assert (values == 0).any()


@pytest.mark.parametrize("name", OFFERING)
def test_before_a_fit_there_is_nothing_to_differentiate(name: str, net: Classifier) -> None:
    with pytest.raises(UserError, match="before it was fitted"):
        detectors.get(name)().differentiable(net)


def test_a_step_along_the_gradient_raises_the_score(net: Classifier, train_view: View, test_view: View) -> None:
    """The gradient is worth following: the detector's own code agrees."""
    detector = detectors.get("mahalanobis")().fit(train_view)
    x = test_view.images.clone().requires_grad_()
    total = detector.differentiable(net)(x).sum()
    (gradient,) = torch.autograd.grad(total, x)
    moved = (test_view.images + 0.005 * gradient.sign()).clamp(0, 1)
    after = detector.characteristics(View(net, moved, key="moved")).sum(1)
    assert (after > detector.characteristics(test_view).sum(1)).mean() > 0.95
