"""A suite's parameters for its data set and its models, checked before a factory gets them."""

from __future__ import annotations

from ..core import registry
from ..core.errors import SuiteError
from ..core.parameters import check_parameters
from ..data.dataset import Dataset
from ..data.npz import from_npz
from .suite import DatasetPart, ModelPart
from .toml import Place


def check_data(part: DatasetPart) -> None:
    """The parameters fit the data set's factory; a name that is registered nowhere has an error of its own."""
    if part.name.endswith(".npz"):
        check_parameters(from_npz, part.parameters, ("dataset", "parameters"))
    elif part.name in registry.datasets:
        check_parameters(registry.datasets.get(part.name), part.parameters, ("dataset", "parameters"))


def check_model(part: ModelPart, place: Place = ("model",), dataset: Dataset | None = None) -> None:
    """The parameters fit the model's factory, and those that the data set determines are the data set's."""
    place = (*place, "parameters")
    check_parameters(registry.models.get(part.name), part.parameters, place)
    if dataset is not None:
        for name, value in (("classes", dataset.classes), ("shape", dataset.shape)):
            given = part.parameters.get(name, value)
            if (tuple(given) if isinstance(given, list) else given) != value:
                raise SuiteError((*place, name), f"it is {given!r}, and the data have {value}; leave it out.")
