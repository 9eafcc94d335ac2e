"""One finished run of the made suite."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from subnetbench.bench import runner
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.core.store import Store, When
from subnetbench.bench.harness.context import Context
from subnetbench.bench.tracks import load_suite

from .made_suite import TINY, changed


@dataclass
class Tiny:
    """The tiny suite's file, its store and its results."""

    file: Path
    store: Path
    output: Path

    @property
    def folder(self) -> Path:
        return self.output / "tiny"

    def run(
        self, when: When = "missing", report: Silent | None = None, output: Path | None = None, debug: bool = False
    ) -> runner.Result:
        store, device = Store(self.store, when), torch.device("cpu")
        context = Context(store, device, report=report or Silent(), debug=debug)
        return runner.execute(load_suite(self.file), context, output or self.output)

    def tables(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in sorted((self.folder / "tables").iterdir())}

    def variant(self, folder: Path, *changes: tuple[str, str]) -> Tiny:
        """The same suite with other words, on a copy of the store: nothing comes into the one that all tests share."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tiny.toml").write_text(changed(self.file.read_text(), *changes))
        shutil.copytree(self.store, folder / "store")
        return Tiny(folder / "tiny.toml", folder / "store", folder / "out")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """One finished run; tests that change the store copy it first."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.toml").write_text(TINY)
    made = Tiny(folder / "tiny.toml", folder / "store", folder / "out")
    made.run()
    return made
