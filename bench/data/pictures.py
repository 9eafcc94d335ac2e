"""Reading image files as their owner sees them: upright, on white, in eight bits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..core.errors import UserError, reason_of

if TYPE_CHECKING:
    import PIL.Image

#: Number of unreadable images that are named.
NAMED = 10

_ORIENTATION = 0x0112  # of EXIF


@dataclass(frozen=True)
class Encoded:
    """An image file that lies in a table: its bytes, and what it is called."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return self.name


#: A file, or one that lies in a table.
Picture = Path | Encoded


class Reader:
    """Reads images at one size, and remembers what their owner may not expect; see `warnings` and `refuse_broken`."""

    def __init__(self, size: int, resize: int, *, named: bool = True) -> None:
        """``named``: whether the user has named the size."""
        import torchvision.transforms as tf

        self._fit = tf.Compose([tf.Resize(resize), tf.CenterCrop(size)])
        self._size, self._resize, self._count = size, resize, 0
        self._named = named
        self._turned: list[Picture] = []
        self._transparent: list[Picture] = []
        self._paged: list[Picture] = []
        self._enlarged: list[Picture] = []
        self._broken: list[str] = []

    def read(self, paths: Sequence[Picture]) -> npt.NDArray[np.uint8]:
        images = np.zeros((len(paths), self._size, self._size, 3), np.uint8)
        for row, path in enumerate(paths):
            try:
                images[row] = self._read(path)
            except Exception as error:  # damaged files raise whatever the codec runs into
                self._broken.append(f"{path} cannot be read ({reason_of(error)})")
        self._count += len(paths)
        return images

    def _read(self, path: Picture) -> npt.NDArray[np.uint8]:
        import PIL.Image

        with PIL.Image.open(path if isinstance(path, Path) else io.BytesIO(path.data)) as image:
            # A photograph with a preview behind it (MPO) has one page to its owner.
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                self._paged.append(path)
            straight = upright(image)
            if straight is not image:
                self._turned.append(path)
            if 2 * min(straight.size) < self._resize:
                self._enlarged.append(path)
            seen, transparent = _on_white(_eight_bits(straight, image.format or ""))
            if transparent:
                self._transparent.append(path)
            return np.asarray(self._fit(seen), np.uint8)

    @property
    def warnings(self) -> list[str]:
        sentences = [
            f"{len(paths)} of {self._count} images {what} (first {paths[0]})."
            for paths, what in (
                (
                    self._turned,
                    "are turned upright, as their EXIF asks; boxes are taken to be those of the upright image",
                ),
                (self._transparent, "are transparent in places, which are read as white"),
                (self._paged, "have several pages or frames, of which the first is read"),
            )
            if paths
        ]
        if 2 * len(self._enlarged) > self._count:
            sentences.append(
                f"{len(self._enlarged)} of {self._count} images are enlarged more than twofold, to {self._resize} "
                f"pixels (first {self._enlarged[0]}); dataset.parameters.size sets another size."
            )
        elif not self._named:
            sentences.append(
                f"Images are read at {self._size} x {self._size} pixels, since the suite names no size; "
                "dataset.parameters.size names it."
            )
        return sentences

    def refuse_broken(self) -> None:
        """UserError that counts and names the images that could not be read, if there are any."""
        if not self._broken:
            return
        if len(self._broken) == 1:
            raise UserError(f"The image {self._broken[0]}; replace or remove it.")
        more = len(self._broken) - NAMED
        named = "; ".join(self._broken[:NAMED]) + (f"; and {more} more" if more > 0 else "")
        raise UserError(f"{len(self._broken)} images are broken: {named}. Replace or remove them.")


def upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image as viewers turn it, by its EXIF orientation; itself if there is nothing to turn."""
    from PIL import ImageOps

    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF turns nothing in a viewer, either
        return image
    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def dimensions(path: Path) -> tuple[int, int]:
    """Height and width of the upright image."""
    import PIL.Image

    try:
        with PIL.Image.open(path) as image:
            width, height = upright(image).size
    except Exception as error:
        raise UserError(f"The image {path} cannot be read ({reason_of(error)}); replace or remove it.") from None
    return height, width


def _eight_bits(image: PIL.Image.Image, kind: str) -> PIL.Image.Image:
    """Grey images of 16 bits scaled to 8, where Pillow would cut them off at 255; others as they are."""
    import PIL.Image

    if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM")):  # these use 16 of 32 bits
        values = np.asarray(image).astype(np.uint32)
        return PIL.Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} says not which value is white; save it with 8 or 16 bits")
    return image


def _on_white(image: PIL.Image.Image) -> tuple[PIL.Image.Image, bool]:
    """The image in RGB, on white where it is transparent, and whether it is so anywhere."""
    import PIL.Image

    if image.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in image.info:
        return image.convert("RGB"), False
    layer = image.convert("RGBA")
    lowest, _ = layer.getchannel("A").getextrema()
    if lowest == 255:
        return image.convert("RGB"), False
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", layer.size, "white"), layer).convert("RGB"), True
