"""A net as its factory gives it: seeded, its errors in one sentence, and what determines it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..core import registry
from ..core.blame import blamed
from ..core.errors import UserError, reason_of
from ..core.hashing import digest, key_of, source_hash
from ..core.seeding import seeded
from ..models.byname import architecture_only
from ..models.classifier import Classifier
from .suite import ModelPart


def make(name: str, parameters: Mapping[str, Any], seed: int, *, debug: bool = False, **offered: Any) -> Classifier:
    """The registered model ``name`` with these parameters, over those ``offered``; every draw comes from the seed.

    Raises UserError if the factory does not take the parameters, and for any error inside it.
    """
    factory, given = registry.models.get(name), {**offered, **parameters}
    try:
        inspect.signature(factory).bind(**given)
    except TypeError as error:
        raise UserError(f"model.parameters: the model {name!r} does not take them ({error}).") from None
    with seeded(seed):
        net: Classifier = (
            _ours(factory, name, given) if registry.models.is_ours(name) else _theirs(factory, name, given, debug)
        )
    theirs = not (registry.models.is_ours(name) or registry.models.in_family(name))
    if isinstance(net, Classifier) and theirs:
        net.made_by = key_of("factory", {"source": factory_source(name), "parameters": with_files(parameters)})
    return net


def factory_source(name: str) -> str:
    """Hash of a factory's code, or of the net that somebody handed over."""
    lent = registry.models.lent(name)
    return source_hash(registry.models.get(name)) if lent is None else lent.source


def _ours(factory: Callable[..., Classifier], name: str, given: Mapping[str, Any]) -> Classifier:
    try:
        return factory(**given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"model.parameters: the model {name!r} does not take them ({reason_of(error)}).") from None


def _theirs(factory: Callable[..., Classifier], name: str, given: Mapping[str, Any], debug: bool) -> Classifier:
    with blamed(f"The factory of the model {name!r}", debug=debug):
        return factory(**given)


def with_files(value: Any) -> Any:
    """Parameters in which the path of an existing file is replaced by the file's sha256: its content counts."""
    if isinstance(value, Mapping):
        return {key: with_files(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_files(item) for item in value]
    if isinstance(value, str) and os.path.isfile(value):
        return {"sha256": digest(Path(value))}
    return value


def brings_weights(net: Classifier, other: Classifier) -> bool:
    """Whether nets that a factory gave under two seeds are equal: then their parameters are not drawn but read."""
    theirs = dict(other.named_parameters())
    return all(key in theirs and torch.equal(value, theirs[key]) for key, value in net.named_parameters())


def library_of(name: str) -> dict[str, str]:
    """The library that builds a net by name, with its version, which no list of an entry's has; {} of other nets."""
    library = name.partition("/")[0]
    return {"library": f"{library} {version(library)}"} if registry.models.in_family(name) else {}


def refuse_untrained(part: ModelPart, where: str) -> None:
    """Raise UserError if nothing gives one of our own nets its weights; a plug-in's factory may bring them."""
    gives = part.weights is not None or part.train is not None or part.parameters.get("weights")
    bare = registry.models.in_family(part.name) and architecture_only(part.name, {})[0] == part.name
    if not gives and (bare or registry.models.is_ours(part.name)):
        takes = "weights" in inspect.signature(registry.models.get(part.name)).parameters
        place = f"{where}.parameters.weights" if takes else f"{where}.weights"
        raise UserError(
            f"{where}: nothing gives the model {part.name!r} its weights; add a [{where}.train] table to train it, or "
            f"name weights in {place}."
        )
