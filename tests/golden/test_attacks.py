"""The attacks of `lee2018` give the images of the released code, on a small net and eight photographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from subnetbench.attacks.contract import Attack
from subnetbench.attacks.lee2018 import BIM, CW, FGSM, DeepFool
from subnetbench.bench.models.classifier import Classifier
from torch import nn

PHOTOGRAPHS = Path(__file__).resolve().parents[3] / "shared/golden/lee_attacks.npz"

pytestmark = pytest.mark.skipif(
    not PHOTOGRAPHS.is_file(), reason="lee_attacks.npz holds photographs and is not part of the repository"
)


@pytest.fixture(scope="module")
def golden() -> Mapping[str, np.ndarray]:
    return dict(np.load(PHOTOGRAPHS))


@pytest.fixture(scope="module")
def net(golden: Mapping[str, np.ndarray]) -> Classifier:
    layers = {
        "conv1": nn.Conv2d(3, 8, 3, 2, 1),
        "conv2": nn.Conv2d(8, 16, 3, 2, 1),
        "linear": nn.Linear(16, 10),
    }
    for name, layer in layers.items():
        layer.load_state_dict({p: torch.from_numpy(golden[f"weight_{name}_{p}"]) for p in ("weight", "bias")})
    conv1, conv2, linear = layers.values()
    return Classifier(
        nn.Sequential(conv1, nn.ReLU(), conv2, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear),
        mean=golden["mean"].tolist(),
        std=golden["std"].tolist(),
        taps=(),
        gate_positions={},
        classes=10,
        shape=(3, 32, 32),
    ).eval()


def pixels(golden: Mapping[str, np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(golden["images"]).float() / 255


def test_the_net_is_the_one_that_the_released_code_attacked(golden: Mapping[str, np.ndarray], net: Classifier) -> None:
    with torch.no_grad():
        np.testing.assert_allclose(net(pixels(golden)).numpy(), golden["expected_logits"], rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("attack", "name", "tolerance"),
    [
        (FGSM(epsilon=0.05), "fgsm", 2e-6),
        (BIM(step_size=0.01, steps=6), "bim", 2e-6),
        (DeepFool(step_size=0.18, steps=5), "deepfool", 2e-6),
        (DeepFool(step_size=0.1, steps=5), "deepfool_step010", 2e-6),
        (DeepFool(step_size=0.03, steps=5), "deepfool_step003", 2e-6),
        (CW(constant=1.0, step_size=0.01, steps=100), "cw", 5e-5),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_attack_makes_the_images_of_the_released_code(
    golden: Mapping[str, np.ndarray], net: Classifier, attack: Attack, name: str, tolerance: float
) -> None:
    found = attack(net, pixels(golden), torch.from_numpy(golden["labels"]), generator=torch.Generator())
    expected = golden[f"expected_{name}_legal_box"]
    assert np.abs(expected - golden["images"] / 255).max() > 100 * tolerance
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=tolerance)
