"""What an attack is worth on a small net: its budget, its successes beside FGSM and BIM, and its passes."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ...attacks.contract import Attack
from ...attacks.presets import build
from ...attacks.verify import AttackFailed, check_budget, craft, noise_of_norm, verify
from ..detection.attacked import attack_passes
from ..models.classifier import Classifier
from ..models.passes import counted
from .attack_claims import AttackClaim, Finding
from .attack_material import SEED, AttackMaterial
from .material import Broken

#: The budget of FGSM and BIM beside an attack that has none in L-infinity: that of the suite `digits`.
EPSILON = 0.2

#: How many times as many passes as stated an attack may make, and how many times fewer: it may end early.
MORE, FEWER = 4.0, 10.0

NORMS = ("L2", "Linf")

#: Images of class 0 that are attacked.
ZEROS = 20

Facts = dict[str, Any]


def facts_of(material: AttackMaterial) -> Facts:
    """Measurements of the attacked images, by `attacks.verify.verify`."""
    images, labels = material.images[: material.count], material.labels[: material.count]
    return verify(material.net, images, material.adversarial, labels, name=material.name)


def budget(material: AttackMaterial) -> Finding:
    stated, facts = material.info, facts_of(material)
    if stated.epsilon is None:
        return "measured", "it declares none"
    try:
        check_budget(stated, facts, material.name)
    except AttackFailed as error:
        raise Broken(str(error).removesuffix(".")) from None
    return "passes", f"{stated.norm} up to {facts[stated.norm.lower()].max():.4g} of {stated.epsilon:.4g}"


def zero(material: AttackMaterial) -> Finding:
    """Class 0 is attacked like the same class of a net that numbers its classes from 1 on, the last one 0."""
    some = torch.nonzero(material.labels == 0).flatten()[: min(ZEROS, material.size)]
    turned = copy.deepcopy(material.net)
    with torch.no_grad():
        for values in turned.head.parameters():
            values.copy_(values.roll(1, 0))
    images, fooled = material.images[some], []
    for net, label in ((material.net, 0), (turned, 1)):
        labels = torch.full((len(some),), label)
        made = material.made(images, labels, net=net)
        fooled.append(int(verify(net, images, made, labels, name=material.name)["success"].sum()))
    told = f"{fooled[0]} of {len(some)} images fooled, and {fooled[1]} where the same class is numbered 1"
    if fooled[0] < fooled[1] / 2:
        raise Broken(told)
    return "passes", told


def worth(material: AttackMaterial) -> Finding:
    facts = facts_of(material)
    images, labels = material.images[: material.count], material.labels[: material.count]
    before = verify(material.net, images, images, labels)["margin"]
    nearer = int((facts["margin"] > before).sum())
    noise = noise_of_norm(images, facts["l2"], torch.Generator().manual_seed(2))
    mere = int(verify(material.net, images, noise, labels)["success"].sum())
    told = f"{_told(facts, material.batches)}; noise of the same norms fools {mere}"
    fooled = int(facts["success"].sum())
    if fooled < mere / 2 or (not fooled and nearer <= len(images) / 2):
        raise Broken(f"{told}; {nearer} of {len(images)} images came nearer to another class: turn the sign?")
    return ("warning" if fooled <= mere else "passes"), told


def beside(material: AttackMaterial) -> Finding:
    stated = material.info
    epsilon = stated.epsilon if stated.norm == "Linf" and stated.epsilon else EPSILON
    parameters: Mapping[str, Mapping[str, Any]] = {
        "fgsm": {"epsilon": epsilon},
        "bim": {"epsilon": epsilon, "step_size": epsilon / 5, "steps": 10},
    }
    told = [f"{name}: {_rival(material, name, chosen)}" for name, chosen in parameters.items()]
    return "measured", f"Linf {epsilon:.4g}, {'; '.join(told)}"


def _rival(material: AttackMaterial, name: str, parameters: Mapping[str, Any]) -> str:
    attack = build(name, "foolbox", "standard", parameters)
    images, labels = material.images[: material.count], material.labels[: material.count]
    with counted(material.net) as passes:
        made = craft(attack, material.net, images, labels, seed=SEED, name=name)
    return _told(verify(material.net, images, made, labels), [passes])


def _told(facts: Facts, calls: Any) -> str:
    good, count = facts["success"].astype(bool), len(facts["success"])
    norms = "".join(f", median {norm} {np.median(facts[norm.lower()][good]):.3g}" for norm in NORMS if good.any())
    forward, backward = (sum(getattr(call, way) for call in calls) / count for way in ("forward", "backward"))
    return (
        f"{int(good.sum())} of {count} images fooled{norms}, "
        f"{forward:.4g} forward and {backward:.4g} backward passes an image"
    )


def passes(material: AttackMaterial) -> Finding:
    """A backward pass counts as two forward passes."""
    made = sum(call.forward + 2 * call.backward for call in material.batches) / material.count
    stated = _stated(material.attack, material.net)
    told = f"{stated:.4g} forward passes an image and makes {made:.4g}, a backward pass counted as two"
    near = made / MORE <= stated <= made * FEWER
    if getattr(material.attack, "passes", None) is None:
        more = "" if near else "; add a method passes(classes)"
        return ("measured" if near else "warning"), f"without a method passes, an estimate takes {told}{more}"
    if not near:
        raise Broken(f"it states {told}; up to {MORE:g} times as many or {FEWER:g} times fewer are taken")
    return "passes", f"it states {told}"


def _stated(attack: Attack, net: Classifier) -> float:
    try:
        stated = attack_passes(attack, net.classes)
    except (TypeError, ValueError) as error:
        raise Broken(f"passes({net.classes}) gives no number ({error})") from None
    if not math.isfinite(stated) or stated < 0:
        raise Broken(f"passes({net.classes}) gives {stated}")
    return stated


def cost(material: AttackMaterial) -> Finding:
    seconds = material.again.seconds / min(material.size, material.count)
    return "measured", f"{1000 * seconds:.3g} ms an image"


#: By name, in reporting order.
WORTH: Mapping[str, AttackClaim] = {
    "its budget is kept": budget,
    "class 0 is a class like others": zero,
    "it fools the net": worth,
    "beside FGSM and BIM": beside,
    "its passes are about those that are counted": passes,
    "time": cost,
}
