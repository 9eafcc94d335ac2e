"""Weights that ship: located by name, checked by sha256, each with a card that says how it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import nn

from ..core.errors import UserError
from ..core.files import MOST_ARRAYS, replace_file
from ..core.hashing import digest
from ..core.home import usable
from ..core.near import did_you_mean
from ..core.packed import XZ, halves, read_content
from .cards import INDEX, Card
from .cards import cards as cards
from .cards import folder as folder
from .classifier import Classifier


def locate(weights: str, where: Path | None = None) -> Path:
    """The file of the weights that ship under this name, checked by sha256; else ``weights`` as a path.

    Raises UserError if neither exists or the file is not the published one.
    """
    place = where or folder()
    known = cards(place)
    if weights not in known:
        if (path := usable(weights)).is_file():
            return path
        raise UserError(
            f"There is no weights file {weights} and no weights of this name ship.{did_you_mean(weights, known)} "
            "`subnetbench ls weights` lists those; correct model.weights, or replace it by a [model.train] table."
        )
    path = place / str(known[weights]["file"])
    if not path.is_file() or not _is(path, known[weights]["sha256"]):
        state = "not the published ones (sha256 differs)" if path.is_file() else "missing"
        raise UserError(f"The weights {weights} at {path} are {state}; install subnetbench again.")
    return path


def _is(path: Path, sha256: str) -> bool:
    try:
        return weights_hash(path) == sha256
    except UserError:  # what was changed can no longer be unpacked
        return False


#: sha256 of what a compressed file holds, by that of the file: a start asks twice, and unpacking takes most of it.
_HELD: dict[str, str] = {}


def weights_hash(path: Path) -> str:
    """sha256 of a safetensors file: the same whether or not it is compressed. UserError if it cannot be unpacked."""
    of_file = digest(path)
    if path.suffix != XZ:
        return of_file
    if of_file not in _HELD:
        _HELD[of_file] = hashlib.sha256(_content(path)).hexdigest()
    return _HELD[of_file]


def _content(path: Path) -> bytes:
    return read_content(path, MOST_ARRAYS, "download or save it again")


#: Kept in float32 in files of half precision: six numbers, on which every activation depends.
NORMALISATION = ("mean", "std")


def _rounds(name: str, tensor: torch.Tensor) -> bool:
    """Whether a tensor is written in half precision: one that is too large for it (BatchNorm's variances) is not."""
    fits = tensor.is_floating_point() and bool(tensor.half().isfinite().all())
    return fits and name not in NORMALISATION


def to_half(classifier: Classifier) -> None:
    """Round parameters and buffers to float16 precision where `save_weights` does, in place; they stay float32."""
    with torch.no_grad():
        for name, tensor in classifier.state_dict().items():
            if _rounds(name, tensor):
                tensor.copy_(tensor.half())


def publish(classifier: Classifier, name: str, card: Mapping[str, Any], where: Path) -> Path:
    """Write float16 weights, compressed, their line in the index and the page of cards into a folder."""
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{name.replace('/', '-')}.safetensors{XZ}"
    save_weights(classifier, path, {key: str(value) for key, value in card.items()}, half=True)
    known = cards(where)
    known[name] = {"file": path.name, "sha256": weights_hash(path), "bytes": path.stat().st_size, **card}
    known = dict(sorted(known.items()))
    (where / INDEX).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    (where / "README.md").write_text(page(known), encoding="utf-8")
    return path


def page(known: Mapping[str, Card]) -> str:
    """The cards as Markdown."""
    lines = ["# Weights that ship", "", "Each was made, and this page with it, by the command that its card names."]
    lines += ["`bytes` are those of the file, compressed; `sha256` is of what it holds: `xz -dc FILE | sha256sum`.", ""]
    for name, card in known.items():
        lines += [f"## {name}", "", *(f"- **{key.replace('_', ' ')}**: {value}" for key, value in card.items()), ""]
    return "\n".join(lines)


def own_tensors(net: nn.Module) -> dict[str, torch.Tensor]:
    """All parameters and buffers by name, each in memory of its own: a module used twice has two names."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in net.state_dict().items()
    }


def save_weights(classifier: Classifier, path: Path, metadata: Mapping[str, str], *, half: bool = False) -> None:
    """Write all parameters and buffers; with ``half`` as float16, except what that rounds away. Raises OSError.

    A file whose name ends in xz is compressed.
    """
    tensors = {
        name: tensor.half() if half and _rounds(name, tensor) else tensor
        for name, tensor in own_tensors(classifier).items()
    }
    blob = save(tensors, metadata=dict(metadata))
    replace_file(path, halves(blob) if path.suffix == XZ else blob)


def load_weights(classifier: Classifier, path: Path) -> dict[str, str]:
    """Fill the classifier from a safetensors file and return the file's metadata.

    Raises UserError if the file is missing, is not safetensors (a pickle, say), does not fit the net or holds numbers
    that no net can have.
    """
    tensors, metadata = read_weights(path)
    state = classifier.state_dict()
    _refuse_misfit(tensors, state, path)
    refuse_unusable(tensors, f"The weights in {path}", state)
    classifier.load_state_dict({name: tensor.to(state[name].dtype) for name, tensor in tensors.items()})
    return metadata


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a safetensors file, compressed or not, by name, and its metadata.

    Raises UserError if the file is missing or is not safetensors (a pickle, say).
    """
    if not path.is_file():
        raise UserError(f"There is no weights file {path}; give the path of a .safetensors file.")
    try:
        if path.suffix == XZ:
            blob = _content(path)
            tensors = load(blob)  # checks the header
            return tensors, json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")]).get("__metadata__") or {}
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            return tensors, dict(file.metadata() or {})
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a safetensors file ({error}); pickled weights are never loaded: "
            "convert them with safetensors.torch.save_file(state_dict, path)."
        ) from None


Tensors = Mapping[str, torch.Tensor]


def _refuse_misfit(tensors: Tensors, state: Tensors, path: Path) -> None:
    """Raise UserError unless names and shapes in a file are the net's."""
    missing, foreign = sorted(state.keys() - tensors.keys()), sorted(tensors.keys() - state.keys())
    other = sorted(name for name in state.keys() & tensors.keys() if state[name].shape != tensors[name].shape)
    if not (missing or foreign or other):
        return
    counts = (
        (missing, f"of its {len(state)} tensors are missing"),
        (other, f"of its {len(state)} tensors have another shape"),
        (foreign, "in the file are not the net's"),
    )
    found = ", ".join(f"{len(names)} {what} (first: {names[0]!r})" for names, what in counts if names)
    raise UserError(
        f"The weights in {path} do not fit the net: {found}. "
        f"{_advice(foreign, state) or 'Give the model that these weights were trained for.'}"
    )


def _advice(foreign: Sequence[str], state: Tensors) -> str:
    """What to do if the file's names are the net's but for a prefix, as DataParallel and bare nets write them."""
    for known in state if foreign else ():
        more, less = foreign[0].removesuffix(known), known.removesuffix(foreign[0])
        if more.endswith(".") and all(name.removeprefix(more) in state for name in foreign):
            return f"The names in the file begin with {more!r} and the net's do not; remove it from them."
        if less.endswith(".") and all(f"{less}{name}" in state for name in foreign):
            return f"The net's names begin with {less!r} and those in the file do not; add it to them."
    return ""


def refuse_unusable(tensors: Tensors, what: str, state: Tensors | None = None) -> None:
    """Raise UserError for a tensor that is NaN, infinite, a negative variance, or no floating point where ``state`` is.

    ``state``: the net's own tensors, if they are others.
    """
    for name, tensor in tensors.items():
        wanted = tensor if state is None else state[name]
        if tensor.is_floating_point() != wanted.is_floating_point() or (tensor.dtype == torch.bool) != (
            wanted.dtype == torch.bool
        ):
            fault = f"is of {_dtype(tensor)} and the net's of {_dtype(wanted)}"
        elif not tensor.is_floating_point():
            continue
        elif not bool(tensor.isfinite().all()):
            fault = "holds NaN or infinite numbers"
        elif name.endswith("running_var") and bool((tensor < 0).any()):
            fault = "is a variance and holds negative numbers"
        else:
            continue
        raise UserError(f"{what} cannot be used: {name!r} {fault}; train or save them again.")


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
