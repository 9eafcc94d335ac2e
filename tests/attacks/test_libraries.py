"""Foolbox and ART behind one set of parameters."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from subnetbench.attacks import art, foolbox
from subnetbench.attacks.verify import craft, verify
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.models.classifier import Classifier
from torch import nn

from .conftest import Digits

QUICK_CW = {"steps": 25, "step_size": 0.1, "binary_search_steps": 3, "initial_const": 0.1}


def run(attack: Any, digits: Digits, count: int = 24) -> torch.Tensor:
    return craft(attack, digits.classifier, digits.images[:count], digits.labels[:count], seed=0)


@pytest.mark.parametrize("library", [foolbox, art])
def test_fgsm_is_its_closed_form(library: Any, digits: Digits) -> None:
    x = digits.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(digits.classifier(x), digits.labels, reduction="sum"), x)
    expected = (digits.images + 0.1 * gradient.sign()).clamp(0, 1)
    torch.testing.assert_close(run(library.FGSM(epsilon=0.1), digits), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["FGSM", "BIM"])
def test_foolbox_and_art_agree(name: str, digits: Digits) -> None:
    one, other = (run(getattr(library, name)(epsilon=0.1), digits) for library in (foolbox, art))
    torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("library", [foolbox, art])
@pytest.mark.parametrize("name", ["FGSM", "BIM"])
def test_budget_is_respected(library: Any, name: str, digits: Digits) -> None:
    attack = getattr(library, name)(epsilon=0.1)
    facts = verify(digits.classifier, digits.images, run(attack, digits), digits.labels)
    assert facts["linf"].max() <= attack.info.epsilon + 1e-6


@pytest.mark.parametrize("library", [foolbox, art])
def test_deepfool_on_a_linear_classifier_goes_the_distance_to_the_boundary(library: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    layer = nn.Linear(16, 4)
    layer.load_state_dict({"weight": torch.randn(4, 16, generator=generator), "bias": torch.zeros(4)})
    net = Classifier(
        nn.Sequential(nn.Flatten(), layer),
        mean=(0.5,),
        std=(1.0,),
        taps=(),
        gate_positions={},
        classes=4,
        shape=(1, 4, 4),
    )
    images = 0.5 + 0.05 * torch.randn(10, 1, 4, 4, generator=generator)  # far from the box, so clipping has no part
    logits = net(images).detach()
    labels = logits.argmax(1)
    weight = layer.weight.detach()
    gaps = logits.gather(1, labels.unsqueeze(1)) - logits
    distances = gaps / (weight[labels].unsqueeze(1) - weight).norm(dim=2)
    expected = distances.scatter(1, labels.unsqueeze(1), torch.inf).amin(1)
    found = craft(library.DeepFool(), net, images, labels, seed=0)
    length = (found - images).flatten(1).norm(dim=1)
    torch.testing.assert_close(length, 1.02 * expected, atol=1e-3, rtol=0.01)
    assert verify(net, images, found, labels)["success"].all()


@pytest.mark.parametrize("library", [foolbox, art])
def test_cw_is_no_longer_than_fgsm_where_both_succeed(library: Any, digits: Digits) -> None:
    clean, labels = digits.images[:8], digits.labels[:8]
    found = run(library.CW(**QUICK_CW), digits, 8)
    cw = verify(digits.classifier, clean, found, labels)
    fgsm = verify(digits.classifier, clean, run(library.FGSM(epsilon=0.3), digits, 8), labels)
    both = cw["success"] & fgsm["success"]
    assert cw["success"].mean() >= 0.9
    assert both.sum() >= 3
    assert (cw["l2"][both] <= fgsm["l2"][both]).all()


def test_cw_that_finds_nothing_gives_the_clean_image_and_not_a_black_one(digits: Digits) -> None:
    hopeless = foolbox.CW(steps=1, binary_search_steps=1, initial_const=1e-9)
    torch.testing.assert_close(run(hopeless, digits, 4), digits.images[:4])


@pytest.mark.parametrize("library", [foolbox, art])
def test_deepfool_leaves_images_alone_that_are_wrong_already(library: Any, digits: Digits) -> None:
    wrong = (digits.labels[:4] + 1) % 10
    found = craft(library.DeepFool(steps=3), digits.classifier, digits.images[:4], wrong, seed=0)
    torch.testing.assert_close(found, digits.images[:4])


@pytest.mark.parametrize("name", ["FGSM", "BIM", "DeepFool", "CW"])
def test_both_libraries_take_and_print_the_same_parameters(name: str) -> None:
    one, other = getattr(foolbox, name)(), getattr(art, name)()
    assert one.parameters == other.parameters
    assert all(f"{key}={value!r}" in repr(one) for key, value in one.parameters.items())
    assert (one.info.title, one.info.threat, one.info.norm) == (other.info.title, other.info.threat, other.info.norm)
    assert one.info.version == version("foolbox")
    assert other.info.version == version("adversarial-robustness-toolbox")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("FGSM", {"epsilon": 0}), ("FGSM", {"epsilon": 1.5}), ("FGSM", {"epsilon": "8/255"}),
        ("FGSM", {"epsilon": float("nan")}), ("BIM", {"steps": 0}), ("BIM", {"steps": 2.5}),
        ("BIM", {"step_size": -0.1}), ("DeepFool", {"overshoot": -1}), ("DeepFool", {"candidates": 1}),
        ("DeepFool", {"steps": True}), ("CW", {"confidence": -1}), ("CW", {"initial_const": 0}),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_sentence_that_names_it(name: str, parameters: dict[str, Any]) -> None:
    ((key, value),) = parameters.items()
    with pytest.raises(UserError, match=f"^{key} of {name} is .*; give a .*\\.$") as caught:
        getattr(foolbox, name)(**parameters)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("library", [foolbox, art])
def test_the_classifier_is_as_it_was(library: Any, digits: Digits) -> None:
    digits.classifier.train()
    digits.classifier.net[0].requires_grad_(False)
    before = [parameter.requires_grad for parameter in digits.classifier.parameters()]
    hashed = digits.classifier.content_hash()
    try:
        attack = library.BIM(steps=2)
        attack(digits.classifier, digits.images, digits.labels, generator=torch.Generator())
        assert digits.classifier.training
        assert [parameter.requires_grad for parameter in digits.classifier.parameters()] == before
        assert digits.classifier.content_hash() == hashed
    finally:
        digits.classifier.eval().requires_grad_(True)


def test_foolbox_needs_no_git(tmp_path: Path) -> None:
    """Its model zoo imports GitPython, which ends an import where there is no git; no attack needs either."""
    script = """
import os
import torch
from subnetbench.attacks.foolbox import FGSM
from subnetbench.bench.models.cifar import digits_cnn
images = torch.rand(2, 1, 8, 8)
made = FGSM(epsilon=0.1)(digits_cnn().eval(), images, torch.tensor([0, 1]), generator=torch.Generator())
assert made.shape == images.shape
assert "GIT_PYTHON_REFRESH" not in os.environ
"""
    environment = {key: value for key, value in os.environ.items() if key != "GIT_PYTHON_REFRESH"}
    environment["GIT_PYTHON_GIT_EXECUTABLE"] = str(tmp_path / "no-such-git")
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
