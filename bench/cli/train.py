"""Training one net of a suite from the command line, and publishing its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ..core.errors import UserError
from ..core.progress import Bars
from ..core.store import Store
from ..harness.setup import Nets
from ..harness.suite import NetSuite
from ..harness.train import accuracy
from ..models.weights import publish, save_weights, to_half


def train_net(
    suite: NetSuite,
    store: Store,
    *,
    device: torch.device,
    data_root: Path | None,
    out_file: Path | None,
    ship: Path | None,
    name: str | None,
    command: str,
    console: Console,
    out: Console,
) -> None:
    """Train into the store and say what came out; also write the weights to a file, also publish them as float16.

    They are published under ``name``, or the data set's and the net's.
    """
    chosen = suite.model_copy(update={"model": suite.model.model_copy(update={"weights": None})})
    model = chosen.model
    with Bars(console) as bars:
        store.warn = bars.warn
        nets = Nets(chosen, store, device=device, data_root=data_root, report=bars)
        net = nets.classifier
    meta = nets.weights_meta | {"model": model.name, "dataset_sha256": nets.dataset.content_hash}
    if out_file is not None:
        try:
            out_file.parent.mkdir(parents=True, exist_ok=True)
            save_weights(net, out_file, {k: str(v) for k, v in meta.items()})
        except OSError as error:
            raise UserError(f"{out_file} cannot be written ({error.strerror or error}); give another --out.") from None
    out.print(f"{model.name}: {nets.clean_accuracy:.2%} of {len(nets.dataset.test)} test images right.")
    for key, value in meta.items():
        out.print(f"  {key} {value}", markup=False, highlight=False, soft_wrap=True)
    if ship is None:
        return
    dataset = nets.dataset
    to_half(net)
    card: dict[str, Any] = {
        "data": dataset.name + (f" ({dataset.note})" if dataset.note else ""),
        "data_sha256": dataset.content_hash,
        "test_accuracy": f"{accuracy(net, dataset.test):.4f}",
        "test_images": len(dataset.test),
        "train_images": len(dataset.train),
        "model": model.name,
        "parameters": model.parameters,
        **{key: meta[key] for key in ("recipe", "train_minutes", "precision", "hardware") if key in meta},
        "command": command,
    }
    try:
        path = publish(net, name or f"{dataset.name}/{net_name(model.name, model.parameters)}", card, ship)
    except OSError as error:
        raise UserError(f"{ship} cannot be written ({error.strerror or error}); give another --ship.") from None
    out.print(f"{path}: float16, {card['test_accuracy']} of {card['test_images']} test images right.", soft_wrap=True)


def net_name(name: str, parameters: dict[str, Any]) -> str:
    """The model's name with what its parameters change: ``resnet34-width16``."""
    return "-".join([name, *(f"{key}{value}" for key, value in sorted(parameters.items()))])
