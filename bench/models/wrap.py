"""Any `nn.Module` as a `Classifier`: one stage, with taps and gate positions found by one pass."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..core.errors import UserError, reason_of
from ..core.hashing import source_hash
from .classifier import Classifier, evaluating

#: The only stage of a wrapped net: a pass always starts at the images, whatever the forward does in between.
STAGE = "wrapped"

NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
RELUS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.ELU, nn.Hardswish)


class Stage(nn.Module):
    """The net, giving its logits alone: of a tuple the first tensor, of a mapping or an output object ``logits``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return logits_of(self.module(x))


def logits_of(output: Any) -> torch.Tensor:
    """The logits in a net's output. Raises UserError where there are none to be found."""
    if isinstance(output, torch.Tensor):
        return output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, torch.Tensor):
        return named
    if isinstance(output, tuple | list) and output and isinstance(output[0], torch.Tensor):
        return output[0]
    raise UserError(f"The net gives a {type(output).__name__} without logits; let its forward return (N, classes).")


@dataclass
class Pass:
    """``maps``: path -> shape of outputs ``(N, C, H, W)`` in order; ``units``: convolution -> the end of its unit."""

    maps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    logits: torch.Tensor = field(default_factory=lambda: torch.zeros(0))


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
    if shape is None:
        raise UserError("Classifier.wrap needs the images' shape; give shape=(channels, height, width).")
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and len(values) != shape[0]:
            raise UserError(f"{name} has {len(values)} numbers for {shape[0]} channels; give one for each channel.")
    net = nn.Sequential(OrderedDict([(STAGE, Stage(copy.deepcopy(module).float()))]))
    record = _passed(net, shape)
    if record.logits.ndim != 2 or (classes is not None and record.logits.shape[1] != classes):
        wanted = "classes" if classes is None else classes
        raise UserError(
            f"The net gives shape {tuple(record.logits.shape)} for two images and not (2, {wanted}); "
            "let its forward return a logit for each class."
        )
    classifier = Classifier(
        net,
        mean=mean or (0.0,) * shape[0],
        std=std or (1.0,) * shape[0],
        taps=_ends(record) if taps is None else [_inside(path) for path in taps],
        gate_positions=_gates(record) if gate_positions is None else _named(gate_positions),
        classes=int(record.logits.shape[1]),
        shape=shape,
    )
    classifier.made_by = source_hash(type(module))
    return classifier


def _inside(path: str) -> str:
    return path if path.startswith(f"{STAGE}.") else f"{STAGE}.module.{path}"


def _named(positions: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {name: [_inside(path) for path in paths] for name, paths in positions.items()}


def _ends(record: Pass) -> list[str]:
    """The last module at each spatial resolution above one pixel, in the order in which they run."""
    last = {shape[2:]: path for path, shape in record.maps.items() if record.calls[path] == 1 and shape[2:] != (1, 1)}
    return [path for path in record.maps if path in last.values()]


def _gates(record: Pass) -> dict[str, list[str]]:
    units = [end for start, end in record.units.items() if record.calls[start] == record.calls[end] == 1]
    return {"units": units, "late": units[len(units) // 2 :]} if units else {}


def _passed(net: nn.Module, shape: tuple[int, int, int]) -> Pass:
    """One pass of two images of zeros, as a record of what each module gave."""
    record, ends = Pass(), dict[int, str]()
    kept: list[torch.Tensor] = []  # ids stay unique as long as the tensors live

    def hook_for(path: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            record.calls[path] = record.calls.get(path, 0) + 1
            if not isinstance(output, torch.Tensor) or output.ndim != 4:
                return
            kept.append(output)
            record.maps.pop(path, None)
            record.maps[path] = tuple(output.shape)
            start = path if isinstance(module, nn.Conv2d) else ends.get(id(inputs[0])) if inputs else None
            if start is not None and isinstance(module, (nn.Conv2d, *NORMS, *RELUS)):
                record.units[start], ends[id(output)] = path, start

        return hook

    handles = [m.register_forward_hook(hook_for(path)) for path, m in net.named_modules() if path]
    try:
        with torch.no_grad(), evaluating(net):
            record.logits = net(torch.zeros(2, *shape))
    except UserError:
        raise
    except Exception as error:  # the net may be anybody's
        raise UserError(f"The net cannot take two images of shape {shape} ({reason_of(error, typed=True)}).") from error
    finally:
        for handle in handles:
            handle.remove()
    return record
