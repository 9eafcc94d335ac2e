"""Nets of others: their keys have all that determines them, and they are seeded, trained only if told so, and run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from subnetbench.bench import UserError, runner
from subnetbench.bench.core import registry
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.core.store import Store
from subnetbench.bench.data.builtin import digits
from subnetbench.bench.data.dataset import Dataset
from subnetbench.bench.data.load import load
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.setup import Setup
from subnetbench.bench.tracks import load_suite

from ..made_suite import SMALL, changed

NET = '''
from collections import OrderedDict

import torch
from safetensors.torch import load_file
from subnetbench.bench import Classifier
from torch import nn

from gains import GAIN


class Odd(nn.Module):
    """One convolution twice, a raw parameter, a grid kept from the first pass, attributes, and a view."""

    def __init__(self, gain):
        super().__init__()
        self.first = self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.shift = nn.Parameter(torch.randn(4, 1, 1))
        self.gain, self.grid, self.passes = gain, None, 0

    def forward(self, x):
        if self.grid is None:
            self.grid = torch.linspace(0.9, 1.1, x.shape[-1])
        self.passes += 1
        x = self.second(torch.relu(self.first(x))) * self.grid * self.gain + self.shift
        return x.view(x.size(0), -1)


def odd(*, classes, shape, gain=1.0, weights=None):
    stages = OrderedDict(
        stem=nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        odd=Odd(gain * GAIN),
        drop=nn.Dropout(0.1),
        head=nn.Linear(64, classes),
    )
    net = nn.Sequential(stages)
    if weights:
        net.load_state_dict(load_file(weights))
    return Classifier(
        net, mean=(0.3,), std=(0.35,), taps=("stem", "odd"), gate_positions={}, classes=classes, shape=shape
    )
'''
TRAINED = changed(SMALL, ('name = "digits-cnn"', 'name = "odd"'), ("parameters = { width = 8 }\n", ""))
GIVEN = TRAINED[: TRAINED.index("[model.train]")] + TRAINED[TRAINED.index("[[attacks]]") :]

Setups = Callable[..., Setup]


@pytest.fixture(scope="module")
def few() -> Dataset:
    whole = digits()
    return Dataset("digits", whole.train.select(slice(0, 300)), whole.test.select(slice(0, 100)), 10)


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: Dataset) -> Iterator[Setups]:
    """Write the net's two files and a suite, and begin anew as a process does."""
    list(registry.models)
    monkeypatch.setattr(registry.models, "_items", dict(registry.models._items))
    monkeypatch.syspath_prepend(tmp_path)

    def made(suite: str = GIVEN, net: str = NET, gains: str = "GAIN = 1\n") -> Setup:
        for name, text in (("oddnet.py", net), ("gains.py", gains), ("small.toml", suite)):
            (tmp_path / name).write_text(text)
        for name in ("oddnet", "gains"):
            sys.modules.pop(name, None)
            Path(importlib.util.cache_from_source(str(tmp_path / f"{name}.py"))).unlink(missing_ok=True)
        importlib.invalidate_caches()
        registry.models._items["odd"] = importlib.import_module("oddnet").odd
        context = Context(Store(tmp_path / "store"), torch.device("cpu"), report=Silent())
        return Setup(load_suite(tmp_path / "small.toml"), context, few)

    yield made
    for name in ("oddnet", "gains"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("suite", [GIVEN, TRAINED])
@pytest.mark.parametrize(
    "edit",
    [
        {"net": changed(NET, ("torch.relu", "torch.tanh"))},
        {"net": changed(NET, ("(0.3,)", "(0.4,)"))},
        {"gains": "GAIN = 50\n"},
    ],
)
def test_an_edited_factory_is_another_net(setup: Setups, suite: str, edit: dict[str, str]) -> None:
    def facts(**edit: str) -> tuple[object, str]:
        made = setup(suite, **edit)
        return made.weights_inputs, made.blank_net().content_hash()

    before = facts()
    assert facts(net=f"# a remark\n{NET}") == before
    assert all(new != old for new, old in zip(facts(**edit), before, strict=True))


def test_another_file_at_the_same_path_and_another_parameter_are_another_net(setup: Setups, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    def reading(path: Path, fill: float) -> Setup:
        net = setup().blank_net().net
        save_file({n: torch.full_like(t, fill) for n, t in net.state_dict().items()}, path)
        return setup(changed(GIVEN, ('name = "odd"', f'name = "odd"\nparameters = {{ weights = "{path}" }}')))

    one = reading(tmp_path / "w.safetensors", 0.1).trained.sha256
    assert reading(tmp_path / "w.safetensors", 0.2).trained.sha256 != one
    assert reading(tmp_path / "moved.safetensors", 0.1).trained.sha256 == one
    gained = setup(changed(GIVEN, ('name = "odd"', 'name = "odd"\nparameters = { gain = 2.0 }')))
    assert gained.trained.sha256 != setup().trained.sha256


def test_without_a_table_of_training_the_net_is_taken_as_its_factory_gives_it(setup: Setups) -> None:
    filled = changed(NET, ("    if weights:", "    nn.init.constant_(net.head.bias, 7.0)\n    if weights:"))
    first, second = setup(net=filled), setup(net=filled)
    assert first.trained.net.net.head.bias.unique().tolist() == [7.0]
    torch.manual_seed(11)
    assert first._of_another_seed().content_hash() != second.blank_net().content_hash()
    assert second.blank_net().content_hash() == first.blank_net().content_hash(), "every draw comes from the seed"
    assert second.trained.weights == {"weights": "as the factory of odd gives them"}


def test_training_says_where_a_factory_brought_weights(setup: Setups) -> None:
    brought = changed(NET, ("def odd(", "def drawn("), ("\ndef drawn(", "\ndef drawn("))
    brought += "\n\ndef odd(**given):\n    torch.manual_seed(1)\n    return drawn(**given)\n"
    told = setup(TRAINED, net=brought)
    assert told.trained.weights["precision"]
    assert "brings weights, and [model.train] trains the net from nothing" in told.context.report.warnings[0]
    untold = setup(TRAINED)
    assert untold.trained.weights["precision"]
    assert untold.context.report.warnings == []


def test_a_trained_net_of_others_is_the_same_every_time(setup: Setups, tmp_path: Path) -> None:
    first = setup(TRAINED).trained
    assert setup(TRAINED).trained.sha256 == first.sha256, "read from the store"
    torch.manual_seed(12)
    setup().context.store.clean()
    assert setup(TRAINED).trained.sha256 == first.sha256, "raw parameters and dropout are seeded, too"


@pytest.mark.parametrize("suite", [GIVEN, TRAINED])
def test_a_net_with_a_module_used_twice_a_kept_grid_and_a_view_runs(setup: Setups, suite: str) -> None:
    made = setup(suite)
    result = runner.execute(made.suite, made.context, made.context.store.root.parent / "out")
    assert result.failures == []


def test_our_own_nets_need_weights_or_training(setup: Setups) -> None:
    with pytest.raises(
        UserError, match=r"model: nothing gives the model 'digits-cnn' its weights; add a \[model.train\]"
    ):
        _ = setup(changed(GIVEN, ('name = "odd"', 'name = "digits-cnn"'))).trained


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("raise KeyError('depth')", r"The factory of the model 'odd' raised KeyError: 'depth' \(oddnet.py, line 30\)"),
        ("raise OSError", r"The factory of the model 'odd' raised OSError \(oddnet.py, line 30\)"),
    ],
)
def test_an_error_in_a_factory_is_one_sentence_with_its_line(setup: Setups, line: str, said: str) -> None:
    made = setup(net=changed(NET, ("    stages = OrderedDict(", f"    {line}\n    stages = OrderedDict(")))
    with pytest.raises(UserError, match=said):
        _ = made.trained


def test_parameters_that_a_factory_does_not_take_are_one_sentence(setup: Setups) -> None:
    made = setup(changed(GIVEN, ('name = "odd"', 'name = "odd"\nparameters = { gian = 2.0 }')))
    with pytest.raises(UserError, match=r"model\.parameters: the model 'odd' does not take them .*gian"):
        _ = made.trained


def test_an_error_in_a_plug_ins_data_set_is_one_sentence_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(root: Path | None = None) -> Dataset:
        return {}["train"]

    list(registry.datasets)
    monkeypatch.setitem(registry.datasets._items, "broken", broken)
    with pytest.raises(
        UserError, match=r"The data set 'broken' raised KeyError: 'train' \(test_factory.py, line \d+\)"
    ):
        load("broken")
