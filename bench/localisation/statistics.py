"""From saliency maps to the statistics kept of them: the overlap of their boxes with the true ones, per image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.arrays import Floats, Ints
from ..core.store import Arrays
from .boxes import Truth, best_iou, pointing, threshold_boxes, usable
from .maxbox import maxbox_hits
from .suite import Localisation


def alphas_of(options: Localisation) -> Floats:
    """The multiples of a map's mean at which its boxes are drawn: 0, .5, 1, ..."""
    return 0.5 * np.arange(options.alphas)


def box_statistics(heat: Floats, truth: Truth, pixels: Sequence[Ints], options: Localisation, *, full: bool) -> Arrays:
    """Maps ``(N, H, W)`` -> ``iou (N, alphas)``, ``usable (N,)`` and, if ``full``, ``pointing``, ``v1``, ``v2``.

    ``truth`` holds the true boxes by edges, ``pixels`` the same by first and last pixel, for ``v1`` and ``v2``. A
    constant map or one with NaN overlaps with nothing at any alpha.
    """
    good = usable(heat)
    safe = np.where(good[:, None, None], heat, 0)
    iou = np.where(good[:, None], best_iou(threshold_boxes(safe, alphas_of(options)), truth), 0)
    arrays: Arrays = {"iou": iou.astype(np.float32), "usable": good}
    if full:
        arrays["pointing"] = pointing(safe, truth, options.tolerance) & good
        arrays["v1"], arrays["v2"] = maxbox_hits(safe, pixels, options.maxbox_interval)
    return arrays
