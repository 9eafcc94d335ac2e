"""Tests give the same results whatever a developer has set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from subnetbench.bench.core.home import DATA, STORE, stated


def test_no_folder_comes_from_the_environment() -> None:
    assert stated(STORE) is None
    assert stated(DATA) is None


def test_folders_that_a_developer_has_set_are_not_those_of_tests(tmp_path: Path) -> None:
    name = f"{Path(__file__)}::{test_no_folder_comes_from_the_environment.__name__}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name],
        env={**os.environ, STORE: str(tmp_path), DATA: str(tmp_path)},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
