"""Any `nn.Module` as a `Classifier`: one stage, with taps and gate positions found by one pass."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..core.errors import UserError, reason_of
from ..core.hashing import source_hash
from .classifier import Classifier
from .fits import head_of, refuse_unusable_logits, trial_images, untrainable
from .found import gates_of, taps_of
from .named import named_gates, named_taps
from .probe import Probe, probe
from .stage import STAGE, Stage


def wrap(
    module: nn.Module,
    *,
    taps: Sequence[str] | None = None,
    gate_positions: Mapping[str, Sequence[str]] | None = None,
    classes: int | None = None,
    shape: tuple[int, int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Classifier:
    """A float32 copy of ``module`` as a `Classifier`; see `Classifier.wrap`."""
    if not isinstance(module, nn.Module):
        raise UserError(f"Classifier.wrap takes an nn.Module, not a {type(module).__name__}; give the net itself.")
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        raise UserError("The net is TorchScript, whose parts cannot be read; give the module that it was made of.")
    shape = _shape(shape)
    mean, std = _statistics("mean", mean, 0.0, shape[0]), _statistics("std", std, 1.0, shape[0])
    stage = Stage(_copied(module), classes)
    net = nn.Sequential(OrderedDict([(STAGE, stage)]))
    images = trial_images(net, shape, mean, std)
    seen = _passed(net, images)
    stage.classes = refuse_unusable_logits(net, images, seen, classes)
    for output in seen.once():
        if output.axis != 1:
            stage.channel_axes[output.path] = output.axis
    stage.head = head_of(net, images, seen.result)
    stage.untrainable = untrainable(net, images, stage.classes)
    classifier = Classifier(
        net,
        mean=mean,
        std=std,
        taps=taps_of(seen) if taps is None else named_taps(taps, module, seen),
        gate_positions=gates_of(seen) if gate_positions is None else named_gates(gate_positions, module, seen),
        classes=stage.classes,
        shape=shape,
    )
    classifier.made_by = source_hash(type(module))
    return classifier.to(images.device).train(module.training)


# -- what is handed over -----------------------------------------------------------------------------------------------


def _copied(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module).float()
    except Exception as error:  # of somebody's own module, or of tensors that are no parameters
        raise UserError(
            f"The net {type(module).__name__} cannot be copied ({reason_of(error, typed=True)}); give one that "
            "copy.deepcopy copies."
        ) from None


def _shape(shape: Any) -> tuple[int, int, int]:
    if shape is None:
        raise UserError("Classifier.wrap needs the images' shape; give shape=(channels, height, width).")
    sizes = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else (shape,)
    if len(sizes) != 3 or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise UserError(f"shape is {shape!r}; give shape=(channels, height, width), three whole numbers above 0.")
    return sizes


def _statistics(name: str, values: Sequence[float] | None, neutral: float, channels: int) -> tuple[float, ...]:
    if values is None:
        return (neutral,) * channels
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise UserError(f"{name} is {values!r}; give a list with a number for each of {channels} channels.") from None
    if len(numbers) != channels:
        raise UserError(f"{name} has {len(numbers)} numbers for {channels} channels; give one for each channel.")
    if not all(map(math.isfinite, numbers)) or (name == "std" and min(numbers) <= 0):
        raise UserError(f"{name} is {numbers}; give finite numbers{', above 0' if name == 'std' else ''}.")
    return numbers


def _passed(net: nn.Sequential, images: torch.Tensor) -> Probe:
    try:
        return probe(net, images)
    except UserError:
        raise
    except Exception as error:  # the net may be anybody's
        shape = tuple(images.shape[1:])
        swapped = "; shape is (channels, height, width)" if shape[0] not in (1, 3) and shape[2] in (1, 3) else ""
        raise UserError(
            f"The net cannot take two images of shape {shape} ({reason_of(error, typed=True)}){swapped}."
        ) from error
