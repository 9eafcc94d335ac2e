"""Taps and gate positions that somebody names in a net of their own: each must be a module that a pass can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from ..core.errors import UserError
from ..core.near import did_you_mean
from .probe import Probe
from .stage import STAGE


def named_taps(taps: Sequence[str], module: nn.Module, seen: Probe) -> list[str]:
    """The taps' paths in the wrapped net. Raises UserError for one that gives nothing to read."""
    return _checked("taps", taps, module, seen)


def named_gates(positions: Mapping[str, Sequence[str]], module: nn.Module, seen: Probe) -> dict[str, list[str]]:
    """The same for named sets of modules whose channels are gated."""
    if not isinstance(positions, Mapping):
        raise UserError(
            f"gate_positions is a {type(positions).__name__}; give a dictionary of lists, such as "
            '{"units": ["conv1", "conv2"]}.'
        )
    return {name: _checked(f"gate_positions[{name!r}]", paths, module, seen) for name, paths in positions.items()}


def _checked(where: str, paths: Sequence[str], module: nn.Module, seen: Probe) -> list[str]:
    if isinstance(paths, str) or not all(isinstance(path, str) for path in paths):
        raise UserError(f"{where} is {paths!r}; give a list of module paths, as named_modules() has them.")
    if len(set(paths)) < len(paths):
        raise UserError(f"{where} names a module twice; name each once.")
    return [_inside(where, path, module, seen) for path in paths]


def _inside(where: str, path: str, module: nn.Module, seen: Probe) -> str:
    known = {name for name, _ in module.named_modules(remove_duplicate=False) if name}
    inner = path if path in known else path.removeprefix(f"{STAGE}.module.")
    if inner not in known:
        hint = did_you_mean(path, known) or f" Its parts are {', '.join(name for name, _ in module.named_children())}."
        raise UserError(f"{where}: the net has no module {path!r}.{hint}")
    full = f"{STAGE}.module.{inner}"
    calls, output = seen.calls.get(full, 0), seen.at(full)
    if calls != 1:
        times = "does not run" if not calls else f"runs {calls} times"
        raise UserError(
            f"{where}: the module {inner!r} {times} in a pass of the net (in evaluation mode); name one that runs once."
        )
    if output is None:
        raise UserError(f"{where}: the module {inner!r} gives {seen.others[full]}; name one that gives a tensor.")
    if len(output.shape) < 2 or output.shape[0] != 2 or not output.moving:
        raise UserError(
            f"{where}: the module {inner!r} gives shape {output.shape} for two images; name one that gives "
            "(2, channels, ...) or, with channels last, (2, ..., channels)."
        )
    return full
