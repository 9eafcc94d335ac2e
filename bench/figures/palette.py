"""PNG pictures in 256 colours: a third of the size of matplotlib's own."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

COLOURS = 256


def fewer_colours(picture: io.BytesIO, *, photographs: bool) -> io.BytesIO:
    """The same PNG with at most 256 colours. Of lines and areas the commonest stay as they are, above all white, and a
    rarer one becomes the nearest of these; photographs get the best 256 and dots of them for those in between."""
    from PIL import Image  # matplotlib writes its pictures with it

    whole, smaller = Image.open(picture).convert("RGB"), io.BytesIO()
    few = _dotted(whole) if photographs else _nearest(whole)
    few.save(smaller, format="png", optimize=True)
    return smaller


def _dotted(whole: Any) -> Any:
    """(Between pictures, paper stays white.)"""
    from PIL import Image

    palette = whole.quantize(COLOURS - 1, kmeans=2)
    dotted = whole.quantize(COLOURS - 1, palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    numbers = np.array(dotted)
    numbers[(np.asarray(whole) == 255).all(-1)] = COLOURS - 1
    few = Image.fromarray(numbers, mode="P")
    colours = dotted.getpalette()[: 3 * (COLOURS - 1)]
    few.putpalette([*colours, *[0] * (3 * (COLOURS - 1) - len(colours)), 255, 255, 255])
    return few


def _nearest(whole: Any) -> Any:
    """(Pillow's own search for the nearest colour takes white for a light grey.)"""
    from PIL import Image

    pixels = np.asarray(whole, np.int32)
    codes = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    unique, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], 1).astype(np.int32)
    kept = np.argsort(-counts, kind="stable")[:COLOURS]
    nearest = np.concatenate(
        [
            ((part[:, None] - colours[kept]) ** 2).sum(2).argmin(1)
            for part in np.array_split(colours, -(-len(colours) // 4096))
        ]
    )
    few = Image.fromarray(nearest.astype(np.uint8)[inverse].reshape(codes.shape), mode="P")
    few.putpalette(colours[kept].astype(np.uint8).ravel().tolist())
    return few
