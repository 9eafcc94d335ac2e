"""ImageNet's synsets and their positions among the thousand logits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from .errors import UserError


@cache
def synsets() -> dict[str, int]:
    """ImageNet's thousand wnids (ILSVRC 2012) and their sorted positions, which are logits of torchvision's weights."""
    text = (files("subnetbench.bench.core") / "imagenet_synsets.txt").read_text(encoding="ascii")
    return {wnid: place for place, wnid in enumerate(text.split())}


def places(wnids: Sequence[str]) -> list[int]:
    """Indices of these wnids' logits. Raises UserError for a wnid that is not among the thousand."""
    known = synsets()
    unknown = [wnid for wnid in wnids if wnid not in known]
    if unknown:
        raise UserError(
            f"{unknown[0]!r} is not one of ImageNet's thousand wnids ({len(unknown)} of {len(wnids)} classes are not), "
            "so weights trained on these have no logit for it; correct it, or choose a model without weights."
        )
    return [known[wnid] for wnid in wnids]
