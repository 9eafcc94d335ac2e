"""A third-party package, found by its entry point alone: in the list, in a run, in the table; broken, it is named."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console
from subnetbench.bench.cli import console
from subnetbench.bench.cli import main as cli
from subnetbench.bench.core import registry

from ..cli.test_commands import call
from ..conftest import Tiny

SOURCE = Path(__file__).resolve().parents[2] / "plugin" / "subnetbench_margin.py"
METADATA = "Metadata-Version: 2.1\nName: subnetbench-margin\nVersion: 0.1.0\n"
ENTRY_POINTS = "[subnetbench.detectors]\nmargin = subnetbench_margin:Margin\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Lay the package out as pip does, on the path of this process, which then looks for plug-ins again."""
    detectors = registry.detectors
    list(detectors)  # ours are loaded
    before = dict(detectors._items)
    detectors._items = {name: item for name, item in before.items() if detectors.is_ours(name)}

    def lay(source: str) -> None:
        site = tmp_path / "site"
        info = site / "subnetbench_margin-0.1.0.dist-info"
        info.mkdir(parents=True)
        (site / "subnetbench_margin.py").write_text(source)
        (info / "METADATA").write_text(METADATA)
        (info / "entry_points.txt").write_text(ENTRY_POINTS)
        monkeypatch.syspath_prepend(site)
        sys.modules.pop("subnetbench_margin", None)
        detectors._loaded = detectors._plugged = False

    yield lay
    sys.modules.pop("subnetbench_margin", None)
    detectors._items, detectors._loaded = before, True


def listed(monkeypatch: pytest.MonkeyPatch) -> str:
    """What ``subnetbench ls detectors`` prints."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "argv", ["subnetbench", "ls", "detectors"])
    monkeypatch.setattr(console, "out", Console(width=200))
    monkeypatch.setenv("COLUMNS", "200")
    with contextlib.redirect_stdout(out):
        cli.main()
    return out.getvalue()


def test_an_installed_plug_in_is_listed_with_its_module(
    install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "│ margin " not in listed(monkeypatch)
    install(SOURCE.read_text())
    line = next(line for line in listed(monkeypatch).splitlines() if "│ margin " in line)
    assert "Margin of logits" in line
    assert "subnetbench_margin" in line
    assert not registry.detectors.is_ours("margin")
    assert registry.detectors.is_ours("lid")


def test_an_installed_plug_in_stands_in_the_table(tiny: Tiny, tmp_path: Path, install: Callable[[str], None]) -> None:
    install(SOURCE.read_text())
    other = tiny.variant(
        tmp_path, ('name = "max-softmax"\n', 'name = "max-softmax"\n\n[[detectors]]\nname = "margin"\n')
    )
    result = other.run()
    assert result.failures == []
    assert result.frame.query("detector == 'margin'")["auroc"].notna().all()
    assert "| margin" in (other.folder / "tables" / "table2.md").read_text()


def test_a_plug_in_that_cannot_be_imported_is_named_and_the_suite_runs(
    tiny: Tiny, tmp_path: Path, install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("raise RuntimeError('half installed')\n")
    (line,) = [line for line in listed(monkeypatch).splitlines() if "margin" in line]
    assert "margin (broken)" in line
    assert "subnetbench_margin:Margin: RuntimeError: half installed" in line
    said = call("run", tiny.file, "--detector", "margin")
    assert "'margin' is registered and could not be loaded" in said.mistake  # one line, and the only one
    assert "RuntimeError: half installed" in said.mistake
    again = Tiny(tiny.file, tmp_path / "store", tmp_path / "out")
    shutil.copytree(tiny.store, again.store)
    result = again.run()
    assert result.failures == []
    assert again.tables()["cells.csv"] == tiny.tables()["cells.csv"]
    assert "margin" not in registry.detectors
