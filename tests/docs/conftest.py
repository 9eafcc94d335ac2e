"""A `digits` of a few images and cells, with the controls that the pages compare with."""

from __future__ import annotations

from pathlib import Path

import pytest
from subnetbench.bench.harness.toml import builtin_suites

from ..bench.cli.test_commands import written

CONTROLS = "".join(
    f'\n[[detectors]]\nname = "{name}"\ncandidates = [{{}}]\n' for name in ("energy", "mahalanobis-predicted")
)


@pytest.fixture
def small_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`digits` is that suite; the store and the results are in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    control = ("\n[[protocols]]", f"{CONTROLS}\n[[protocols]]")
    file = written(tmp_path / "suite", ('name = "small"', 'name = "digits"'), control)
    shipped = builtin_suites()
    monkeypatch.setattr("subnetbench.bench.harness.toml.builtin_suites", lambda: shipped | {"digits": file})
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
