"""Squeezers of images: fewer grey levels, median, non-local means; in torch, differentiable but for rounding."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..bench.core.errors import UserError

#: Non-local means leaves out patches of a smaller weight, as OpenCV does.
LEAST_WEIGHT = 1e-3


def squeezed(name: str, images: torch.Tensor) -> torch.Tensor:
    """Images ``(N, C, H, W)`` in [0, 1] through the squeezer ``name``, in their own precision; see `parsed`."""
    kind, numbers = parsed(name)
    if kind == "bit-depth":
        return fewer_levels(images, numbers[0])
    if kind == "median":
        return median(images, numbers[0])
    window, patch, strength = numbers
    return non_local_means(images, window, patch, strength / 255)


#: Squeezers by name, with their numbers and the largest of each.
KINDS = {"bit-depth": ("bits",), "median": ("size",), "non-local-means": ("window", "patch", "strength")}
LARGEST = {"bits": 8, "size": 15, "window": 35, "patch": 15, "strength": 255}


def parsed(name: str) -> tuple[str, tuple[int, ...]]:
    """Kind and numbers of a squeezer: ``bit-depth 5``, ``median 2``, ``non-local-means 13-3-2``.

    The last has the sides of search window and patch in pixels, both odd, and the strength in 255ths. UserError for
    anything else.
    """
    kind, _, rest = str(name).partition(" ")
    texts = rest.split("-")
    wanted = KINDS.get(kind, ())
    if len(texts) != len(wanted) or not all(text.isascii() and text.isdigit() for text in texts):
        raise UserError(
            f"feature-squeezing: there is no squeezer {name!r}; write 'bit-depth BITS', 'median SIZE' or "
            "'non-local-means WINDOW-PATCH-STRENGTH', as in 'non-local-means 13-3-2'."
        )
    numbers = tuple(map(int, texts))
    for word, number in zip(wanted, numbers, strict=True):
        if not 1 <= number <= LARGEST[word]:
            raise UserError(
                f"feature-squeezing: the {word} of {name!r} is {number}; it must be from 1 to {LARGEST[word]}."
            )
        if word in ("window", "patch") and number % 2 == 0:
            raise UserError(f"feature-squeezing: the {word} of {name!r} is {number}; it must be odd.")
    return kind, numbers


def rounds(name: str) -> bool:
    """Whether a squeezer's derivative is 0 wherever it has one."""
    return parsed(name)[0] == "bit-depth"


def fewer_levels(images: torch.Tensor, bits: int) -> torch.Tensor:
    """The nearest of 2^bits levels, of which the ends are 0 and 1."""
    most = float(2**bits - 1)
    return torch.round(images * most) / most


def median(images: torch.Tensor, size: int) -> torch.Tensor:
    """The median of ``size`` x ``size`` pixels; of an even number, the upper one of the middle two.

    As scipy's `median_filter` has it: the window reaches size // 2 pixels up and left, and images are mirrored.
    """
    before, after = size // 2, size - 1 - size // 2
    height, width = images.shape[2:]
    _must_fit(f"median {size}", max(before, after), height, width)
    padded = _mirrored(images, before, after)
    parts = [padded[:, :, i : i + height, j : j + width] for i in range(size) for j in range(size)]
    middle: torch.Tensor = torch.stack(parts).sort(0).values[size * size // 2]
    return middle


def _mirrored(images: torch.Tensor, before: int, after: int) -> torch.Tensor:
    """Padded on all sides, the pixels at the edge repeated too, which torch's own ``reflect`` does not do."""
    for dim in (2, 3):
        low = images.narrow(dim, 0, before).flip(dim)
        high = images.narrow(dim, images.shape[dim] - after, after).flip(dim)
        images = torch.cat([low, images, high], dim)
    return images


def non_local_means(images: torch.Tensor, window: int, patch: int, strength: float) -> torch.Tensor:
    """The mean of a pixel's neighbours, weighted by how alike their patches are (Buades, Coll and Morel 2005).

    Weight exp(-d^2 / h^2), where d^2 is the mean squared difference of two ``patch`` x ``patch`` patches over all
    channels and h = ``strength``; neighbours within ``window`` x ``window``; images mirrored at the edge. What OpenCV's
    `fastNlMeansDenoising` computes with whole numbers for 8-bit images; differentiable.
    """
    search, half = window // 2, patch // 2
    height, width = images.shape[2:]
    margin = search + half
    _must_fit(f"non-local-means {window}-{patch}", margin + 1, height, width)
    padded = F.pad(images, (margin,) * 4, mode="reflect")
    centre = padded[:, :, search : search + height + 2 * half, search : search + width + 2 * half]
    total, weights = torch.zeros_like(images), images.new_zeros(len(images), 1, height, width)
    for i in range(window):
        for j in range(window):
            moved = padded[:, :, i : i + height + 2 * half, j : j + width + 2 * half]
            squares = (moved - centre).square().mean(1, keepdim=True)
            weight = (-F.avg_pool2d(squares, patch, stride=1) / strength**2).exp()
            weight = torch.where(weight >= LEAST_WEIGHT, weight, torch.zeros_like(weight))
            total = total + weight * moved[:, :, half : half + height, half : half + width]
            weights = weights + weight
    return total / weights


def _must_fit(name: str, least: int, height: int, width: int) -> None:
    if min(height, width) < least:
        raise UserError(
            f"feature-squeezing: the squeezer {name!r} needs images of {least} pixels a side and these have "
            f"{height}x{width}; give smaller ones in squeezers."
        )
