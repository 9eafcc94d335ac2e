"""One pass of two images before a net is trained or attacked: what cannot be a classifier of the data is refused."""

from __future__ import annotations

from typing import Any

import torch

from ..core.errors import UserError, reason_of
from ..core.text import counted
from .classifier import Classifier, evaluating


def refuse_unfit(net: Any, name: str, classes: int, images: torch.Tensor) -> None:
    """Raise UserError unless the net is a float32 `Classifier` that gives a logit per class for two images.

    ``images`` ``(2, C, H, W)`` and ``classes`` are the data's; ``name`` is the model's in the suite.
    """
    if not isinstance(net, Classifier):
        raise UserError(
            f"The model {name!r} gives {_named(net)} and not a Classifier; let its factory wrap the net in "
            "subnetbench.bench.Classifier."
        )
    if net.classes != classes:
        raise UserError(
            f"The model {name!r} has {net.classes} classes and the data have {classes}; give the model as many."
        )
    shape = tuple(images.shape[1:])
    if tuple(net.shape) != shape:
        raise UserError(
            f"The model {name!r} is made for images of {_sized(tuple(net.shape))} and the data have {_sized(shape)}; "
            "choose another model, or let its factory pass shape on to the Classifier."
        )
    parameters = dict(net.named_parameters())
    if not parameters:
        raise UserError(f"The model {name!r} has no parameters: there is no classifier to train; check its factory.")
    for path, tensor in net.state_dict().items():
        if tensor.dtype != torch.float32 and (tensor.is_floating_point() or path in parameters):
            raise UserError(
                f"The model {name!r} has its tensor {path!r} in {_dtype(tensor)}; give a net in float32 (net.float())."
            )
    logits, seen = _passed(net, name, images)
    wanted = net.classes + further_logits(net)
    if not isinstance(logits, torch.Tensor):
        raise UserError(f"The model {name!r} gives {_named(logits)} for two images; it must give a tensor of logits.")
    if tuple(logits.shape) != (2, wanted) or logits.dtype != torch.float32:
        raise UserError(
            f"The model {name!r} gives {_dtype(logits)} of shape {tuple(logits.shape)} for two images; it must give "
            f"float32 logits of shape (2, {wanted}), one for each class."
        )
    for tap in net.taps:
        _refuse_unreadable(seen, tap, name, "tap", "taps")
    for path in _gated(net):
        _refuse_unreadable(seen, path, name, "gated module", "gate_positions")


def further_logits(net: Classifier) -> int:
    """How many logits a net has beyond those of the data's classes, for what is none of them."""
    return sum(getattr(stage, "further_logits", 0) for stage in net.net)


def refuse_further_logits(net: Classifier, name: str) -> None:
    """Raise UserError for a net that may find an image to be of none of the data's classes, which has no subnet."""
    if further_logits(net):
        raise UserError(
            f"The model {name!r} has a logit for what is none of the data's {net.classes} classes. An image that it "
            "takes for that has no class here, and detectors ask for its statistics or its subnet: give data of all "
            "classes that its weights know, or keep to boxes (a suite with [[models]] and [[saliency]])."
        )


def _gated(net: Classifier) -> list[str]:
    return list(dict.fromkeys(path for paths in net.gate_positions.values() for path in paths))


def _refuse_unreadable(seen: dict[str, Any], path: str, name: str, what: str, where: str) -> None:
    if path not in seen:
        raise UserError(
            f"The model {name!r} does not run its {what} {path!r} in a pass; name a module that runs, in {where}."
        )
    output = seen[path]
    if not isinstance(output, torch.Tensor) or output.ndim < 2 or len(output) != 2:
        given = f"shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else _named(output)
        raise UserError(
            f"The model {name!r} gives {given} at its {what} {path!r} for two images; a {what} must give a tensor "
            f"(2, channels, ...): name another module in {where}."
        )


def _passed(net: Classifier, name: str, images: torch.Tensor) -> tuple[Any, dict[str, Any]]:
    try:
        with torch.no_grad(), evaluating(net):
            return net.observe(images.to(net.mean), (*net.taps, *_gated(net)))
    except UserError:
        raise
    except Exception as error:  # the net may be anybody's
        raise UserError(
            f"The model {name!r} cannot take two images of {_sized(tuple(images.shape[1:]))} "
            f"({reason_of(error, typed=True)}); choose another model or other images."
        ) from error


def _sized(shape: tuple[int, ...]) -> str:
    channels, height, width = shape
    return f"{height} x {width} pixels with {counted(channels, 'channel')}"


def _named(thing: Any) -> str:
    return "None" if thing is None else f"a {type(thing).__name__}"


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
