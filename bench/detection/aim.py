"""Whether an attack looks for the least norm: one that merely has no budget may stop anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The parameter that weighs the norm in what an attack minimises; 0 takes it out, as the released code of Lee et al.
NORM_WEIGHT = "norm_weight"

#: The end of a remark on an attack whose norms another one's show to be too large.
TOO_FAR = "it is not as strong as a minimum-norm attack can be"


def remark_of(remark: str, threat: str, parameters: Mapping[str, Any], stated: bool | None = None) -> str:
    """A stored remark on an attack without what is untrue of it: one that looks for no least norm is not too far off.

    Entries of earlier versions hold such remarks.
    """
    if seeks_least_norm(threat, parameters, stated):
        return remark
    return "; ".join(part for part in remark.split("; ") if not part.endswith(TOO_FAR))


def seeks_least_norm(threat: str, parameters: Mapping[str, Any], stated: bool | None = None) -> bool:
    """As ``stated`` by the attack in its attribute ``minimises``, else by its parameters; only without a budget."""
    seeks = parameters.get(NORM_WEIGHT) != 0 if stated is None else stated
    return threat == "minimum-norm" and seeks


def stated_aim(attack: object) -> bool | None:
    """What an attack says of itself in ``minimises``; None where it says nothing."""
    stated = getattr(attack, "minimises", None)
    return None if stated is None else bool(stated)
