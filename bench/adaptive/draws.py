"""A detector with randomness of its own: no single draw of its score decides, but the median of several."""

from __future__ import annotations

from dataclasses import replace

import torch

from ...attacks.arms.contract import Score, Scored

#: Draws of which the median decides; what is accepted by a majority of them is accepted by it.
DRAWS = 5

#: A difference between two scores of one image that is more than rounding, in spreads of the score.
SAME = 1e-6


def settled(score: Score, images: torch.Tensor) -> Score:
    """The score as it is where two calls on ``images`` agree, else one that is decided by `DRAWS` fresh draws."""
    one, other = (score.exact(images) for _ in range(2))
    if float((one - other).abs().max()) <= SAME * max(score.spread, 1e-12):
        return score
    return replace(score, exact=median_of(score.exact, DRAWS), draws=True)


def median_of(exact: Scored, draws: int) -> Scored:
    """The median of several draws of a score."""
    return lambda images: torch.stack([exact(images) for _ in range(draws)]).median(0).values
