"""Boxes of objects and of saliency maps, and scores from them: errors by alpha, pointing game, constant box.

A box is ``xmin, ymin, xmax, ymax`` in float64, in pixels of the image as the net sees it, by its **edges**: pixel ``x``
covers ``[x, x + 1)``, so the area is ``(xmax - xmin) * (ymax - ymin)``. Annotation files give the last pixel of the
object instead; `from_inclusive` converts on reading, and nothing else in the suite adds a one.
Sizes are ``(height, width)``, as in NCHW. "Truth" is a sequence with one ``(K_i, 4)`` array per image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torchvision.ops import box_iou

from ..core.arrays import Bools, Float64, Floats, Ints
from ..core.errors import UserError
from ..data.box import Size

#: The multiples of the mean that the paper chooses from: 0, .5, ..., 10.
ALPHAS: Float64 = np.arange(0, 10.5, 0.5)

#: Number of grid steps per side for the edges of the boxes that `constant_box` tries.
STEPS = 16

#: Largest number of elements in a chunk of maps or of overlaps.
CHUNK = 1 << 20

Truth = Sequence[Floats]


def usable(heat: Floats) -> Bools:
    """``(N, H, W)`` maps -> ``(N,)``: finite everywhere and not constant. Any other map localises nothing."""
    maps = np.asarray(heat)
    low, high = maps.min((1, 2)), maps.max((1, 2))  # both are NaN if any value is
    good: Bools = np.isfinite(low) & np.isfinite(high) & (low < high)
    return good


def threshold_boxes(heat: Floats, alphas: Floats = ALPHAS) -> Float64:
    """The tightest box of *all* pixels with ``heat > alpha * mean(heat)``: ``(N, H, W)`` -> ``(N, A, 4)``.

    The mean thresholding of Fong and Vedaldi 2017; components are not separated. If no pixel is above, and at every
    alpha of a map that is not `usable`, the box is four zeros: its IoU with any box is 0.
    """
    maps = np.asarray(heat)
    count, height, width = maps.shape
    cuts = np.asarray(alphas, np.float64)
    boxes = np.zeros((count, cuts.size, 4))
    step = max(1, CHUNK // max(height * width, cuts.size * max(height, width)))
    for begin in range(0, count, step):
        part = np.asarray(maps[begin : begin + step], np.float64)
        good = usable(part)
        part = np.where(good[:, None, None], part, 0.0)
        limit = part.reshape(len(part), -1).mean(1)[:, None] * cuts
        # A column has a pixel above the limit if its largest value is above it: (N, A, W) bits, not (N, A, H, W).
        sides = [part.max(axis)[:, None, :] > limit[:, :, None] for axis in (1, 2)]
        first = [side.argmax(2) for side in sides]
        last = [side.shape[2] - side[:, :, ::-1].argmax(2) for side in sides]
        nonempty = sides[0].any(2)
        boxes[begin : begin + step] = np.stack([*first, *last], 2) * nonempty[:, :, None]
    return boxes


def per_image(truth: Truth | Sequence[Ints], images: int) -> list[Float64]:
    """Truth as float64 ``(K_i, 4)``, K_i > 0, one array per image; UserError if an image has no box."""
    boxes = [np.asarray(image_boxes, np.float64).reshape(-1, 4) for image_boxes in truth]
    if len(boxes) != images:
        raise UserError(
            f"There are {images} maps and true boxes of {len(boxes)} images; give one array of boxes per map."
        )
    for image, image_boxes in enumerate(boxes):
        if not len(image_boxes):
            raise UserError(f"Image {image} has no true box, so it cannot be scored; leave it out.")
    return boxes


def best_iou(boxes: Floats, truth: Truth) -> Float64:
    """``(N, A, 4)`` boxes -> ``(N, A)``: the largest IoU over the true boxes of the image."""
    candidates = torch.from_numpy(np.ascontiguousarray(boxes, np.float64))
    result = np.zeros(candidates.shape[:2])
    for image, image_boxes in enumerate(per_image(truth, len(candidates))):
        result[image] = box_iou(candidates[image], torch.from_numpy(image_boxes)).amax(1).numpy()
    return result


def choose_alpha(ious: Floats, alphas: Floats = ALPHAS, threshold: float = 0.5) -> tuple[int, Float64]:
    """The index of the alpha with the least error on held-out images, and the error of each alpha, ``(A,)``.

    The error is the share of the ``(N, A)`` best IoUs below ``threshold``. Among equal errors the smallest alpha wins.
    """
    values = np.asarray(ious, np.float64)
    if not len(values):
        raise UserError("There are no held-out images to choose alpha on; give at least one with a true box.")
    errors = np.asarray((values < threshold).mean(0), np.float64)
    return int(np.lexsort((np.asarray(alphas), errors))[0]), errors


def pointing(heat: Floats, truth: Truth, tolerance: float = 0.0) -> Bools:
    """The pointing game (Zhang et al. 2016): whether the maximum of the map lies in any true box, ``(N,)``.

    The point is the centre of the largest pixel, the first in row-major order among equals; it may lie up to
    ``tolerance`` pixels from the box (Euclidean; the paper allows 15 at full size). A map that is not `usable` misses.
    """
    maps = np.asarray(heat)
    hits = usable(maps)
    for image, image_boxes in enumerate(per_image(truth, len(maps))):
        if hits[image]:
            y, x = np.divmod(maps[image].argmax(), maps.shape[2])
            point = np.array([x, y]) + 0.5
            away = np.maximum(0, np.maximum(image_boxes[:, :2] - point, point - image_boxes[:, 2:]))
            hits[image] = (np.hypot(*away.T) <= tolerance).any()
    return hits


def constant_box(truth: Truth, size: Size, threshold: float = 0.5) -> Float64:
    """One box for all images, ``(4,)``: the one that reaches IoU >= ``threshold`` with a true box of most images.

    Candidates are all boxes with edges on a grid of `STEPS` steps per side, and the centred boxes whose sides are
    multiples of half a step. Among equals the largest wins, then the first by ymin, xmin, ymax, xmax.
    """
    boxes = per_image(truth, len(truth))
    if not boxes:
        raise UserError("There are no held-out images to choose a constant box on; give at least one with a true box.")
    lines = np.arange(STEPS + 1) / STEPS
    half = np.arange(1, 2 * STEPS + 1) / (4 * STEPS)
    candidates, hits = [], []
    for intervals in (lines[np.stack(np.triu_indices(STEPS + 1, 1), 1)], np.stack([0.5 - half, 0.5 + half], 1)):
        rows, columns = intervals * size[0], intervals * size[1]
        y, x = np.divmod(np.arange(len(rows) * len(columns)), len(columns))
        candidates.append(np.stack([columns[x, 0], rows[y, 0], columns[x, 1], rows[y, 1]], 1))
        hits.append(_hit_counts(boxes, rows, columns, threshold))
    xmin, ymin, xmax, ymax = np.concatenate(candidates).T
    order = np.lexsort((xmax, ymax, xmin, ymin, -(xmax - xmin) * (ymax - ymin), -np.concatenate(hits)))
    best: Float64 = np.concatenate(candidates)[order[0]]
    return best


def _hit_counts(truth: list[Float64], rows: Float64, columns: Float64, threshold: float) -> Floats:
    """The number of images hit by the box of each of R row intervals by C column intervals: ``(R * C,)``.

    The overlap of two boxes is that of their rows times that of their columns, and IoU >= t means
    ``overlap * (1 + t) >= t * (area + area)``.
    """
    ends = np.cumsum([len(image_boxes) for image_boxes in truth])
    flat = np.concatenate(truth)
    heights, widths = rows[:, 1] - rows[:, 0], columns[:, 1] - columns[:, 0]
    area = threshold * heights[:, None] * widths
    counts = np.zeros(area.shape)
    step = max(1, CHUNK // (4 * area.size))  # a chunk that stays in cache is three times as fast
    for begin in range(0, len(truth), step):
        starts = np.r_[0, ends[:-1]][begin : begin + step]
        true = flat[starts[0] : ends[min(begin + step, len(truth)) - 1]]
        down, across = (
            np.maximum(0, np.minimum(sides[:, 1], true[:, last, None]) - np.maximum(sides[:, 0], true[:, first, None]))
            for sides, first, last in ((rows, 1, 3), (columns, 0, 2))
        )
        overlap = (down * (1 + threshold))[:, :, None] * across[:, None, :]
        overlap -= (threshold * (true[:, 2] - true[:, 0]) * (true[:, 3] - true[:, 1]))[:, None, None]
        hit = overlap >= area - 1e-9 * area.max()  # rounding must not lose an IoU of exactly the threshold
        if len(true) > len(starts):
            hit = np.logical_or.reduceat(hit, starts - starts[0], axis=0)
        counts += hit.sum(0)
    return counts.ravel()
