"""Imitating a clean image of another class: against detectors whose gradient says nothing."""

from __future__ import annotations

import pytest
import torch
from subnetbench.attacks.arms.guides import blocks, nearest_guides
from subnetbench.bench.core.errors import UserError

from .planted import MATCHING, Plain, attacked, plain_score, succeeded

CENTRES = torch.tensor([[0.3, 0.3, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [0.8, 0.3, 0.5, 0.5]])


def net_of_centres() -> Plain:
    """Logits are minus the squared distances to three centres, the classes."""
    return Plain(lambda flat: -40 * (flat.unsqueeze(1) - CENTRES).square().sum(2))


def around(spread: float = 0.02) -> tuple[torch.Tensor, torch.Tensor]:
    """Guides about the centres, ten each."""
    labels = torch.arange(30) % 3
    noise = spread * torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    return (CENTRES[labels] + noise).view(30, 1, 2, 2), labels


def distance_to_classes(x: torch.Tensor) -> torch.Tensor:
    """As a detector of what is near no class would have it, in steps: the gradient is 0 everywhere."""
    nearest = (x.flatten(1).unsqueeze(1) - CENTRES).norm(dim=2).amin(1)
    return (nearest / 0.02).round()


IMAGES, LABELS, TAU = CENTRES[:1].view(1, 1, 2, 2), torch.tensor([0]), 4.0


@pytest.mark.parametrize("name", MATCHING)
@pytest.mark.parametrize("offered", [True, False])
def test_matching_succeeds_where_the_gradient_of_the_detector_is_masked(name, offered):
    score = plain_score(distance_to_classes if offered else None, exact=distance_to_classes, guides=around())
    found = attacked(name, net_of_centres(), score, TAU, IMAGES, LABELS, epsilon=0.21, steps=25)
    assert succeeded(net_of_centres(), score, TAU, found.images, LABELS).all()
    assert found.ever.all()


def test_selective_steps_fail_there_and_say_why():
    score = plain_score(distance_to_classes, guides=around())
    found = attacked("selective-pgd", net_of_centres(), score, TAU, IMAGES, LABELS, epsilon=0.21, steps=25)
    assert not succeeded(net_of_centres(), score, TAU, found.images, LABELS).any()
    assert (found.gradients == 0).all()


@pytest.mark.parametrize("name", MATCHING)
def test_more_steps_or_a_larger_ball_never_help_the_defender(name):
    score = plain_score(None, exact=distance_to_classes, guides=around())
    successes = [
        bool(attacked(name, net_of_centres(), score, TAU, IMAGES, LABELS, epsilon=epsilon, steps=steps).ever.all())
        for epsilon, steps in ((0.05, 20), (0.21, 20), (0.21, 40), (0.4, 40))
    ]
    assert successes == sorted(successes)
    assert (successes[0], successes[-1]) == (False, True)


def test_guides_are_of_another_class_the_nearest_first_and_of_further_ranks_after():
    from subnetbench.attacks.arms.best import Best
    from subnetbench.attacks.arms.contract import Problem

    images, labels = IMAGES.expand(2, 1, 2, 2), torch.tensor([0, 1])
    score = plain_score(None, exact=distance_to_classes, guides=around())
    best, generator = Best(images, labels, TAU, 1.0, 1.0), torch.Generator()
    problem = Problem(net_of_centres(), score, TAU, images, labels, generator, best)

    def space(x):
        return problem.net(x), [x]

    guides, (offered, classes) = nearest_guides(problem, space, 1000), score.guides
    assert guides.count.tolist() == [20, 20]
    for row, label in enumerate(labels):
        others = offered[classes != label]
        ranked = others[(others - images[row]).flatten(1).norm(dim=1).argsort()]
        for rank in (0, 1, 19):
            assert torch.equal(guides.chosen(rank)[row], ranked[rank])
        assert torch.equal(guides.chosen(20)[row], ranked[0])
    variance = offered.flatten(1).var(0, correction=0).sum().item()
    assert guides.variances[0] == pytest.approx(variance, rel=1e-4)


def test_every_guide_is_looked_at_once_in_blocks_of_one_size():
    images = torch.arange(7.0)
    taken = [(block.tolist(), count) for block, count in blocks(images, 3)]
    assert taken == [([0, 1, 2], 3), ([3, 4, 5], 3), ([6, 0, 1], 1)]
    assert [len(block) for block, _ in blocks(images[:2], 5)] == [5]


def test_no_guide_of_another_class_is_one_sentence():
    images, _ = around()
    score = plain_score(None, exact=distance_to_classes, guides=(images, torch.zeros(30, dtype=torch.long)))
    with pytest.raises(UserError, match="needs one of another class for each image"):
        attacked("logit-matching", net_of_centres(), score, TAU, IMAGES, LABELS)
