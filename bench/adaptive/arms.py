"""A suite's arms, made for a budget; a mistake in their parameters is found before anything is computed."""

from __future__ import annotations

from typing import Any

from ...attacks.arms.contract import Arm
from ..core import registry
from ..core.errors import UserError
from ..core.parameters import check_parameters
from ..detection.adaptive import Adaptive, ArmPart
from ..harness.plugins import made
from .entry import CALIBRATION, CLEAN, STATIC, TRANSFER, ArmNote

#: Labels that rows of other kinds have.
TAKEN = (CLEAN, CALIBRATION, STATIC, TRANSFER)


def arm_of(part: ArmPart, wanted: Adaptive, epsilon: float) -> Arm:
    """The arm at a budget. UserError that names it where it cannot be made of the suite's parameters."""
    where = f"adaptive.arms.{part.title}.parameters"
    if part.title in TAKEN:
        raise UserError(f"adaptive.arms: {part.title!r} is the name of other rows; give the arm another label.")
    for name in ("epsilon", "norm"):
        if name in part.parameters:
            raise UserError(f"{where}: {name} is the whole track's, and is given as adaptive.epsilons; remove it.")
    factory = registry.arms.get(part.name)
    check_parameters(factory, part.parameters, ("adaptive", "arms", part.title, "parameters"))
    given: dict[str, Any] = {"epsilon": epsilon, "steps": wanted.steps, "restarts": wanted.restarts}
    arm = made(registry.arms, part.name, given | part.parameters, where)
    if not isinstance(arm, Arm):
        raise UserError(f"{where}: {part.name!r} is no arm; it must be a subclass of attacks.arms.contract.Arm.")
    return arm


def arm_note(part: ArmPart, wanted: Adaptive, remark: str) -> ArmNote:
    """What an entry states of an arm; its budget is the cell's."""
    arm = arm_of(part, wanted, wanted.epsilons[-1])
    parameters = {name: value for name, value in arm.parameters.items() if name != "epsilon"}
    return ArmNote(
        name=part.name,
        title=arm.title,
        year=arm.year,
        url=arm.url,
        needs_gradient=arm.needs_gradient,
        parameters=parameters,
        remark=remark,
    )
