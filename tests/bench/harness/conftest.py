"""A finished run that a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..conftest import Tiny


@pytest.fixture
def again(tiny: Tiny, tmp_path: Path) -> Tiny:
    """The finished run, copied with its store."""
    shutil.copytree(tiny.store, tmp_path / "store")
    shutil.copytree(tiny.output, tmp_path / "out")
    shutil.copy(tiny.file, tmp_path / "tiny.toml")
    return Tiny(tmp_path / "tiny.toml", tmp_path / "store", tmp_path / "out")
