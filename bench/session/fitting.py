"""What else has to change in a suite whose net, attacks or detectors are others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core import registry
from ..core.errors import UserError
from ..core.hashing import key_of
from ..core.progress import Reporter
from ..detection.fits import ALL_ATTACKS
from ..detection.suite import Suite
from ..models.classifier import Classifier

#: The longest name of a suite.
LONGEST = 64


def fitted(suite: Suite, net: Classifier, report: Reporter) -> Suite:
    """The suite with gates where this net has some; if it has none, without subnets and what needs them."""
    if suite.sensitivity is not None and not set(suite.sensitivity.position) <= net.gate_positions.keys():
        report.warn(
            f"The sensitivity of {suite.name} to choices of gates is left out: the net has other gate positions."
        )
        suite = suite.model_copy(update={"sensitivity": None})
    if suite.subnets is None or suite.subnets.get("position") in net.gate_positions:
        return suite
    if net.gate_positions:
        position = next(iter(net.gate_positions))
        report.warn(
            f"The net has no gate position {suite.subnets.get('position')!r}, at which {suite.name} learns subnets; "
            f"they are learned at {position!r}."
        )
        return suite.model_copy(update={"subnets": {**suite.subnets, "position": position}})
    kept = [part for part in suite.detectors if "subnets" not in registry.detectors.get(part.name).info.needs]
    lost = [part.title for part in suite.detectors if part not in kept]
    if lost:
        report.warn(f"The net has no gate positions; {', '.join(lost)} need subnets and are left out.")
    return suite.model_copy(update={"subnets": None, "sensitivity": None, "detectors": kept})


def trimmed(suite: Suite, base: Suite, report: Reporter) -> Suite:
    """The suite without what names parts that it no longer has, and without protocols that do not know its attacks."""
    attacks, detectors = ([part.title for part in parts] for parts in (suite.attacks, suite.detectors))
    kept = [pair for pair in suite.statistics.comparisons if set(pair) <= set(detectors)]
    changes: dict[str, Any] = {"statistics": suite.statistics.model_copy(update={"comparisons": kept})}
    wanted = suite.sensitivity
    if wanted is not None and not {wanted.detector, wanted.control, wanted.baseline} <= set(detectors):
        changes["sensitivity"] = None
    if suite.adaptive is not None:
        attacked = [label for label in suite.adaptive.detectors if label in detectors]
        fit_on = suite.adaptive.fit_on if suite.adaptive.fit_on in attacks else ALL_ATTACKS
        adaptive = suite.adaptive.model_copy(update={"detectors": attacked, "fit_on": fit_on})
        changes["adaptive"] = adaptive if attacked or not suite.adaptive.detectors else None
    return _known_to_protocols(suite.model_copy(update=changes), report)


def _known_to_protocols(suite: Suite, report: Reporter) -> Suite:
    able, reason = [], ""
    for protocol in suite.protocols:
        try:
            for attack in suite.attacks:
                protocol.sigma(attack.title, attack.name)
        except UserError as error:
            reason = str(error)
            report.warn(f"The protocol {protocol.name} is left out: {reason}")
        else:
            able.append(protocol)
    if not able:
        raise UserError(reason)
    return suite.model_copy(update={"protocols": able})


def named(suite: Suite, added: Sequence[str]) -> Suite:
    """The suite under a name that says what was added, cut with a hash where it is too long."""
    if not added:
        return suite
    name = "-".join([suite.name, *added])
    short = name if len(name) <= LONGEST else f"{name[:50].rstrip('-.')}-{key_of('name', {'name': name})[:8]}"
    return suite.model_copy(update={"name": short})
