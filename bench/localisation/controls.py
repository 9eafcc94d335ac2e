"""Controls without a net: the image's edges as a map, and one box for all images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..core.arrays import Floats
from ..core.store import Arrays
from ..data.dataset import Split
from .boxes import best_iou, constant_box
from .entry import MethodNote
from .images import Images
from .statistics import alphas_of, box_statistics
from .suite import Localisation

#: The label of controls without a net.
NO_NET = "no-net"


@dataclass(frozen=True)
class Control:
    """A control with the box statistics of held-out and test images at each of its alphas."""

    method: MethodNote
    heldout: Arrays
    tested: Arrays
    alphas: Floats


def controls(images: Images, options: Localisation) -> Iterator[Control]:
    heldout, tested = (
        box_statistics(edges(boxed.split), boxed.truth, boxed.pixels, options, full=full)
        for boxed, full in ((images.heldout, False), (images.test, True))
    )
    yield Control(_method("edges", "Sobel's gradient of the grey image"), heldout, tested, alphas_of(options))
    size = images.dataset.shape[1]
    box = constant_box(images.heldout.truth, (size, size), options.iou)
    count = len(images.test.split)
    heldout = {"iou": best_iou(np.tile(box, (len(images.heldout.split), 1, 1)), images.heldout.truth)}
    tested = {"iou": best_iou(np.tile(box, (count, 1, 1)), images.test.truth), "usable": np.ones(count, bool)}
    formula = f"the same box for every image: {', '.join(f'{x:g}' for x in box)}"
    yield Control(_method("constant-box", formula), heldout, tested, np.zeros(1))


def edges(split: Split) -> Floats:
    """Magnitude of Sobel's gradient of the grey image, ``(N, H, W)``."""
    grey = split.images.astype(np.float32).mean(3) / 255
    # Image by image: on the whole array, Sobel's filter would smooth across images.
    return np.stack([np.hypot(ndimage.sobel(image, axis=0), ndimage.sobel(image, axis=1)) for image in grey])


def _method(name: str, formula: str) -> MethodNote:
    return MethodNote(label=name, name=name, title=name, year=None, url="", formula=formula, parameters={})
