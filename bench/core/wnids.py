"""ImageNet's synsets and their places among the thousand logits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from .errors import UserError


@cache
def synsets() -> dict[str, int]:
    """ImageNet's thousand wnids (ILSVRC 2012) with their places when sorted: the logits of torchvision's weights."""
    text = (files("subnetbench.bench.core") / "imagenet_synsets.txt").read_text(encoding="ascii")
    return {wnid: place for place, wnid in enumerate(text.split())}


def places(wnids: Sequence[str]) -> list[int]:
    """The logits of these wnids. Raises UserError for one that is not among the thousand."""
    known = synsets()
    strange = [wnid for wnid in wnids if wnid not in known]
    if strange:
        raise UserError(
            f"{strange[0]!r} is none of ImageNet's thousand wnids ({len(strange)} of {len(wnids)} classes are not), so "
            "weights trained on these have no logit for it; correct it, or take a model without weights."
        )
    return [known[wnid] for wnid in wnids]
