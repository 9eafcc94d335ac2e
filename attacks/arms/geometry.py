"""Moves of an attack by gradients: directions, steps, and the way back into the ball and the box."""

from __future__ import annotations

import math

import torch

from .contract import Norm

#: What a projection leaves, as a share of what it was given, below which it is the rounding of the gradients.
LEAST_LEFT = 1e-6


def unit(gradient: torch.Tensor) -> torch.Tensor:
    """Each image's gradient ``(N, ...)`` with L2 length 1, in float64; NaN counts as 0, and 0 stays 0.

    It is divided by its largest value first: squares of gradients of 1e-30 vanish, and those of 1e30 overflow.
    """
    finite = torch.nan_to_num(gradient.detach().double(), nan=0.0)
    largest = per_image(finite.abs().flatten(1).amax(1), finite)
    scaled = finite / torch.where(largest > 0, largest, 1.0)
    length = per_image(scaled.flatten(1).norm(dim=1), finite)
    return scaled / torch.where(length > 0, length, 1.0)


def orthogonal(active: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """``a - (<a, b> / |b|^2) b`` for each image (Bryniarski et al. 2021), up to length, in float64.

    It is 0 where the two are parallel: what is left of ``a`` is rounding then. Equation 6 as printed divides by
    ``|b|`` and is not orthogonal.
    """
    a, b = unit(active), unit(other)
    left = a - per_image((a * b).flatten(1).sum(1), a) * b
    length = per_image(left.flatten(1).norm(dim=1), a)
    return torch.where(length > LEAST_LEFT, left, 0.0)


def stride(gradient: torch.Tensor, step: Norm, norm: Norm) -> torch.Tensor:
    """A step uphill for each image, of size 1 in units of the ball's ``norm``.

    ``Linf`` is ``sign(g)`` and ``L2`` is ``g / |g|``. Where the step's norm is not the ball's, its length is what the
    other step has for ``D`` values: ``sqrt(D) g / |g|`` in an L-infinity ball, ``sign(g) / sqrt(D)`` in an L2 ball. So
    both cover the same distance, and one size of steps serves both.
    """
    root = math.sqrt(gradient[0].numel())
    if step == "Linf":
        moved = torch.nan_to_num(gradient.detach(), nan=0.0).sign()
        return moved if norm == "Linf" else moved / root
    moved = unit(gradient)
    return moved if norm == "L2" else moved * root


def project(x: torch.Tensor, origin: torch.Tensor, epsilon: float, norm: Norm) -> torch.Tensor:
    """The nearest point of the ball around ``origin``, then of the box [0, 1], in the type of ``origin``.

    The origin is in the box, so clipping to the box moves no value away from it: the result is in both.
    """
    change = x - origin
    if norm == "Linf":
        change = change.clamp(-epsilon, epsilon)
    else:
        length = per_image(change.flatten(1).norm(dim=1), change)
        change = change * (epsilon / length.clamp_min(1e-30)).clamp_max(1.0)
    return (origin + change).clamp(0, 1).to(origin.dtype)


def within(origin: torch.Tensor, epsilon: float, norm: Norm, generator: torch.Generator) -> torch.Tensor:
    """A start uniform in the ball, then clipped to the box.

    All images of a batch share the draw: an image has the same start alone as among others.
    """
    shape = (1, *origin.shape[1:])
    if norm == "Linf":
        change = (2 * torch.rand(shape, generator=generator) - 1) * epsilon
    else:
        radius = torch.rand((), generator=generator).item() ** (1 / origin[0].numel())
        change = unit(torch.randn(shape, generator=generator)).float() * (epsilon * radius)
    return project(origin + change.to(origin.device), origin, epsilon, norm)


def per_image(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``(N,)`` as ``(N, 1, ...)``, to go with ``like`` ``(N, ...)``."""
    return values.view(-1, *(1,) * (like.ndim - 1))
