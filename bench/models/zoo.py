"""torchvision's nets by name, ``torchvision/<architecture>``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from torch import nn

from ..core.errors import UserError
from ..core.near import did_you_mean
from ..core.registry import Family, models
from .byname import Shape, built, classifier_of
from .classifier import Classifier
from .states import filled, tensors_of
from .torchvision import MEAN, STD, fetched

#: Builders that turn this on with any of torchvision's weights: these were trained on images normalised otherwise.
TRANSFORMS_INPUT = ("googlenet", "inception_v3")


def torchvision_net(
    architecture: str,
    *,
    classes: int = 1000,
    shape: Shape = (3, 224, 224),
    weights: str | None = None,
    rows: Sequence[int | str] | None = None,
    head: str | None = None,
    side: int | None = None,
    **arguments: Any,
) -> Classifier:
    """A net of torchvision's; ``weights``: a name of its weights' enum, the path of a file, or none.

    ``rows`` or ``head``: what becomes of a head of another number of classes (`states.filled`). Images are resized to
    ``side`` pixels inside the net. Further arguments are the architecture's own. Taps are found by one pass.
    """
    import torchvision.models as library

    name = f"torchvision/{architecture}"
    known = library.get_model_weights(architecture).__members__
    if weights is None:
        mean, std, net = MEAN, STD, _built(architecture, classes, **arguments)
    elif weights in known:
        enum = known[weights]
        preparing = enum.transforms()
        mean, std = tuple(preparing.mean), tuple(preparing.std)
        build = partial(_built, architecture, **(_with_weights(architecture, enum) | arguments))
        net = filled(build, fetched(enum), classes, what=f"The weights {weights} of {name}", rows=rows, head=head)
    else:
        mean, std = MEAN, STD
        tensors = _read(weights, architecture, list(known))
        build = partial(_built, architecture, **arguments)
        net = filled(build, tensors, classes, what=f"The weights {weights}", rows=rows, head=head)
    return classifier_of(net, name, classes=classes, shape=shape, mean=mean, std=std, side=side, taps=None)


def _built(architecture: str, classes: int, **arguments: Any) -> nn.Module:
    import torchvision.models as library

    build = library.get_model_builder(architecture)
    return built(build, f"torchvision/{architecture}", weights=None, num_classes=classes, **arguments)


def _with_weights(architecture: str, enum: Any) -> dict[str, Any]:
    """The arguments that torchvision's builder overrides where it is given the weights itself."""
    if architecture in TRANSFORMS_INPUT:
        return {"transform_input": True}
    if architecture.startswith("vit_"):
        return {"image_size": enum.meta["min_size"][0]}
    return {}


def _read(weights: str, architecture: str, known: list[str]) -> dict[str, Any]:
    """The tensors of a file. What looks like a name and is no file is a UserError that names the weights there are."""
    if not any(mark in weights for mark in "./\\"):
        raise UserError(
            f"torchvision has no weights {weights!r} of {architecture}.{did_you_mean(weights, known)} It has "
            f"{', '.join(known) or 'none'}; give one of them, or the path of a file."
        )
    return tensors_of(weights)


@lru_cache(maxsize=256)
def member(architecture: str) -> Callable[..., Classifier]:
    """The factory of one of torchvision's classifiers. UserError for an architecture that it does not have."""
    known = _classifiers()
    if architecture not in known:
        raise UserError(
            f"torchvision has no classifier {architecture!r}.{did_you_mean(architecture, known)} "
            f"`torchvision.models.list_models(module=torchvision.models)` lists its {len(known)}."
        )
    return partial(torchvision_net, architecture)


def _classifiers() -> list[str]:
    import torchvision.models as library

    return list(library.list_models(module=library))


def _row() -> tuple[str, str]:
    text = f"torchvision's classifiers, {len(_classifiers())} architectures; weights such as IMAGENET1K_V1"
    return "torchvision/<architecture>", text


models.add_family("torchvision", Family(member, _row))
