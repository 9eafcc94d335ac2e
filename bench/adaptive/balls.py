"""Random points of the ball around an image, in the box: inner ones, ones on its surface, and their distances."""

from __future__ import annotations

import torch

from ...attacks.arms.contract import Norm

#: A point counts as lying at a radius to this relative error, and as within it to this much more: sums of float32.
ROUNDING = 1e-4


def inside(images: torch.Tensor, radius: float, norm: Norm, generator: torch.Generator) -> torch.Tensor:
    """A point uniform in the ball around each of ``images`` ``(N, C, H, W)``, clipped to [0, 1].

    Clipping moves a point towards an image that lies in the box, never away from it.
    """
    if norm == "Linf":
        shift = 2 * torch.rand(images.shape, generator=generator) - 1
    else:
        length = torch.rand(len(images), generator=generator).pow(1 / images[0].numel())
        shift = _directions(images.shape, generator) * length.view(-1, 1, 1, 1)
    return (images + radius * shift.to(images)).clamp(0, 1)


def surface(images: torch.Tensor, radius: float, norm: Norm, generator: torch.Generator) -> torch.Tensor:
    """A point on the surface of the ball around each of ``images`` ``(N, C, H, W)``, in the box.

    L-inf: a corner, clipped to the box, of which one coordinate left whole keeps the distance. L2: a uniform
    direction, of which what would leave the box turns around: clipping would shorten it. Where neither reaches the
    surface, as in a ball that is larger than the box, the point lies nearer; `reaches` says where.
    """
    if norm == "Linf":
        signs = torch.randint(0, 2, images.shape, generator=generator) * 2 - 1
        return (images + radius * signs.to(images)).clamp(0, 1)
    shift = radius * _directions(images.shape, generator).to(images)
    moved = images + shift
    return torch.where((moved < 0) | (moved > 1), images - shift, moved).clamp(0, 1)


def distance(points: torch.Tensor, images: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Distance of each point to its image, ``(N,)``, in float64."""
    apart = (points.double() - images.double()).flatten(1)
    return apart.abs().amax(1) if norm == "Linf" else apart.norm(dim=1)


def reaches(points: torch.Tensor, images: torch.Tensor, radius: float, norm: Norm) -> torch.Tensor:
    """Where a point lies at the full radius, ``(N,)``."""
    return distance(points, images, norm) >= radius * (1 - ROUNDING)


def allowed(points: torch.Tensor, images: torch.Tensor, radius: float, norm: Norm) -> torch.Tensor:
    """Where a point lies in the ball and in the box, ``(N,)``: what an attacker may return."""
    flat = points.flatten(1)
    boxed = (flat >= 0).all(1) & (flat <= 1).all(1)  # false for NaN, too
    return boxed & (distance(points, images, norm) <= radius * (1 + ROUNDING))


def _directions(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Uniform unit vectors, one a row."""
    normal = torch.randn(shape, generator=generator)
    unit: torch.Tensor = normal / normal.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
    return unit
