"""What is wrong with a suite's data, model and weights, as far as it shows without training or downloading."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core import registry
from ..core.home import expanded
from ..core.places import placed
from ..data.dataset import Dataset, Split
from ..data.load import is_npz
from ..models.weights import load_weights, locate
from .parameters import check_data, check_model
from .setup import Setup
from .toml import Place

#: Classes and side of data sets that are known without their images, in colour.
KNOWN = {"cifar10": (10, 32), "cifar100": (100, 32), "svhn": (10, 32), "svhn10k": (10, 32), "tinyimagenet30": (30, 64)}


def check_setup(setup: Setup, place: Place = ("model",)) -> None:
    """Raise UserError for a mistake in the suite's data, its model (at ``place``) or its weights.

    The net is built, and sees two images, where the images or their shape are at hand and nothing is downloaded.
    """
    model = setup.suite.model
    check_data(setup.suite.dataset)
    check_model(model, place)
    with placed((*place, "weights")):
        path = None if model.weights is None else locate(model.weights)
    dataset = _at_hand(setup)
    bare = registry.models.is_ours(model.name) or registry.models.in_family(model.name)
    if dataset is None or ("weights" in model.parameters and not bare):
        return
    check_model(model, place, dataset)
    with placed(place, model.model_dump()):
        net = Setup(setup.suite, setup.context, dataset).blank_net(pretrained=False)
    if path is not None:
        with placed((*place, "weights")):
            load_weights(net, path)


def _at_hand(setup: Setup) -> Dataset | None:
    """The suite's data if they need no download, else black images of their shape, or None if that is not known."""
    part, root = setup.suite.dataset, setup.context.data_root
    own = expanded(part.name) if is_npz(part.name) else None
    if own is not None and root is None and own.parent == Path() and not own.is_file():
        return None  # it may lie in a data root that is not given here
    lent = registry.datasets.lent(part.name) is not None
    if part.name == "digits" or lent or own is not None or (root is not None and is_npz(root)):
        with placed(("dataset",), part.model_dump()):
            return setup.dataset
    if part.name not in KNOWN:
        return None
    classes, side = KNOWN[part.name]
    side = part.parameters.get("size", side)
    if not 1 <= side <= 1000:
        return None
    split = Split(np.zeros((2, side, side, 3), np.uint8), np.arange(2))
    return Dataset(part.name, split, split, classes)
