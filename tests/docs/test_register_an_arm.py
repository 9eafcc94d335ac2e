"""The arm of the page works as it stands: it finds what is known to be there, and a suite takes it by its name."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from subnetbench.bench import UserError
from subnetbench.bench.core import registry
from subnetbench.bench.tracks import load_suite

from ..attacks.arms.planted import RADIUS, clean, succeeded, two_linear
from ..bench.cli.test_commands import call

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "register-an-arm.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
POINT, SUITE = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def penalty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The class of the page, from a module and by the entry point that the page shows."""
    (tmp_path / "my_package.py").write_text(CODE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    ((name, value),) = tomllib.loads(POINT)["project"]["entry-points"]["subnetbench.arms"].items()
    list(registry.arms)
    monkeypatch.setattr(registry.arms, "_items", dict(registry.arms._items))
    yield registry.arms.register(name)(EntryPoint(name, value, "subnetbench.arms").load())
    sys.modules.pop("my_package")


def tried(arm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Which images it beats, of a problem whose least radius is known, and how far each result is from its image."""
    net, score, tau = two_linear()
    images, labels = clean(3)
    found = arm(net, score, tau, images, labels, generator=torch.Generator().manual_seed(0))
    assert found.gradients.min() == 1
    return succeeded(net, score, tau, found.images, labels), (found.images - images).abs().flatten(1).amax(1)


def test_it_succeeds_above_the_least_radius_and_not_below(penalty: Any) -> None:
    for share, success in ((1.3, True), (0.95, False)):
        beaten, distance = tried(penalty(epsilon=share * RADIUS, restarts=2))
        assert bool(beaten.all()) is bool(beaten.any()) is success
        assert float(distance.max()) <= share * RADIUS + 1e-6


def test_a_norm_that_it_does_not_know_is_one_sentence(penalty: Any) -> None:
    with pytest.raises(UserError, match="norm is 'L2'"):
        penalty(norm="L2")


def test_a_suite_takes_it_by_its_name(penalty: Any, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(SUITE, encoding="utf-8")
    said = call("validate", tmp_path / "my.toml")
    assert said.code == 0, said.err
    (part,) = [part for part in load_suite(tmp_path / "my.toml").adaptive.arms if part.name == "penalty"]
    assert registry.arms.get(part.name)(**part.parameters).weight == 0.3
    assert "penalty" in call("ls", "arms").out
