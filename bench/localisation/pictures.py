"""Maps of a few images for figure 4, made while the net is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from ..core.store import Arrays
from ..data.annotations import Boxed
from .measure import Measured
from .suite import Variant

#: The nets whose maps are shown.
SHOWN: tuple[Variant, ...] = ("normal", "subnet")


def pictured_maps(measured: Measured, images: Boxed, of: Sequence[Variant] = SHOWN) -> Arrays:
    """Maps of a few test images, drawn at random with the suite's seed, by the whole net and the subnet."""
    suite = measured.suite
    count = suite.localisation.pictures
    if not count:
        return {}
    order = np.random.default_rng((suite.seed, 29)).permutation(len(images.split))[:count]
    chosen = images.select(np.sort(order))
    arrays: Arrays = {
        "images": chosen.split.images,
        "ids": chosen.split.ids,
        "labels": chosen.split.labels,
        "boxes": np.stack([truth[0] for truth in chosen.truth]),
    }
    for variant, part in product(SHOWN, suite.saliency):
        if variant in of and variant in suite.localisation.variants:
            heat = measured.maps(part, variant, chosen)
            if not isinstance(heat, str):
                arrays[f"{measured.part.title}/{part.title}/{variant}"] = heat
    return arrays
