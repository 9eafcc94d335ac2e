"""Tensors from a file that somebody else wrote, and put into a net: a `state_dict` or ``.safetensors``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..core.errors import UserError, reason_of
from ..core.home import usable
from ..core.near import did_you_mean
from ..core.packed import XZ
from ..core.wnids import places
from .weights import read_weights, refuse_unusable

Tensors = Mapping[str, torch.Tensor]

#: Keys under which training scripts keep the state_dict beside an optimiser's state, the averaged weights first.
NESTED = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")

#: What `torch.save` of a net inside DataParallel or torch.compile writes before every name.
PREFIXES = ("module.", "_orig_mod.")

#: ``head = "new"``: a head of the data set's classes, untrained, in place of the weights' own.
NEW = "new"


def tensors_of(where: str) -> dict[str, torch.Tensor]:
    """All tensors of a file by name. No code in it is ever run: what is no table of tensors is a UserError."""
    path = usable(where)
    if not path.is_file():
        raise UserError(f"There is no weights file {path}; give the path of a state_dict or of a .safetensors file.")
    if path.name.endswith(f".safetensors{XZ}"):
        return _plain(read_weights(path)[0], path)
    try:
        held = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except SafetensorError as error:
        raise UserError(f"{path} is not a safetensors file ({reason_of(error)}); save it again.") from None
    except Exception as error:  # torch, pickle and zipfile each raise types of their own
        raise UserError(
            f"{path} cannot be read as a state_dict without running code in it ({reason_of(error)}); save "
            "net.state_dict() by torch.save, or by safetensors.torch.save_file."
        ) from None
    return _plain(held, path)


def _plain(held: Any, path: Path) -> dict[str, torch.Tensor]:
    """The table of tensors in what was read, without what wraps the net's own names."""
    inner = next(
        (held[key] for key in NESTED if isinstance(held, Mapping) and isinstance(held.get(key), Mapping)), held
    )
    if not isinstance(inner, Mapping) or not inner or not all(isinstance(v, torch.Tensor) for v in inner.values()):
        raise UserError(f"{path} holds no state_dict but a {type(inner).__name__}; save net.state_dict() there.")
    tensors = {str(name): tensor for name, tensor in inner.items()}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def filled(
    build: Callable[[int], nn.Module],
    tensors: Tensors,
    classes: int,
    *,
    what: str,
    rows: Sequence[int | str] | None = None,
    head: str | None = None,
) -> nn.Module:
    """The net that ``build(classes)`` gives, with these weights; ``what`` names them.

    A head of another number of logits is a UserError, unless ``rows`` names the logits to keep (positions, or wnids of
    ImageNet's thousand), one for each class, or ``head`` is `NEW`.
    """
    if head not in (None, NEW):
        raise UserError(f"model.parameters.head is {head!r}; it may only be {NEW!r}.{did_you_mean(head, [NEW])}")
    net = build(classes)
    state = net.state_dict()
    _refuse_foreign(tensors, state, what)
    other = [name for name in state if state[name].shape != tensors[name].shape]
    if rows is not None:
        other = _of_head(state, build(classes + 1).state_dict())
    if not all(_is_head(state[name], tensors[name], classes) for name in other):
        raise UserError(
            f"{what} do not fit the net: {other[0]!r} is of shape {tuple(tensors[other[0]].shape)} in them and "
            f"{tuple(state[other[0]].shape)} in the net; give the net's own arguments in model.parameters."
        )
    total = len(tensors[other[0]]) if other else classes
    if other and rows is None and head is None:
        raise UserError(
            f"{what} have {total} logits and the data set has {classes} classes; list in model.parameters.rows the "
            f'logits of these classes (positions or wnids), or give head = "{NEW}" for an untrained head.'
        )
    chosen = None if rows is None else _chosen(rows, total, classes)
    put = {name: tensor if name not in other or chosen is None else tensor[chosen] for name, tensor in tensors.items()}
    put |= {name: state[name] for name in other} if chosen is None else {}
    refuse_unusable(put, what, state)
    net.load_state_dict({name: put[name].to(state[name].dtype) for name in state})
    return net


def _refuse_foreign(tensors: Tensors, state: Tensors, what: str) -> None:
    """UserError unless the names are the net's."""
    counts = (
        (sorted(state.keys() - tensors.keys()), f"of the net's {len(state)} tensors are not in them"),
        (sorted(tensors.keys() - state.keys()), "of theirs are not the net's"),
    )
    faults = [f"{len(names)} {text} ({', '.join(map(repr, names[:3]))})" for names, text in counts if names]
    if faults:
        raise UserError(f"{what} do not fit the net: {'; '.join(faults)}. Give the net that these weights are of.")


def _of_head(state: Tensors, larger: Tensors) -> list[str]:
    """The tensors whose size is the number of classes."""
    return [name for name in state if state[name].shape != larger[name].shape]


def _is_head(mine: torch.Tensor, theirs: torch.Tensor, classes: int) -> bool:
    return mine.ndim == theirs.ndim > 0 and len(mine) == classes and mine.shape[1:] == theirs.shape[1:]


def _chosen(rows: Sequence[int | str], total: int, classes: int) -> list[int]:
    """Positions among ``total`` logits, one for each class."""
    named = [row for row in rows if isinstance(row, str)]
    if named and total != 1000:
        raise UserError(
            f"model.parameters.rows names wnids ({named[0]!r}), and the weights have {total} logits, not ImageNet's "
            "thousand; give positions."
        )
    positions = dict(zip(named, places(named), strict=True))
    chosen = [positions[row] if isinstance(row, str) else row for row in rows]
    wrong = [row for row in chosen if not 0 <= row < total]
    if wrong or len(chosen) != classes:
        fault = f"{wrong[0]} is not among 0 to {total - 1}" if wrong else f"it lists {len(chosen)}"
        raise UserError(f"model.parameters.rows has to list a logit for each of {classes} classes; {fault}.")
    return chosen
