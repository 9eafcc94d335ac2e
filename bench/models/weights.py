"""Weights that ship: located by name, checked by sha256, each with a card that says how it was made."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..core.errors import UserError
from ..core.hashing import digest
from ..core.home import usable
from .classifier import Classifier

Card = dict[str, Any]

INDEX = "index.json"


def folder() -> Path:
    return Path(str(files("subnetbench.bench"))) / "weights"


def cards(where: Path | None = None) -> dict[str, Card]:
    """Name -> card of every set of weights that ships."""
    path = (where or folder()) / INDEX
    index: dict[str, Card] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return index


def locate(weights: str, where: Path | None = None) -> Path:
    """The file of the weights that ship under this name, checked by sha256; else ``weights`` as a path.

    Raises UserError if neither exists or the file is not the published one.
    """
    place = where or folder()
    known = cards(place)
    if weights not in known:
        if (path := usable(weights)).is_file():
            return path
        near = difflib.get_close_matches(weights, known, n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UserError(
            f"There is no weights file {weights} and no weights of this name ship.{hint} "
            "`subnetbench ls weights` lists those; correct model.weights, or leave it out to train."
        )
    path = place / str(known[weights]["file"])
    if not path.is_file() or digest(path) != known[weights]["sha256"]:
        state = "not the published ones (sha256 differs)" if path.is_file() else "missing"
        raise UserError(f"The weights {weights} at {path} are {state}; install subnetbench again.")
    return path


def to_half(classifier: Classifier) -> None:
    """Round parameters and buffers to float16 precision, in place; they stay float32."""
    with torch.no_grad():
        for tensor in classifier.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())


def publish(classifier: Classifier, name: str, card: Mapping[str, Any], where: Path) -> Path:
    """Write float16 weights, their line in the index and the page of cards into a folder."""
    where.mkdir(parents=True, exist_ok=True)
    path = where / f"{name.replace('/', '-')}.safetensors"
    save_weights(classifier, path, {key: str(value) for key, value in card.items()}, half=True)
    known = cards(where)
    known[name] = {"file": path.name, "sha256": digest(path), "bytes": path.stat().st_size, **card}
    known = dict(sorted(known.items()))
    (where / INDEX).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    (where / "README.md").write_text(page(known), encoding="utf-8")
    return path


def page(known: Mapping[str, Card]) -> str:
    """The cards as Markdown."""
    lines = ["# Weights that ship", "", "Each was made, and this page with it, by the command that its card names.", ""]
    for name, card in known.items():
        lines += [f"## {name}", "", *(f"- **{key.replace('_', ' ')}**: {value}" for key, value in card.items()), ""]
    return "\n".join(lines)


def save_weights(classifier: Classifier, path: Path, metadata: Mapping[str, str], *, half: bool = False) -> None:
    """Write all parameters and buffers, with ``half`` those of floating point as float16."""
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in classifier.state_dict().items()
    }
    save_file(tensors, path, metadata=dict(metadata))


def load_weights(classifier: Classifier, path: Path) -> dict[str, str]:
    """Fill the classifier from a safetensors file and return the file's metadata.

    Raises UserError if the file is missing, is not safetensors (a pickle, say) or does not fit the net.
    """
    if not path.is_file():
        raise UserError(f"There is no weights file {path}; give the path of a .safetensors file.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a safetensors file ({error}); pickled weights are never loaded: "
            "convert them with safetensors.torch.save_file(state_dict, path)."
        ) from None
    state = classifier.state_dict()
    wrong = [n for n in {*state, *tensors} if n not in state or n not in tensors or state[n].shape != tensors[n].shape]
    if wrong:
        raise UserError(
            f"The weights in {path} do not fit the net: {len(wrong)} of {len(state)} tensors differ in name or shape "
            f"(first: {sorted(wrong)[0]!r}). Give the model that these weights were trained for."
        )
    classifier.load_state_dict({name: tensor.to(state[name].dtype) for name, tensor in tensors.items()})
    return metadata
