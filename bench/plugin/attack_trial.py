"""Trial of an attack: the contract, and its images beside those of FGSM and BIM on a small net."""

from __future__ import annotations

from typing import Any

import torch

from ...attacks.verify import AttackFailed
from ..core import registry
from ..core.keywords import named_arguments
from ..harness.objects import ATTACK, Fixed, given, registered_as
from .attack_claims import ATTACK_CLAIMS, ATTACK_ROOTS, AttackClaim
from .attack_material import AttackMaterial
from .attack_worth import WORTH
from .checks import RUNS, Check
from .material import Broken, raised
from .report import Report
from .trial import bare_ground, one_thread


@named_arguments
def check_attack(attack: str | Any, *, debug: bool = False) -> Report:
    """Run every check of the contract of attacks: of a class, an instance, a function or a registered name.

    They run on a small net that is trained on digits on the spot, once per process, and on test images that it
    classifies correctly. Each `Check` has a ``name``, an ``outcome`` and a ``message``; ``passed`` is false only where
    the contract is broken. The list is shown as `subnetbench validate-attack` prints it. An instance is checked
    through others with its parameters. An attack that does not run has a single check that states where it raised;
    with ``debug`` the error is raised. Raises UserError, one sentence, for what is no attack.
    """
    name, factory = _named(attack)
    with one_thread():
        return Report(name, _examined(_material(name, factory), debug))


def _named(attack: str | Any) -> tuple[str, Any]:
    """The name to show, and what makes instances."""
    if isinstance(attack, str):
        return attack, registry.attacks.get(attack)
    thing = given(attack, ATTACK)
    name = registered_as(registry.attacks, thing.maker) or thing.name
    return thing.title(name), Fixed(thing) if thing.fixed else thing.maker


def _material(name: str, factory: Any) -> AttackMaterial:
    net, test = bare_ground().net, bare_ground().data.test
    images, labels = test.tensor(), torch.from_numpy(test.labels)
    with torch.no_grad():
        right = net(images).argmax(1) == labels
    return AttackMaterial(factory, net, images[right], labels[right], name)


def _examined(material: AttackMaterial, debug: bool) -> list[Check]:
    try:
        _ = material.batches
    except Exception as error:
        if debug:
            raise
        return [Check(RUNS, "fails", raised(error))]
    checks: list[Check] = []
    for name, claim in ATTACK_ROOTS.items():
        checks.append(_check(name, claim, material))
        if not checks[-1].passed:
            return checks
    return checks + [_check(name, claim, material) for name, claim in {**ATTACK_CLAIMS, **WORTH}.items()]


def _check(name: str, claim: AttackClaim, material: AttackMaterial) -> Check:
    try:
        return Check(name, *claim(material))
    except (Broken, AttackFailed) as broken:
        return Check(name, "fails", str(broken).removesuffix("."))
    except Exception as error:  # an attack under test may fail in any way; each is a result
        return Check(name, "fails", raised(error))
