"""A net that is handed over: a `Classifier`, or any module, which is wrapped in one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from torch import nn

from ..core import registry
from ..core.errors import UserError, reason_of
from ..data.dataset import Dataset
from ..harness.parameters import check_model
from ..harness.suite import ModelPart
from ..harness.toml import explain
from ..models.classifier import Classifier


def classifier_of(thing: Any, data: Callable[[], Dataset]) -> Classifier:
    """A copy of the net on the CPU in evaluation mode, as a classifier of the data. UserError for what is none."""
    if not isinstance(thing, nn.Module):
        if isinstance(thing, type) and issubclass(thing, nn.Module):
            raise UserError(f"model is the class {thing.__name__}; make an instance of it.")
        raise UserError(
            f"model is of type {type(thing).__name__}; give a registered name, a table with one, "
            "a torch module or a Classifier."
        )
    try:
        net = copy.deepcopy(thing).cpu().eval()
    except Exception as error:  # of somebody's own module, or of tensors that are no parameters
        raise UserError(
            f"The net {type(thing).__name__} cannot be copied ({reason_of(error, typed=True)}); give one that "
            "copy.deepcopy copies."
        ) from None
    if isinstance(net, Classifier):
        return net
    dataset = data()
    return Classifier.wrap(net, classes=dataset.classes, shape=dataset.shape)


def part_of(table: Mapping[str, Any]) -> ModelPart:
    """A net by name with its parameters, as a suite's table ``[model]`` has them. UserError for another table."""
    try:
        part = ModelPart.model_validate(dict(table))
    except ValidationError as error:
        raise UserError(explain(error, lambda _: "model")) from None
    registry.models.get(part.name)
    check_model(part)
    return part


class Given:
    """The factory of a net that is handed over; each call gives a copy of its own."""

    def __init__(self, net: Classifier) -> None:
        self._net = net

    def __call__(self, *, classes: int, shape: tuple[int, int, int]) -> Classifier:
        return copy.deepcopy(self._net)
