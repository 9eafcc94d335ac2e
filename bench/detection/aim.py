"""Whether an attack looks for the least norm: one that merely has no budget may stop anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The parameter that weighs the norm in what an attack minimises; 0 takes it out, as the released code of Lee et al.
NORM_WEIGHT = "norm_weight"


def seeks_least_norm(threat: str, parameters: Mapping[str, Any]) -> bool:
    """By its threat model and its parameters; an attack says otherwise by an attribute ``minimises``."""
    return threat == "minimum-norm" and parameters.get(NORM_WEIGHT) != 0
