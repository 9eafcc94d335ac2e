"""Whether a net of anybody's can be a classifier at all, tried on two images of noise: else one sentence."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ..core.errors import UserError, reason_of
from ..core.seeding import seeded
from .classifier import evaluating
from .probe import Probe

#: Share of the logits' scale by which rounding may make two passes differ; TF32 keeps three digits.
TOLERANCE = 0.02

#: Last operations after which the numbers are no logits, and what to call them.
SQUASHING = {"_softmax": "softmax", "_log_softmax": "log-softmax", "sigmoid": "sigmoid", "log_sigmoid": "log-sigmoid"}


def trial_images(
    net: nn.Module, shape: tuple[int, int, int], mean: tuple[float, ...], std: tuple[float, ...]
) -> torch.Tensor:
    """Two normalised images of noise, always the same, on the net's device. UserError if it lies on none or several."""
    tensors = [*net.parameters(), *net.buffers()]
    devices = list(dict.fromkeys(tensor.device for tensor in tensors)) or [torch.device("cpu")]
    if len(devices) > 1:
        names = ", ".join(map(str, devices))
        raise UserError(f'The net lies on several devices ({names}); move it to one, such as net.to("cpu").')
    if devices[0].type == "meta":
        raise UserError('The net is on the device "meta", where its weights have no values; load them first.')
    images = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    centre, scale = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    return ((images - centre) / scale).to(devices[0])


def refuse_unusable_logits(net: nn.Module, images: torch.Tensor, seen: Probe, classes: int | None) -> int:
    """The number of classes. Raises UserError unless the pass gave finite logits, the same in every pass and batch."""
    logits = seen.result
    if logits.ndim != 2 or len(logits) != 2 or (classes is not None and logits.shape[1] != classes):
        wanted = "classes" if classes is None else classes
        raise UserError(
            f"The net gives shape {tuple(logits.shape)} for two images and not (2, {wanted}); "
            "let its forward return a logit for each class."
        )
    if logits.shape[1] == 1:
        raise UserError("The net gives one number an image; let its forward return a logit for each of two classes.")
    if not bool(torch.isfinite(logits).all()):
        raise UserError("The net gives NaN or infinite logits for noise; load undamaged weights or train it again.")
    facts = seen.record.of(logits)
    _refuse_probabilities(logits, facts.by if facts is not None else "")
    with _passing(net):
        _refuse_unsteady(net, images, logits)
        _refuse_without_gradient(net, images)
    return int(logits.shape[1])


def _refuse_probabilities(logits: torch.Tensor, by: str) -> None:
    name = SQUASHING.get(by, "")
    ones = torch.ones(len(logits)).to(logits)
    if not name and bool((logits >= 0).all()) and torch.allclose(logits.sum(1), ones, atol=1e-4):
        name = "softmax"
    if not name and torch.allclose(logits.exp().sum(1), ones, atol=1e-4):
        name = "log-softmax"
    if name:
        raise UserError(
            f"The net ends in a {name} and not in logits, which hides from attacks and detectors how sure it is; "
            "let its forward return what goes into it."
        )


def _refuse_unsteady(net: nn.Module, images: torch.Tensor, logits: torch.Tensor) -> None:
    """Raise UserError for logits that chance or the other images of the batch decide on."""
    allowed = TOLERANCE * float(logits.abs().max())
    again = net(images)
    if not bool((again - logits).abs().max() <= allowed):
        raise UserError(
            "The net gives other logits when it sees the same images again, in evaluation mode: something random stays "
            "on; call F.dropout with training=self.training."
        )
    cause = "BatchNorm without running statistics is a likely cause; give it some, or use another normalisation"
    try:
        alone = torch.cat([net(images[:1]), net(images[1:])])
        fits = alone.shape == logits.shape
    except UserError:
        raise
    except Exception as error:  # such as BatchNorm's own, for want of a second value
        raise UserError(
            f"The net takes two images but not a single one ({reason_of(error, typed=True)}), so that an image's "
            f"logits depend on its batch; {cause}."
        ) from error
    if not fits or not bool((alone - logits).abs().max() <= allowed):
        raise UserError(f"The net gives an image logits that depend on the other images of its batch; {cause}.")


def _refuse_without_gradient(net: nn.Module, images: torch.Tensor) -> None:
    learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
    x = images.clone().requires_grad_()
    try:
        for parameter in learned:  # as in a run, where weights are fixed
            parameter.requires_grad_(False)
        with torch.enable_grad():
            torch.autograd.grad(net(x)[:, 0].sum(), x)
    except Exception as error:  # the net may be anybody's
        raise UserError(
            f"No gradient comes back through the net to its images ({reason_of(error, typed=True)}), and attacks need "
            "it; detach nothing, and write operations in place such as x += y as x = x + y."
        ) from error
    finally:
        for parameter in learned:
            parameter.requires_grad_()


@contextmanager
def _passing(net: nn.Module) -> Iterator[None]:
    """Passes without a trace: in evaluation mode, and all generators as they were."""
    device = next(net.parameters(), torch.zeros(1)).device
    with evaluating(net), torch.inference_mode(False), torch.no_grad(), seeded(1, device):
        yield


def head_of(net: nn.Module, images: torch.Tensor, logits: torch.Tensor) -> str | None:
    """The path of the last linear layer if the logits are its output of its flattened input; None otherwise."""
    inputs: dict[str, torch.Tensor] = {}

    def hook_for(path: str) -> Any:
        def hook(_module: nn.Module, args: Any) -> None:
            if args and isinstance(args[0], torch.Tensor):
                inputs[path] = args[0].clone()

        return hook

    linear = {path: module for path, module in net.named_modules() if isinstance(module, nn.Linear)}
    handles = [module.register_forward_pre_hook(hook_for(path)) for path, module in linear.items()]
    try:
        with _passing(net):
            net(images)
    finally:
        for handle in handles:
            handle.remove()
    allowed = 1e-3 * float(logits.abs().max())
    for path in reversed(inputs):
        features, module = inputs[path].flatten(1), linear[path]
        if features.shape == (2, module.in_features) and module.out_features == logits.shape[1]:
            with _passing(net):
                given = module(features)
            if bool((given - logits).abs().max() <= allowed):
                return path
    return None


def untrainable(net: nn.Module, images: torch.Tensor, classes: int) -> str:
    """Why the net cannot be trained: what it does otherwise in training mode. Empty where it gives logits there too."""
    copied = copy.deepcopy(net).train()  # a pass moves running statistics
    try:
        with torch.inference_mode(False), torch.no_grad(), seeded(1, images.device):
            shape = tuple(copied(images).shape)
    except Exception as error:  # the net may be anybody's
        return (
            f"The net works in evaluation mode alone: in training mode it raises {reason_of(error, typed=True)}; bring "
            "it with trained weights, or let its forward take images alone in both modes."
        )
    if shape == (2, classes):
        return ""
    return (
        f"The net gives shape {shape} in training mode and (2, {classes}) in evaluation mode; bring it with trained "
        "weights, or let its forward return logits in both modes."
    )
