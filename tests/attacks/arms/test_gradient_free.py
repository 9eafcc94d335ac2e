"""Arms that get no gradient of the detector."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from subnetbench.attacks.arms.best import Found, margin_of
from subnetbench.attacks.arms.contract import Arm
from subnetbench.attacks.arms.geometry import project as within
from subnetbench.attacks.arms.guides import blocks
from subnetbench.attacks.arms.inner import scattered
from subnetbench.attacks.arms.square import side_at
from subnetbench.attacks.arms.standin import explained, parts
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import arms

from ..conftest import Digits
from .gradient_free import (
    Heads,
    distance,
    guides_of,
    linear_problem,
    noise,
    of_scores,
    of_the_net_alone,
    rounded,
    votes,
)

Guides = tuple[torch.Tensor, torch.Tensor]
STAND_INS = ("distilled-surrogate", "soft-neighbours")
NAMES = ("square", "evolution", *STAND_INS)
FAST: dict[str, dict[str, Any]] = {
    "square": {"steps": 40},
    "evolution": {"steps": 8, "pairs": 2},
    "distilled-surrogate": {"steps": 12, "guides": 60, "epochs": 30},
    "soft-neighbours": {"steps": 12, "guides": 60},
}
NORMS = [("square", "Linf"), *((name, norm) for name in NAMES[1:] for norm in ("Linf", "L2"))]


def made(name: str, **parameters: Any) -> Arm:
    arm: Arm = arms.get(name)(**{**FAST[name], **parameters})
    return arm


@pytest.fixture(scope="module")
def guides(trained_digits: Any) -> Guides:
    return guides_of(trained_digits)


def run(arm: Arm, digits: Digits, guides: Guides, exact: Any, net: Any = None, seed: int = 0) -> Found:
    score, tau = of_scores(exact, digits, guides)
    generator = torch.Generator().manual_seed(seed)
    return arm(net or digits.classifier, score, tau, digits.images, digits.labels, generator=generator)


@pytest.mark.parametrize(("name", "norm"), NORMS)
def test_images_stay_in_the_box_and_in_the_ball_and_the_input_as_it_is(
    name: str, norm: Any, digits: Digits, guides: Guides
) -> None:
    before, epsilon = (digits.images.clone(), digits.labels.clone()), 0.15 if norm == "Linf" else 1.0
    found = run(made(name, epsilon=epsilon, norm=norm, restarts=2), digits, guides, distance(digits, guides))
    assert torch.equal(digits.images, before[0])
    assert torch.equal(digits.labels, before[1])
    assert found.images.min() >= 0
    assert found.images.max() <= 1
    change = (found.images - digits.images).flatten(1)
    size = change.abs().amax(1) if norm == "Linf" else change.norm(dim=1)
    assert (size <= epsilon + 1e-6).all()
    assert (size > epsilon / 4).any()
    assert all(parameter.requires_grad for parameter in digits.classifier.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_and_nothing_else(name: str, digits: Digits, guides: Guides) -> None:
    exact = distance(digits, guides)
    one = run(made(name), digits, guides, exact)
    torch.rand(3)
    again, other = run(made(name), digits, guides, exact), run(made(name), digits, guides, exact, seed=1)
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.course, again.course)
    assert one.fit == again.fit
    assert not torch.equal(one.course, other.course)


@pytest.mark.parametrize("name", NAMES)
def test_net_and_score_get_all_images_of_the_batch_in_their_order(name: str, digits: Digits, guides: Guides) -> None:
    count, epsilon, sizes = len(digits.images), 0.1, set()
    net, inner = Heads(digits.classifier, count), distance(digits, guides)
    score, tau = of_scores(inner, digits, guides)
    calls = {"near": 0, "far": 0}

    def exact(x: torch.Tensor) -> torch.Tensor:
        sizes.add(len(x))
        near = (x - digits.images).flatten(1).abs().amax(1) <= epsilon + 1e-6
        assert near.all() or not near.any(), "some of the batch, out of their order"
        calls["near" if near.all() else "far"] += 1
        return inner(x)

    arm = made(name, epsilon=epsilon)
    masked = type(score)(exact, None, score.spread, score.margin_spread, guides)
    found = arm(net, masked, tau, digits.images, digits.labels, generator=torch.Generator().manual_seed(0))
    assert sizes == {count}
    assert net.calls >= calls["near"] > 0
    assert bool(calls["far"]) == (name in STAND_INS)  # guides
    assert found.images.shape == digits.images.shape


@pytest.mark.parametrize("name", NAMES)
def test_what_it_reports_as_found_is_found_by_the_exact_score(name: str, digits: Digits, guides: Guides) -> None:
    exact = rounded(distance(digits, guides), 0.25)
    _, tau = of_scores(exact, digits, guides)
    found = run(made(name, epsilon=0.2, steps=60), digits, guides, exact)
    with torch.no_grad():
        wrong = margin_of(digits.classifier(found.images), digits.labels) > 0
    assert torch.equal(found.ever, wrong & (exact(found.images) <= tau))
    assert torch.equal(found.ever, found.course[-1] >= 0)
    assert (found.course.diff(dim=0) >= 0).all()


def test_square_asks_as_often_as_it_has_steps_and_takes_no_gradient() -> None:
    net, score, images, labels = linear_problem(0.1)
    calls = [0]

    def exact(x: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        assert not x.requires_grad
        return score.exact(x)

    counted = type(score)(exact, None, 1.0, 1.0, score.guides)
    arm = made("square", steps=25, restarts=2)
    found = arm(net, counted, 0.0, images, labels, generator=torch.Generator().manual_seed(0))
    assert calls == [50]
    assert found.course.shape == (50, len(images))
    assert found.fit is None


def test_square_succeeds_beyond_the_radius_of_a_linear_problem_and_never_before() -> None:
    net, score, images, labels = linear_problem(0.1)

    def successes(epsilon: float) -> torch.Tensor:
        arm = made("square", epsilon=epsilon, steps=400)
        return arm(net, score, 0.0, images, labels, generator=torch.Generator().manual_seed(0)).ever

    assert successes(0.13).all()
    assert not successes(0.095).any()


def test_squares_halve_in_area_eight_times() -> None:
    assert side_at(0.0, 0.8, 32, 32) == round((0.8 * 1024) ** 0.5)
    assert side_at(0.001, 0.8, 32, 32) == side_at(0.0, 0.8, 32, 32)
    assert side_at(0.9, 0.8, 32, 32) == round((0.8 * 1024 / 256) ** 0.5)
    sides = [side_at(step / 1000, 0.8, 32, 32) for step in range(1000)]
    assert sides == sorted(sides, reverse=True)
    assert len(set(sides)) == 9
    assert side_at(0.99, 1e-6, 32, 32) == 1


def test_square_refuses_a_norm_whose_squares_it_does_not_know() -> None:
    with pytest.raises(UserError, match="give Linf"):
        made("square", norm="L2")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("square", {"share": 0.0}),
        ("evolution", {"pairs": 0}),
        *((name, {"rounds": 0}) for name in STAND_INS),
        ("distilled-surrogate", {"width": 0}),
    ],
)
def test_a_budget_that_is_none_is_one_sentence(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))} of"):
        made(name, **wrong)


LONGER: dict[str, dict[str, Any]] = {
    "square": {"steps": 400},
    "evolution": {"steps": 20, "pairs": 10},
    **{name: {"steps": 48, "guides": 200} for name in STAND_INS},
}


@pytest.mark.parametrize("name", NAMES)
def test_it_beats_a_score_that_masks_its_gradient(name: str, digits: Digits, guides: Guides) -> None:
    epsilon, exact = 0.25, rounded(distance(digits, guides), 0.25)
    found = run(made(name, epsilon=epsilon, **LONGER[name]), digits, guides, exact)
    _, tau = of_scores(exact, digits, guides)
    ignorant = exact(of_the_net_alone(digits, epsilon)) <= tau
    assert ignorant.float().mean() < 0.2
    assert found.ever.float().mean() > 0.5


def test_soft_neighbours_beat_counts_of_neighbours(digits: Digits, guides: Guides) -> None:
    exact, epsilon = votes(digits, guides), 0.2
    found = run(made("soft-neighbours", epsilon=epsilon, steps=40, guides=300), digits, guides, exact)
    _, tau = of_scores(exact, digits, guides)
    ignorant = exact(of_the_net_alone(digits, epsilon)) <= tau
    assert found.ever.float().mean() > 0.8
    assert found.ever.float().mean() > ignorant.float().mean() + 0.2
    assert found.fit is not None
    assert found.fit > 0.6


@pytest.mark.parametrize("name", STAND_INS)
def test_the_fit_is_high_for_a_smooth_score_and_low_for_noise(name: str, digits: Digits, guides: Guides) -> None:
    arm = made(
        name, epsilon=0.1, steps=4, rounds=1, guides=200, **({"epochs": 100} if name == "distilled-surrogate" else {})
    )
    smooth = run(arm, digits, guides, distance(digits, guides)).fit
    random = run(arm, digits, guides, noise()).fit
    assert smooth is not None
    assert random is not None
    assert smooth > 0.7
    assert random < 0.1


@pytest.mark.parametrize("name", STAND_INS)
def test_a_score_that_is_no_number_leaves_an_attack_on_the_net(name: str, digits: Digits, guides: Guides) -> None:
    score, tau = of_scores(distance(digits, guides), digits, guides)
    broken = type(score)(lambda x: torch.full((len(x),), torch.nan), None, 1.0, score.margin_spread, guides)
    found = made(name)(
        digits.classifier, broken, tau, digits.images, digits.labels, generator=torch.Generator().manual_seed(0)
    )
    assert found.fit is None
    assert not found.ever.any()


@pytest.mark.parametrize("name", STAND_INS)
def test_every_step_has_a_row_of_the_course(name: str, digits: Digits, guides: Guides) -> None:
    arm = made(name, steps=12, rounds=2, judge_every=4, draws=1)
    course = run(arm, digits, guides, distance(digits, guides)).course
    assert len(course) == 12 + 2 * 1 + 3  # a row for each drawn image, and for the start of each part


def test_a_projection_holds_the_ball_and_the_box() -> None:
    clean = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    far = clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    assert ((within(far, clean, 0.1, "Linf") - clean).abs() <= 0.1 + 1e-6).all()
    assert ((within(far, clean, 0.5, "L2") - clean).flatten(1).norm(dim=1) <= 0.5 + 1e-6).all()
    assert torch.equal(within(clean, clean, 0.1, "L2"), clean)
    reach = (scattered(clean, 0.5, "L2", torch.Generator().manual_seed(2)) - clean).flatten(1).norm(dim=1)
    assert reach.max() <= 0.5 + 1e-6
    assert reach.min() < 0.2


def test_blocks_have_the_size_of_the_batch_whatever_there_is_to_ask() -> None:
    images = torch.arange(5).view(5, 1, 1, 1)
    assert [(block.flatten().tolist(), count) for block, count in blocks(images, 3)] == [([0, 1, 2], 3), ([3, 4, 0], 2)]
    assert [(block.flatten().tolist(), count) for block, count in blocks(images[:2], 5)] == [([0, 1, 0, 1, 0], 2)]


def test_parts_and_r_squared() -> None:
    assert parts(10, 4) == [2, 3, 2, 3]
    assert sum(parts(3, 4)) == 3
    truth = torch.tensor([0.0, 1.0, 2.0])
    assert explained(truth, truth) == 1
    assert explained(torch.full((3,), 1.0), truth) == 0
    assert explained(truth, torch.ones(3)) is None


def test_evolution_asks_twice_for_each_pair_once_for_each_step_and_finds_what_there_is() -> None:
    net, score, images, labels = linear_problem(0.1)
    courses = {}
    for epsilon in (0.095, 0.16):
        arm = made("evolution", epsilon=epsilon, steps=20, pairs=8)
        courses[epsilon] = arm(net, score, 0.0, images, labels, generator=torch.Generator().manual_seed(0)).course
        assert len(courses[epsilon]) == 1 + 20 * (2 * 8 + 1)
    assert (courses[0.16][-1] > 0).all()
    assert (courses[0.095][-1] < 0).all()
