"""Nets by name in a suite: what counts for the store's key, what `validate` sees, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.store import Store
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.setup import Setup
from subnetbench.bench.session.net import part_of
from subnetbench.bench.tracks import load_suite

from ..cli.test_commands import call

SUITE = """
extends = "digits"
without = ["model.floor", "model.train"]
name = "mine"

[model]
name = "timm/test_resnet"

[model.parameters]
weights = "{weights}"
side = 32
"""


def setup_of(file: Path, store: Path) -> Setup:
    return Setup(load_suite(file), Context(Store(store), torch.device("cpu")))


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite with the weights of an untrained net, in a file beside it."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=10).state_dict(), tmp_path / "net.pth")
    path = tmp_path / "mine.toml"
    path.write_text(SUITE.format(weights=tmp_path / "net.pth"), encoding="utf-8")
    return path


def test_the_content_of_a_weights_file_is_part_of_the_key(suite: Path, tmp_path: Path) -> None:
    before = setup_of(suite, tmp_path / "store").weights_inputs
    state = torch.load(tmp_path / "net.pth", weights_only=True)
    assert setup_of(suite, tmp_path / "store").weights_inputs == before
    torch.save({**state, "fc.bias": state["fc.bias"] + 1}, tmp_path / "net.pth")
    assert setup_of(suite, tmp_path / "store").weights_inputs != before


def test_a_net_by_name_is_used_as_its_weights_are(suite: Path, tmp_path: Path) -> None:
    trained = setup_of(suite, tmp_path / "store").trained
    state = torch.load(tmp_path / "net.pth", weights_only=True)
    assert torch.equal(trained.net.head.weight, state["fc.weight"])
    assert trained.weights["library"].startswith("timm ")
    assert setup_of(suite, tmp_path / "store").trained.sha256 == trained.sha256


def test_validate_builds_a_net_by_name_without_its_weights(suite: Path) -> None:
    suite.write_text(SUITE.format(weights="nowhere.pth").replace("/test_resnet", "/test_resnet.r160_in1k"))
    said = call("validate", str(suite))
    assert said.code == 0, said.err
    suite.write_text(SUITE.format(weights="nowhere.pth").replace("side = 32", "sides = 32"))
    said = call("validate", str(suite))
    assert said.code == 2
    assert "cannot be built with them" in " ".join(said.err.split())


def test_a_net_by_name_that_nothing_gives_weights_is_refused(suite: Path, tmp_path: Path) -> None:
    suite.write_text(SUITE.format(weights="").replace('weights = ""\n', ""))
    with pytest.raises(UserError, match=r"nothing gives the model 'timm/test_resnet' its weights; add a .*weights"):
        _ = setup_of(suite, tmp_path / "store").weights_inputs


def test_ls_models_lists_a_library_in_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [line for line in call("ls", "models").out.splitlines() if "torchvision/" in line]
    assert len(rows) == 1
    assert "architectures" in rows[0]
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    said = " ".join(call("ls", "models").out.split())
    assert "timm/..." in said
    assert "timm is not installed" in said


def test_a_notebook_names_a_net_as_a_suite_does() -> None:
    part = part_of({"name": "torchvision/resnet18", "parameters": {"side": 64}, "train": {"epochs": 1}})
    assert part.trains
    assert part.parameters == {"side": 64}
    for table, said in (
        ({"name": "torchvision/resnet81"}, "Did you mean 'resnet18'"),
        ({"name": "torchvision/resnet18", "parameters": {"side": "big"}}, "side"),
        ({"nam": "torchvision/resnet18"}, "required"),
    ):
        with pytest.raises(UserError, match=said):
            part_of(table)
