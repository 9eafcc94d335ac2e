"""MaxBoxAcc (Choe et al. 2020, CVPR) and MaxBoxAccV2 (its extension, 2020), quirks included.

An addition to the paper's metric, for comparison with figures from https://github.com/clovaai/wsolevaluation. A hit is
decided as in that code:

- a map is shifted and scaled to [0, 1], a constant or non-finite map becomes zeros, and ``map * 255`` is truncated to a
  byte;
- at threshold t the foreground is ``byte > int(t * largest byte)``, so that t = 0 leaves out the lowest 1/255;
- V1 takes the contour with the largest polygon area, where an object one pixel wide has area 0; V2 takes the contour
  that fits best, outlines of holes included;
- a true box follows its image by first and last pixel, each coordinate scaled and truncated (`box.resized_pixels`);
- a contour's box is ``x, y, x + width, y + height`` clipped to the last pixel, and IoU counts the last pixel as
  included: except at the border, a box is one pixel too wide and too high;
- without any contour the box is (0, 0, 0, 0), one pixel;
- the threshold is chosen on the evaluated images themselves, and t runs over [0, 1) in steps of .001.

The step is an argument; the default .05 is a coarser grid, which can only lower the maximum. Contours are not traced:
scipy.ndimage labels components and holes for all thresholds of many maps at once, and the area of an outline through
pixel centres is the number of 2 x 2 windows with four pixels set plus half of those with three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..core.arrays import Bools, Float64, Floats, Ints
from ..core.errors import UserError
from .boxes import per_image, usable
from .suite import V2_IOUS

#: IoU thresholds of V2; V1 uses the second.
IOUS = np.array(V2_IOUS)

#: Largest number of pixels labelled at once, over all thresholds, so that a chunk's label arrays stay in cache.
CHUNK = 1 << 18

Bytes = npt.NDArray[np.uint8]


class MaxBoxHits(NamedTuple):
    """Hits of N maps at T thresholds: ``v1`` ``(N, T)`` at IoU .5, ``v2`` ``(N, T, 3)`` at `IOUS`."""

    v1: Bools
    v2: Bools


class MaxBoxOverlaps(NamedTuple):
    """IoU with the true box that fits best, of N maps at T thresholds: of V1's contour and of the best one, V2's."""

    v1: Float64
    v2: Float64


class Contours(NamedTuple):
    """Boxes of the contours of P masks, in the reference's convention (module docstring).

    ``largest`` ``(P, 4)`` is the box of the contour with the largest area, four zeros if a mask has none; ``boxes``
    ``(M, 4)`` are those of all contours, and ``owner`` ``(M,)`` are the indices of their masks.
    """

    largest: Ints
    boxes: Ints
    owner: Ints


def maxbox_hits(heat: Floats, truth: Sequence[Ints], interval: float = 0.05) -> MaxBoxHits:
    """``(N, H, W)`` maps and true boxes by first and last pixel (not by edges, as elsewhere) -> hits per threshold."""
    v1, v2 = maxbox_overlaps(heat, truth, interval)
    return MaxBoxHits(v1 >= IOUS[1], v2[..., None] >= IOUS)


def maxbox_overlaps(heat: Floats, truth: Sequence[Ints], interval: float) -> MaxBoxOverlaps:
    """The overlaps that `maxbox_hits` compares with `IOUS`."""
    if not 0 < interval <= 1:
        raise UserError(f"The threshold interval of MaxBoxAcc is {interval:g}; give a number above 0 and at most 1.")
    scores = _bytes(np.asarray(heat))
    known = _padded(per_image(truth, len(scores)))
    # The largest byte is 255, or 0 in a map of zeros, which has no foreground at any threshold.
    levels, back = np.unique((np.arange(0, 1, interval) * 255).astype(np.int64), return_inverse=True)
    planes = len(scores) * len(levels)
    first, second = np.zeros(planes), np.zeros(planes)
    step = max(1, CHUNK // max(1, scores[:1].size))
    for begin in range(0, planes, step):
        image, level = np.divmod(np.arange(begin, min(begin + step, planes)), len(levels))
        outlines = contours(scores[image] > levels[level, None, None])
        first[begin : begin + step] = _best_iou(outlines.largest, known[image])
        best = np.zeros(len(image))
        np.maximum.at(best, outlines.owner, _best_iou(outlines.boxes, known[image[outlines.owner]]))
        empty = np.bincount(outlines.owner, minlength=len(image)) == 0
        second[begin : begin + step] = np.where(empty, first[begin : begin + step], best)
    shape = (len(scores), len(levels))
    return MaxBoxOverlaps(first.reshape(shape)[:, back], second.reshape(shape)[:, back])


def contours(masks: Bools) -> Contours:
    """The `Contours` of ``(P, H, W)`` masks: outlines of 8-connected objects and of the holes in them.

    Among equal areas, the contour that begins in the lowest row, then in the rightmost column, counts as the largest:
    OpenCV lists contours in that order, and the reference takes the first.
    """
    count, height, width = masks.shape
    # Planes are stacked with background around each, so that everything outside is one component.
    across, down = width + 2, height + 1
    field = np.zeros((count * down + 1, across), np.uint8)
    field[1:].reshape(count, down, across)[:, :height, 1:-1] = masks
    objects, many = ndimage.label(field, np.ones((3, 3)))
    grounds, _ = ndimage.label(field == 0)
    code = (objects - grounds).ravel()  # an object above 0, a hole below, the outside below
    outside = -code[0]

    flat = field.ravel()
    change = np.flatnonzero(flat[1:] != flat[:-1])  # the pixels before a run of foreground and those that end one
    starts, ends = change[::2] + 1, change[1::2]
    first, inside = _runs(code[starts], starts, ends, across, many)
    # Within a row, a hole reaches from the end of one run to the start of the next.
    left, right = ends[:-1] + 1, starts[1:] - 1
    inner = code[left] != -outside
    begin, around = _runs(-code[left[inner]], left[inner], right[inner], across, int(-code.min()))
    holes = np.flatnonzero(begin)

    # Above a hole's first pixel lies the object that bounds it; left of an object's first pixel, its surroundings.
    bound = np.zeros(len(begin), np.int64)
    bound[holes] = code[begin[holes] - across]
    outer = bound[-code[first - 1]]
    outer = np.where(outer > 0, outer, np.arange(many + 1))
    while (outer != outer[outer]).any():
        outer = outer[outer]

    outline = np.r_[outer, outer[bound[:0:-1]]]  # by code: below 0 it counts from the end
    area = _areas((code != -outside).view(np.uint8), code, outline, across)
    outermost = np.flatnonzero(outer == np.arange(many + 1))[1:]
    owner, boxes = _reference(inside, height, width)
    order = outermost[np.lexsort((first[outermost], area[outermost], owner[outermost]))]
    final = order[np.r_[owner[order][1:] != owner[order][:-1], True][: order.size]]
    largest = np.zeros((count, 4), np.int64)
    largest[owner[final]] = boxes[final]
    # The contour of a hole runs through the pixels around it.
    of_hole, hole_boxes = _reference(around[holes] + (-1, -1, 1, 1), height, width)
    return Contours(largest, np.concatenate([boxes[1:], hole_boxes]), np.r_[owner[1:], of_hole])


def _runs(labels: Ints, starts: Ints, ends: Ints, across: int, most: int) -> tuple[Ints, Ints]:
    """From runs of the labels 0 to ``most`` (flat positions of first and last pixel): the first pixel of each label, 0
    if it has no run, and its box by first and last pixel, ``(most + 1, 4)``."""
    first = np.zeros(most + 1, np.int64)
    first[labels[::-1]] = starts[::-1]  # runs come row by row: the last value written remains
    boxes = np.zeros((4, most + 1), np.int64)
    rows, left = np.divmod(starts, across)
    boxes[0] = across
    np.minimum.at(boxes[0], labels, left)
    boxes[1] = first // across
    np.maximum.at(boxes[2], labels, left + ends - starts)
    boxes[3][labels] = rows
    return first, boxes.T


def _areas(filled: Bytes, code: Ints, outline: Ints, across: int) -> Float64:
    """Twice the area of the polygon through the outer pixel centres of each filled object, by ``outline[code]``."""
    windows = filled[: -across - 1] + filled[1:-across] + filled[across:-1] + filled[across + 1 :]
    weights = np.maximum(windows, 2) - 2
    # Neighbours with weight share a pixel, hence an object: one sum per stretch. The first window is background.
    starts = np.flatnonzero((weights[1:] > 0) & (weights[:-1] == 0)) + 1
    if not starts.size:
        return np.zeros(len(outline))
    sums = np.add.reduceat(weights, starts, dtype=np.int64)
    pixel = starts + (1 - filled[starts]) * np.int64(across + 1)  # of three, at least one is on the falling diagonal
    return np.asarray(np.bincount(outline[code[pixel]], sums, len(outline)), np.float64)


def _reference(boxes: Ints, height: int, width: int) -> tuple[Ints, Ints]:
    """Boxes by first and last pixel in the field -> their planes, and the reference's boxes within them."""
    owner = (boxes[:, 1] - 1) // (height + 1)
    offset = 1 + owner * (height + 1)
    local = boxes - np.stack([np.ones_like(offset), offset, np.zeros_like(offset), offset - 1], 1)
    return owner, np.minimum(local, (width, height, width - 1, height - 1))


def _bytes(heat: Floats) -> Bytes:
    """Maps in [0, 255], truncated; zeros if a map is not usable."""
    scores = np.zeros(heat.shape, np.uint8)
    for image in np.flatnonzero(usable(heat)):
        scaled = heat[image].astype(np.float64)
        scaled -= scaled.min()
        scaled /= scaled.max()
        scores[image] = (scaled * 255).astype(np.uint8)
    return scores


def _padded(truth: list[Float64]) -> Ints:
    """True boxes by first and last pixel, ``(N, K, 4)``; an image with fewer repeats its first."""
    known = np.zeros((len(truth), max((len(boxes) for boxes in truth), default=0), 4), np.int64)
    for image, boxes in enumerate(truth):
        known[image] = boxes[0]
        known[image, : len(boxes)] = boxes
    return known


def _best_iou(boxes: Ints, known: Ints) -> Float64:
    """``(M, 4)`` boxes and ``(M, K, 4)`` true ones, last pixels included -> the largest IoU of each, ``(M,)``."""
    best = np.zeros(len(boxes))
    size = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    for true in known.swapaxes(0, 1):
        low, high = np.maximum(boxes[:, :2], true[:, :2]), np.minimum(boxes[:, 2:], true[:, 2:])
        overlap = np.maximum(0, high - low + 1).prod(1)
        best = np.maximum(best, overlap / (size + (true[:, 2:] - true[:, :2] + 1).prod(1) - overlap))
    return best
