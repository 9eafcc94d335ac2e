"""Corruptions that leave an image's class as it is, each in five severities, on images ``(N, C, H, W)`` in [0, 1].

Noise, blur, pixelation and JPEG have the strengths of CIFAR-10-C (Hendrycks and Dietterich, "Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations", ICLR 2019), whose other corruptions are left out: fog,
frost, snow, glass, motion and zoom need a library or pictures of their own. Contrast, saturation and brightness are
torchvision's. Results are rounded to 8 bits as all clean images are: a detector must not find the finer grey levels.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tv

from ..core.errors import UserError
from ..core.near import did_you_mean

#: Images, the strength, a generator for what is drawn -> images, not yet rounded.
Change = Callable[[torch.Tensor, float, np.random.Generator], torch.Tensor]


def _gaussian_noise(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    return images + strength * torch.from_numpy(generator.standard_normal(images.shape, np.float32))


def _shot_noise(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    """Photons counted, ``strength`` of them for a white pixel."""
    counts = generator.poisson(images.numpy().astype(np.float64) * strength)
    return torch.from_numpy((counts / strength).astype(np.float32))


def _impulse_noise(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    """A share ``strength`` of all values becomes 0 or 1."""
    drawn = torch.from_numpy(generator.random(images.shape))
    return torch.where(drawn < strength / 2, 0.0, torch.where(drawn < strength, 1.0, images))


def _gaussian_blur(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    reach = min(int(np.ceil(4 * strength)), min(images.shape[-2:]) - 1)
    blurred: torch.Tensor = tv.gaussian_blur(images, [2 * reach + 1, 2 * reach + 1], [strength, strength])
    return blurred


def _pixelate(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    """Averaged down to a share ``strength`` of each side, then up again without smoothing."""
    height, width = images.shape[-2:]
    small = max(1, int(height * strength)), max(1, int(width * strength))
    down = torch.nn.functional.interpolate(images, small, mode="area")
    return torch.nn.functional.interpolate(down, (height, width), mode="nearest")


def _contrast(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    changed: torch.Tensor = tv.adjust_contrast(images, strength)
    return changed


def _saturation(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    changed: torch.Tensor = tv.adjust_saturation(images, strength)
    return changed


def _brightness(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    changed: torch.Tensor = tv.adjust_brightness(images, strength)
    return changed


def _jpeg(images: torch.Tensor, strength: float, generator: np.random.Generator) -> torch.Tensor:
    """Written as JPEG of this quality and read again."""
    pixels = (images * 255).round().byte().movedim(1, -1).numpy()
    read = [_written_and_read(image.squeeze(-1) if image.shape[-1] == 1 else image, int(strength)) for image in pixels]
    return torch.from_numpy(np.stack(read).reshape(pixels.shape)).movedim(-1, 1).float() / 255


def _written_and_read(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


#: Name -> the change, its strength at each severity, and the numbers of channels it is made for (none: any).
CORRUPTIONS: dict[str, tuple[Change, tuple[float, ...], tuple[int, ...]]] = {
    "gaussian-noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), ()),
    "shot-noise": (_shot_noise, (500, 250, 100, 75, 50), ()),
    "impulse-noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), ()),
    "gaussian-blur": (_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0), ()),
    "pixelate": (_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65), ()),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), (1, 3)),
    "saturation": (_saturation, (0.7, 0.4, 0.1, 1.5, 2.5), (3,)),
    "brighter": (_brightness, (1.1, 1.2, 1.3, 1.5, 1.8), (1, 3)),
    "darker": (_brightness, (0.9, 0.8, 0.7, 0.5, 0.3), (1, 3)),
    "jpeg": (_jpeg, (80, 65, 58, 50, 40), (1, 3)),
}


def refuse_unknown(kinds: Sequence[str]) -> None:
    """UserError for a name that no corruption has."""
    for name in kinds:
        if name not in CORRUPTIONS:
            raise UserError(
                f"[shift] has no corruption {name!r}.{did_you_mean(name, CORRUPTIONS)} There are "
                f"{', '.join(CORRUPTIONS)}."
            )


def kinds_for(channels: int, wanted: Sequence[str]) -> list[str]:
    """The corruptions ``wanted``, or all that images with so many channels can have.

    UserError for a wanted one that these images cannot have.
    """
    able = [name for name, (_, _, made_for) in CORRUPTIONS.items() if not made_for or channels in made_for]
    for name in wanted:
        if name not in able:
            raise UserError(
                f"[shift]: images with {channels} channels cannot have {name!r}; choose among {', '.join(able)}."
            )
    return list(wanted) or able


def corrupted(images: torch.Tensor, kind: str, severity: int, seed: int) -> torch.Tensor:
    """Images ``(N, C, H, W)`` in [0, 1] changed by one corruption, rounded to 8 bits; noise is drawn from the seed."""
    change, strengths, _ = CORRUPTIONS[kind]
    generator = np.random.default_rng([seed, list(CORRUPTIONS).index(kind), severity])
    changed = change(images.detach().cpu(), strengths[severity - 1], generator)
    return (changed.clamp(0, 1) * 255).round() / 255
