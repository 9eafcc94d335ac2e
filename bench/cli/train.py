"""The command that trains a suite's nets and publishes their weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import UserError
from . import console
from .options import ConfigOption, JobsOption, SeedOption, ShardOption, Surroundings, When, with_surroundings
from .output import with_output

if TYPE_CHECKING:
    from ..harness.setup import Setup
    from ..harness.suite import NetSuite


@with_output("quiet")
@with_surroundings
def train(
    here: Surroundings,
    suite: Annotated[str, typer.Argument(help="Train the classifier of this suite.")] = "digits",
    net: Annotated[str | None, typer.Option("--net", help="Only this one of several nets.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Also write the weights to this .safetensors file.")
    ] = None,
    ship: Annotated[
        Path | None,
        typer.Option("--ship", help="Also publish the weights as float16, with their card, into this folder."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--as", help="Publish under this name instead of <data set>/<net>.")
    ] = None,
    seed: SeedOption = None,
    n_jobs: JobsOption = None,
    parallel_config: ConfigOption = None,
    shard: ShardOption = None,
) -> None:
    """Train a suite's nets into the store; an interrupted training resumes after its last epoch."""
    from ..tracks import load_suite, located
    from .parallel import Ways, trained_apart

    ways = Ways.of(n_jobs, parallel_config, shard, None, False, When.missing)
    loaded = load_suite(suite).overridden(seed=seed)
    nets = _chosen(suite, loaded.nets(), net)
    if out_file is not None and len(nets) > 1:
        raise UserError(f"{suite} has {len(nets)} nets and --out names one file; choose one with --net.")
    if name is not None and (len(nets) > 1 or not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name)):
        raise UserError(f"--as {name} must name the weights of one net as <data set>/<net>, in letters, digits, . _ -.")
    command = f"subnetbench train {suite}" + (f" --ship {ship}" if ship else "") + (f" --as {name}" if name else "")
    command += f" --seed {seed}" if seed is not None else ""
    if ways.config is not None or ways.shard is not None:
        with console.progress() as bars, located(suite):
            own = trained_apart(ways, suite, loaded, here.context(bars), here.device, seed=seed, net=net)
        nets = nets if own is None else [loaded.nets()[label] for label in own]
    for chosen in nets:
        with located(suite):
            setup = _trained(chosen, here)
        if out_file is not None:
            _write(setup, out_file)
        _report(setup)
        if ship is not None:
            _publish(setup, name, command, ship)


def _chosen(suite: str, nets: dict[str, NetSuite], label: str | None) -> list[NetSuite]:
    """All nets of a suite, or the one with that label."""
    if label is None:
        return list(nets.values())
    if label not in nets and len(nets) == 1:
        raise UserError(f"{suite} has one net, {next(iter(nets))!r}, and none labelled {label!r}; leave --net out.")
    if label not in nets:
        raise UserError(f"{suite} has no net labelled {label!r}; it has {', '.join(nets)}.")
    return [nets[label]]


def _trained(suite: NetSuite, here: Surroundings) -> Setup:
    """The suite's data and net, trained even where the suite names weights."""
    from ..harness.setup import Setup
    from ..parallel.training import to_train

    with console.progress() as bars:
        setup = Setup(to_train(suite), here.context(bars))
        _ = setup.trained
    return setup


def _facts(setup: Setup) -> dict[str, Any]:
    facts = setup.trained.weights
    return facts | {"model": setup.suite.model.name, "dataset_sha256": setup.dataset.content_hash}


def _write(setup: Setup, path: Path) -> None:
    from ..models.weights import save_weights

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(setup.trained.net, path, {k: str(v) for k, v in _facts(setup).items()})
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); give another --out.") from None


def _report(setup: Setup) -> None:
    model, test = setup.suite.model, setup.dataset.test
    console.plain(f"{model.name}: {setup.trained.accuracy:.2%} of {len(test)} test images correctly classified.")
    for key, value in _facts(setup).items():
        console.plain(f"  {key} {value}")


def _publish(setup: Setup, name: str | None, command: str, folder: Path) -> None:
    """Round the weights to float16 and publish them with their card, as ``name`` or <data set>/<net>."""
    from ..harness.train import accuracy
    from ..models.weights import publish, to_half

    net, dataset, model, facts = setup.trained.net, setup.dataset, setup.suite.model, _facts(setup)
    to_half(net)
    card: dict[str, Any] = {
        "data": dataset.name + (f" ({dataset.note})" if dataset.note else ""),
        "data_sha256": dataset.content_hash,
        "test_accuracy": f"{accuracy(net, dataset.test):.4f}",
        "test_images": len(dataset.test),
        "train_images": len(dataset.train),
        "model": model.name,
        "parameters": model.parameters,
        **{key: facts[key] for key in ("recipe", "train_minutes", "precision", "hardware") if key in facts},
        "command": command,
    }
    try:
        path = publish(net, name or f"{dataset.name}/{net_name(model.name, model.parameters)}", card, folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror or error}); give another --ship.") from None
    right = f"{card['test_accuracy']} of {card['test_images']} test images correctly classified."
    console.plain(f"{path}: float16, {right}")


def net_name(name: str, parameters: dict[str, Any]) -> str:
    """The model's name with its parameters: ``resnet34-width16``."""
    return "-".join([name, *(f"{key}{value}" for key, value in sorted(parameters.items()))])
