"""A suite's parameters for its data set and its models, checked before a factory gets them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..core import registry
from ..core.parameters import check_parameters
from ..core.places import SuiteError
from ..core.registry import Registry
from ..data.dataset import Dataset
from ..data.load import is_npz
from ..data.npz import from_npz
from .suite import DatasetPart, ModelPart
from .toml import Place

#: Parameters of data sets that the harness gives.
OURS = {"root", "path"}


def check_part(kind: Registry[Any], name: str, given: Mapping[str, Any], place: Place) -> None:
    """A registered constructor takes the parameters that a part of a suite gives it at this place."""
    factory = kind.get(name)
    try:
        inspect.signature(factory).bind_partial(**given)
    except TypeError as error:
        raise SuiteError(place, f"the {kind.kind} {name!r} does not take them ({error}).") from None
    except ValueError:  # it has no signature
        return
    check_parameters(factory, given, place)


def check_data(part: DatasetPart) -> None:
    """The parameters fit the data set's factory; a name that is registered nowhere has an error of its own."""
    for name in OURS & part.parameters.keys():
        raise SuiteError(("dataset", "parameters", name), "a suite does not say where data lie; give --data-root.")
    if is_npz(part.name):
        check_parameters(from_npz, part.parameters, ("dataset", "parameters"))
    elif part.name in registry.datasets:
        check_part(registry.datasets, part.name, part.parameters, ("dataset", "parameters"))


def check_model(part: ModelPart, place: Place = ("model",), dataset: Dataset | None = None) -> None:
    """The parameters fit the model's factory, and those that the data set determines are the data set's."""
    place = (*place, "parameters")
    check_part(registry.models, part.name, part.parameters, place)
    if dataset is not None:
        for name, value in (("classes", dataset.classes), ("shape", dataset.shape)):
            given = part.parameters.get(name, value)
            if (tuple(given) if isinstance(given, list) else given) != value:
                raise SuiteError((*place, name), f"it is {given!r}, and {dataset.name} has {value}; leave it out.")
