"""The released code's oddities, each against a value computed by hand on a linear classifier."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from subnetbench.attacks import foolbox, lee2018
from subnetbench.bench.models.classifier import Classifier
from torch import nn

STD = torch.tensor([0.2, 0.25, 0.5])


def linear(weight: list[list[float]], bias: list[float]) -> Classifier:
    """Logits ``weight @ normalised pixel + bias`` of images of one pixel with three channels."""
    layer = nn.Linear(3, len(bias))
    layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return Classifier(
        nn.Sequential(nn.Flatten(), layer),
        mean=(0.5, 0.5, 0.5),
        std=STD.tolist(),
        taps=(),
        gate_positions={},
        classes=len(bias),
        shape=(3, 1, 1),
    )


def attack(problem: Any, classifier: Classifier, images: torch.Tensor | None = None) -> torch.Tensor:
    """The change of each channel, for images (default: one grey) of class 0."""
    images = torch.full((1, 3, 1, 1), 0.5) if images is None else images
    labels = torch.zeros(len(images), dtype=torch.int64)
    found: torch.Tensor = problem(classifier, images, labels, generator=torch.Generator())
    return (found - images).flatten(1)


def test_fgsm_epsilon_is_in_pixel_units_whatever_the_std_of_the_channel() -> None:
    change = attack(lee2018.FGSM(), linear([[3, -2, 1], [0, 0, 0]], [1, 0]))
    torch.testing.assert_close(change, torch.tensor([[-0.05, 0.05, -0.05]]))


def test_fgsm_moves_a_pixel_of_zero_gradient_up_and_the_library_does_not() -> None:
    net = linear([[3, 0, 1], [0, 0, 0]], [1, 0])
    assert attack(lee2018.FGSM(), net)[0, 1] == pytest.approx(0.05, abs=1e-6)
    assert attack(foolbox.FGSM(epsilon=0.05), net)[0, 1] == 0


def test_bim_takes_six_steps_the_first_scaled_by_std_and_projects_on_no_ball() -> None:
    change = attack(lee2018.BIM(), linear([[3, -2, 1], [0, 0, 0]], [1, 0]))
    reach = 0.01 * STD + 5 * 0.01
    torch.testing.assert_close(change, (reach * torch.tensor([-1.0, 1.0, -1.0])).unsqueeze(0))
    assert change.abs().max() <= lee2018.BIM().info.epsilon


def test_deepfool_steps_classes_times_step_size_linear_distances() -> None:
    # f = 2, w = (-3, 0, -4) in normalised units: the boundary is 2/5 away, and 0.9 * 2 classes makes that 0.72.
    change = attack(lee2018.DeepFool(step_size=0.9), linear([[3, 0, 4], [0, 0, 0]], [2, 0]))
    torch.testing.assert_close(change, (1.8 * 2 / 25 * torch.tensor([-3.0, 0, -4]) * STD).unsqueeze(0))


def test_deepfool_stops_after_five_steps_short_of_the_boundary() -> None:
    # Each step goes 0.2 of what is left.
    change = attack(lee2018.DeepFool(step_size=0.1), linear([[3, 0, 4], [0, 0, 0]], [2, 0]))
    torch.testing.assert_close(change, ((1 - 0.8**5) * 2 / 25 * torch.tensor([-3.0, 0, -4]) * STD).unsqueeze(0))


def test_deepfool_treats_each_image_alone() -> None:
    net = linear([[3, 0, 4], [0, 1, 0], [1, 0, 0]], [2, 0, 1])
    images = torch.rand(5, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([attack(lee2018.DeepFool(), net, image.unsqueeze(0)) for image in images])
    torch.testing.assert_close(attack(lee2018.DeepFool(), net, images), alone)


def adam_after_three_steps_and_one_of_momentum() -> float:
    """Adam's path in units of its rate: 1 a step under a constant gradient, then one step with gradient zero."""
    first, second = 0.9 * (1 - 0.9**3), 0.999 * (1 - 0.999**3)
    return 3 + (first / (1 - 0.9**4)) / math.sqrt(second / (1 - 0.999**4))


def test_cw_returns_the_iterate_after_the_least_loss_without_tanh_or_search() -> None:
    # |w|_1 = 7, so 0.07 of the gap of 0.175 goes with each step: the hinge is first 0 after three.
    change = attack(lee2018.CW(), linear([[3, 0, 4], [0, 0, 0]], [0.175, 0]))
    path = 0.01 * adam_after_three_steps_and_one_of_momentum() * torch.tensor([-1.0, 0, -1])
    torch.testing.assert_close(change, (path * STD).unsqueeze(0), atol=1e-6, rtol=1e-4)


def test_cw_keeps_one_iterate_for_the_batch_so_a_hard_neighbour_drives_an_easy_image_further() -> None:
    net = linear([[3, 0, 4], [0, 0, 0]], [0.175, 0])
    easy, hard = torch.full((1, 3, 1, 1), 0.5), torch.tensor([0.52, 0.5, 0.5]).view(1, 3, 1, 1)
    alone = attack(lee2018.CW(), net, easy)
    together = attack(lee2018.CW(), net, torch.cat([easy, hard]))
    assert lee2018.CW.batch_coupled
    assert lee2018.CW.batch_size == 200
    assert together[0].norm() > 1.2 * alone[0].norm()


def test_cw_goes_for_the_clean_runner_up_though_another_class_comes_first() -> None:
    # Class 2 wins at the first step towards class 1; the gap to class 1 alone takes more than two.
    net = linear([[1, 0, 0], [0, 0, 0], [-50, 0, 0]], [0.025, 0.0, -0.1])
    change = attack(lee2018.CW(), net)[0, 0] / STD[0]
    assert change < -0.03
    logits = net(torch.full((1, 3, 1, 1), 0.5) + torch.tensor([-0.01 * 0.2, 0, 0]).view(1, 3, 1, 1))
    assert logits.argmax() == 2  # one step would have been enough for any class


def test_cw_has_no_norm_penalty_unless_it_is_asked_for() -> None:
    """In the released code image and variable share memory; with the penalty c = 1 stops short of this gap."""
    net = linear([[1, 0, 0], [0, 0, 0]], [1.0, 0])
    assert (attack(lee2018.CW(steps=200), net)[0] / STD)[0] <= -1
    penalised = (attack(lee2018.CW(steps=200, norm_weight=1.0), net)[0] / STD)[0]
    assert penalised == pytest.approx(-0.5, abs=0.05)  # least of d^2 + (1 - |d|)


def test_every_attack_stays_in_the_legal_box() -> None:
    net = linear([[3, -2, 4], [0, 0, 0]], [9, 0])
    images = torch.tensor([[0.0, 1.0, 0.01]]).view(1, 3, 1, 1)
    for problem in (lee2018.FGSM(), lee2018.BIM(), lee2018.DeepFool(step_size=5.0), lee2018.CW()):
        found = images.flatten(1) + attack(problem, net, images)
        assert found.min() >= 0
        assert found.max() <= 1
