"""Boxes as half-open pixel ranges: scaled and cropped with their images, and checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.arrays import Float64, Floats, Ints

#: From the last pixel of a box to its edge.
LAST_PIXEL: Float64 = np.array([0.0, 0.0, 1.0, 1.0])
Size = tuple[int, int]


def from_inclusive(boxes: Floats) -> Float64:
    """``(K, 4)`` boxes as in files, last pixel included, as boxes by their edges."""
    return np.asarray(boxes, np.float64).reshape(-1, 4) + LAST_PIXEL


def scaled(boxes: Floats, from_size: Size, to_size: Size) -> Float64:
    """``(..., 4)`` boxes of an image of ``from_size``, in the same image scaled to ``to_size``; not rounded."""
    (height, width), (to_height, to_width) = from_size, to_size
    # Multiplied first: a whole number of pixels comes out whole.
    moved = np.asarray(boxes, np.float64) * (to_width, to_height, to_width, to_height)
    return np.asarray(moved / (width, height, width, height), np.float64)


def resized_pixels(boxes: Floats, from_size: Size, to_size: Size) -> Ints:
    """``(..., 4)`` boxes by edges, in the scaled image by first and last pixel.

    Each coordinate of the pixels is scaled and truncated on its own, as in wsolevaluation: a last pixel of 500 of 640
    becomes 50 of 64, where `scaled` has the edge at 50.1, that is, within pixel 50.
    """
    pixels: Ints = np.floor(scaled(boxes - LAST_PIXEL, from_size, to_size)).astype(np.int64)
    return pixels


def clipped(boxes: Floats, size: Size) -> Float64:
    """``(..., 4)`` boxes clipped to the image; a box outside it becomes empty."""
    height, width = size
    return np.clip(np.asarray(boxes, np.float64), 0, (width, height, width, height))


def check_boxes(boxes: Floats, sizes: Sequence[Size], names: Sequence[str]) -> dict[int, str]:
    """The rows of ``(K, 4)`` boxes that cannot be used, each with a reason that names its image.

    A box is unusable if a coordinate is not finite, if it is inverted or empty, or if it shares no area with its image.
    A box that is only partly outside is usable: `clipped` cuts it. ``sizes`` and ``names`` are those of the row's
    image. The reason quotes the box as the file has it, last pixel included.
    """
    reasons = {}
    for row, (box, (height, width), name) in enumerate(zip(np.asarray(boxes, np.float64), sizes, names, strict=True)):
        xmin, ymin, xmax, ymax = box
        if not np.isfinite(box).all():
            reason = "not finite"
        elif xmax < xmin or ymax < ymin:
            reason = "inverted"
        elif xmax == xmin or ymax == ymin:
            reason = "empty"
        elif xmax <= 0 or ymax <= 0 or xmin >= width or ymin >= height:
            reason = f"outside its image of {width} x {height} pixels"
        else:
            continue
        reasons[row] = f"the box of {name} ({xmin:g}, {ymin:g}, {xmax - 1:g}, {ymax - 1:g}) is {reason}"
    return reasons
