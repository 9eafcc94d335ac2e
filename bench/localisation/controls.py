"""Controls that no net has a part in."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..core.arrays import Floats
from ..data.dataset import Split
from .entry import Entry

#: The label under which controls stand that no net has a part in.
NO_NET = "no-net"


def edges(split: Split) -> Floats:
    """Length of Sobel's gradient of the grey image, ``(N, H, W)``."""
    grey = split.images.astype(np.float32).mean(3) / 255
    # Image by image: over the whole array Sobel's filter would smooth from one image into the next.
    return np.stack([np.hypot(ndimage.sobel(image, axis=0), ndimage.sobel(image, axis=1)) for image in grey])


def _control(name: str, formula: str) -> Entry:
    return {"label": name, "name": name, "title": name, "year": None, "url": "", "formula": formula, "parameters": {}}
