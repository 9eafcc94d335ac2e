"""A detector with randomness, after "The Odds are Odd": does the net say the same under noise?"""

from __future__ import annotations

import torch

from .planted import Plain, attacked, plain_score, succeeded

PIXELS, NOISE, TAU, DRAWS = 16, 0.05, 0.25, 24
CENTRES = torch.stack([torch.full((PIXELS,), 0.4), torch.full((PIXELS,), 0.6)])
IMAGES, LABELS = CENTRES[:1].view(1, 1, 4, 4), torch.tensor([0])


def ridged() -> Plain:
    """Two classes by their brightness, and a fine ridge along one pixel by which a tiny step has the other class."""

    def logits(flat: torch.Tensor) -> torch.Tensor:
        margin = 65 * (flat.mean(1) - 0.455) + 4 * torch.sin(150 * (flat[:, 0] - 0.4))
        return torch.stack([-margin, margin], 1) / 2

    return Plain(logits)


def unsteadiness(net: Plain, seed: int):
    """The share of noisy copies that the net names otherwise than the image: of fresh noise at every call."""
    generator = torch.Generator().manual_seed(seed)

    def score(x: torch.Tensor) -> torch.Tensor:
        noise = NOISE * torch.randn(DRAWS, 1, *x.shape[1:], generator=generator)
        own = net(x).argmax(1)
        return torch.stack([(net(x + one).argmax(1) != own).float() for one in noise]).mean(0)

    return score


def guides() -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(20) % 2
    return CENTRES[labels].view(20, 1, 4, 4), labels


def outcome(name: str, **changes) -> tuple[bool, float]:
    """Success by most of 25 calls with other draws than the arm saw, and their mean score."""
    net = ridged()
    score = plain_score(unsteadiness(net, 1), guides=guides(), draws=True)
    found = attacked(name, net, score, TAU, IMAGES, LABELS, epsilon=0.25, steps=40, **changes)
    judge = plain_score(unsteadiness(net, 2))
    votes = [bool(succeeded(net, judge, TAU, found.images, LABELS).all()) for _ in range(25)]
    return sum(votes) > 12, float(torch.stack([judge.exact(found.images) for _ in range(25)]).mean())


def test_selective_steps_fail_and_matching_of_logits_under_noise_succeeds():
    fooled, unsteady = outcome("selective-pgd", draws=4)
    matched, steady = outcome("logit-matching", noise=NOISE, draws=8, restarts=1)
    assert (fooled, matched) == (False, True)
    assert steady < TAU < unsteady
