"""Named parameters for the attacks, and the one place where a name becomes an attack."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..bench.core.errors import UserError, reason_of
from ..bench.core.near import did_you_mean
from ..bench.core.registry import attacks
from .contract import Attack

#: Libraries that take the same parameters under the same names: a suite changes ``library`` and nothing else.
LIBRARIES = ("foolbox", "art", "subnetbench")

#: Foolbox's algorithms, faster; a suite gets them where it names this library, and by no name alone.
OURS = "subnetbench"

#: The same in every preset of EAD.
_EAD: dict[str, Any] = {"step_size": 0.01, "regularization": 0.01}

#: CW's search, of both attacks that take it.
_CW_STANDARD = {"steps": 100, "step_size": 0.01, "binary_search_steps": 9, "initial_const": 0.001, "confidence": 0.0}
_CW_QUICK = {"steps": 40, "step_size": 0.02, "binary_search_steps": 4, "initial_const": 0.1, "confidence": 0.0}

#: preset -> attack -> parameters. A plain name applies to each of `LIBRARIES`, a full name to that attack alone.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    # Budgets and overshoot of the attacks' papers and of most later work.
    "standard": {
        "fgsm": {"epsilon": 8 / 255},
        "bim": {"epsilon": 8 / 255, "step_size": 2 / 255, "steps": 10},
        "deepfool": {"steps": 50, "overshoot": 0.02, "candidates": 10},
        "cw": _CW_STANDARD,
        "subnetbench/cw-continued": _CW_STANDARD,
        "foolbox/pgd-linf": {"epsilon": 8 / 255, "step_size": 2 / 255, "steps": 40, "restarts": 5},
        "subnetbench/pgd-linf": {"epsilon": 8 / 255, "step_size": 2 / 255, "steps": 40, "restarts": 5},
        "foolbox/pgd-l2": {"epsilon": 0.5, "step_size": 0.05, "steps": 40, "restarts": 5},
        "subnetbench/pgd-l2": {"epsilon": 0.5, "step_size": 0.05, "steps": 40, "restarts": 5},
        "foolbox/mi-fgsm": {"epsilon": 8 / 255, "step_size": 2 / 255, "steps": 10, "momentum": 1.0},
        "foolbox/ddn": {"steps": 100, "initial": 1.0, "gamma": 0.05},
        "foolbox/fmn-l0": {"steps": 100, "step_size": 1.0, "gamma": 0.05},
        "foolbox/fmn-l1": {"steps": 100, "step_size": 1.0, "gamma": 0.05},
        "foolbox/fmn-l2": {"steps": 100, "step_size": 1.0, "gamma": 0.05},
        "foolbox/fmn-linf": {"steps": 100, "step_size": 1.0, "gamma": 0.05},
        "foolbox/ead": _EAD | {"steps": 100, "binary_search_steps": 9, "initial_const": 0.001},
        "foolbox/hopskipjump": {"steps": 40, "evaluations": 100},
        "art/apgd-ce": {"epsilon": 8 / 255, "steps": 100, "restarts": 5},
        "art/apgd-dlr": {"epsilon": 8 / 255, "steps": 100, "restarts": 5},
        "art/square": {"epsilon": 8 / 255, "queries": 5000, "share": 0.8},
        "art/jsma": {"theta": 1.0, "gamma": 0.1},
        "autoattack-without-fab": {"epsilon": 8 / 255, "steps": 100, "restarts": 5, "queries": 5000},
    },
    # The same threat models in a fraction of the time: 160 gradients per image for CW, not 900. On a small
    # CIFAR-10 net its median norm is 2% above that of "standard"; a larger step or smaller constant costs more.
    "quick": {
        "fgsm": {"epsilon": 8 / 255},
        "bim": {"epsilon": 8 / 255, "step_size": 2 / 255, "steps": 10},
        "deepfool": {"steps": 10, "overshoot": 0.02, "candidates": 4},
        "cw": _CW_QUICK,
        "subnetbench/cw-continued": _CW_QUICK,
        "foolbox/pgd-linf": {"epsilon": 8 / 255, "step_size": 2 / 255, "steps": 10, "restarts": 1},
        "subnetbench/pgd-linf": {"epsilon": 8 / 255, "step_size": 2 / 255, "steps": 10, "restarts": 1},
        "foolbox/pgd-l2": {"epsilon": 0.5, "step_size": 0.1, "steps": 10, "restarts": 1},
        "subnetbench/pgd-l2": {"epsilon": 0.5, "step_size": 0.1, "steps": 10, "restarts": 1},
        "foolbox/mi-fgsm": {"epsilon": 8 / 255, "step_size": 2 / 255, "steps": 10, "momentum": 1.0},
        "foolbox/ddn": {"steps": 40, "initial": 0.3, "gamma": 0.1},
        "foolbox/fmn-l0": {"steps": 40, "step_size": 1.0, "gamma": 0.05},
        "foolbox/fmn-l1": {"steps": 40, "step_size": 1.0, "gamma": 0.05},
        "foolbox/fmn-l2": {"steps": 40, "step_size": 0.3, "gamma": 0.05},
        "foolbox/fmn-linf": {"steps": 40, "step_size": 1.0, "gamma": 0.05},
        "foolbox/ead": _EAD | {"steps": 40, "binary_search_steps": 4, "initial_const": 0.1},
        "foolbox/hopskipjump": {"steps": 10, "evaluations": 30},
        "art/apgd-ce": {"epsilon": 8 / 255, "steps": 20, "restarts": 1},
        "art/apgd-dlr": {"epsilon": 8 / 255, "steps": 20, "restarts": 1},
        "art/square": {"epsilon": 8 / 255, "queries": 500, "share": 0.8},
        "art/jsma": {"theta": 1.0, "gamma": 0.1},
        "autoattack-without-fab": {"epsilon": 8 / 255, "steps": 20, "restarts": 1, "queries": 500},
    },
    # The released code of Lee et al.; DeepFool's step size is that of ResNet on CIFAR-10, see `lee2018.STEP_SIZES`.
    "lee2018": {
        "lee2018/fgsm": {"epsilon": 0.05},
        "lee2018/bim": {"step_size": 0.01, "steps": 6},
        "lee2018/deepfool": {"step_size": 0.18, "steps": 5},
        "lee2018/cw": {"steps": 100, "step_size": 0.01, "constant": 1.0, "norm_weight": 0.0},
    },
}


def build(name: str, library: str, preset: str, parameters: Mapping[str, Any]) -> Attack:
    """The attack ``library/name``, or a plugin's attack ``name``, with a preset's parameters overridden by these.

    Raises UserError for an unknown name, preset or parameter, for a value that the attack refuses, and for a preset
    without an entry for one of our attacks. A plugin's attack uses its own defaults if the preset has no entry for it.
    """
    if preset not in PRESETS:
        raise UserError(
            f"There is no preset named {preset!r}.{did_you_mean(preset, PRESETS)} The presets are {', '.join(PRESETS)}."
        )
    full = full_name(name, library)
    factory = attacks.get(full)
    merged = {**_preset(full, preset), **parameters}
    signature = inspect.signature(factory).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in signature.values()):
        for key in merged:
            if key not in signature:
                accepted = ", ".join(signature) or "none"
                raise UserError(
                    f"The attack {full} has no parameter {key!r}.{did_you_mean(key, signature)} It takes {accepted}."
                )
    try:
        attack: Attack = factory(**merged)
    except UserError as error:
        raise UserError(f"The attack {full}: {error}") from None
    except Exception as error:  # a third-party constructor may raise anything
        raise UserError(f"The attack {full} refuses {merged}: {reason_of(error, typed=True)}") from error
    return attack


def full_name(name: str, library: str) -> str:
    """The name under which an attack is registered: ``library/name``, or a plugin's plain ``name``."""
    full = f"{library}/{name}"
    if full in attacks:
        return full
    # A name that only one library has needs no library in a suite.
    # Ours never stand in for it: what a suite means must not change with what we follow.
    others = [other for other in attacks if other.rpartition("/")[2] == name and other.partition("/")[0] != OURS]
    return others[0] if len(others) == 1 and library in LIBRARIES else full


def _preset(full: str, preset: str) -> dict[str, Any]:
    library, _, name = full.rpartition("/")
    table = PRESETS[preset]
    parameters = table.get(full, table.get(name) if library in LIBRARIES else None)
    if parameters is None and attacks.is_ours(full):
        # Using the defaults here would pass one paper's parameters off as another's.
        others = [p for p, t in PRESETS.items() if full in t or (library in LIBRARIES and name in t)]
        raise UserError(f"The preset {preset!r} is not for {full}; use the preset {' or '.join(map(repr, others))}.")
    return parameters or {}
