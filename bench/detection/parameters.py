"""Parameters of a suite's attacks and detectors, checked before anything is built, each mistake with its place."""

from __future__ import annotations

from ...attacks.presets import build, full_name
from ..core import registry
from ..core.parameters import check_parameters
from ..core.places import placed
from ..harness.parameters import check_part
from .suite import Suite


def check_parts(suite: Suite) -> None:
    """Raise `SuiteError` for the first attack or detector that does not take its parameters."""
    for number, attack in enumerate(suite.attacks):
        with placed(("attacks", number)):
            factory = registry.attacks.get(full_name(attack.name, attack.library))
            check_parameters(factory, attack.parameters, ("attacks", number, "parameters"))
            build(attack.name, attack.library, attack.preset, attack.parameters)
    for number, detector in enumerate(suite.detectors):
        place = ("detectors", number)
        check_part(registry.detectors, detector.name, detector.parameters, (*place, "parameters"))
        for index, candidate in enumerate(detector.candidates or ()):
            check_part(registry.detectors, detector.name, candidate, (*place, "candidates", index))
