"""Commands that list, help or check start without torch, and say what they would say with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Libraries that take long to import, as names in `sys.modules`.
HEAVY = ("torch", "scipy", "sklearn", "pandas", "pyarrow", "torchvision", "captum", "foolbox", "art")

#: Runs one command after another in a process of its own, and tells what each printed and what was imported.
PROGRAM = """
import contextlib, io, json, sys
from subnetbench.bench.cli import console, main
from rich.console import Console
printed = []
commands, heavy = map(json.loads, sys.argv[1:])
for command in commands:
    text = io.StringIO()
    console.out = console.err = Console(file=text, width=300)
    sys.argv = ["subnetbench", *command]
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main.main()
    printed.append(text.getvalue())
print(json.dumps({"printed": printed, "imported": sorted(set(sys.modules) & set(heavy))}))
"""

KINDS = ("detectors", "arms", "datasets", "models")
COMMANDS = [*(["ls", kind] for kind in KINDS), ["validate", "digits"]]

PLUG_INS = {
    "light.py": 'class Light:\n    """Light."""\n    title, year = "A light arm", 2026\n',
    "half.py": "raise RuntimeError('half installed')\n",
    "third-0.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: third\nVersion: 0.1\n",
    "third-0.1.dist-info/entry_points.txt": (
        "[subnetbench.arms]\nlight = light:Light\nhalf = half:Half\nsquare = light:Light\n"
    ),
}


def started(
    tmp_path: Path, commands: list[list[str]], site: Path | None = None, program: str = PROGRAM
) -> tuple[list[str], list[str]]:
    """What commands printed in a new process with the cache ``tmp_path``, and which heavy libraries it imported."""
    path = os.pathsep.join(filter(None, [str(site or ""), os.environ.get("PYTHONPATH", "")]))
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path), "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(commands), json.dumps(HEAVY)],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    return said["printed"], said["imported"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed plug-ins: an arm that works, one that cannot be imported, and one whose name is taken."""
    for name, text in PLUG_INS.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "site"


def test_help_version_suites_and_weights_need_no_torch(tmp_path: Path) -> None:
    commands = [["--help"], ["--version"], ["run", "--help"], ["ls", "suites"], ["ls", "weights"], ["new", "--help"]]
    printed, imported = started(tmp_path, commands)
    assert imported == []
    assert all(printed)
    assert "cifar10-table2" in printed[3]


def test_a_second_look_says_the_same_without_torch_and_plug_ins_are_looked_at_again(tmp_path: Path, site: Path) -> None:
    first, _ = started(tmp_path, COMMANDS, site)
    second, imported = started(tmp_path, COMMANDS, site)
    assert second == first
    assert imported == []
    arms, suite = second[1], second[-1]
    assert "light" in arms
    assert "A light arm" in arms
    assert "half (broken)" in arms
    assert "half:Half: RuntimeError: half installed" in arms
    assert "square (broken)" in arms
    assert "is taken by subnetbench.attacks.arms.square" in arms
    assert "digits is a valid suite" in suite
    (site / "half.py").write_text(PLUG_INS["light.py"].replace("Light:", "Half:"))
    third, _ = started(tmp_path, [["ls", "arms"]], site)
    assert "half (broken)" not in third[0]
    assert "half" in third[0]


def test_a_first_look_needs_no_torch_and_says_what_the_imported_classes_do(tmp_path: Path, site: Path) -> None:
    commands = [["ls", kind] for kind in ("detectors", "attacks", "arms", "datasets", "saliencymethods")]
    first, imported = started(tmp_path, commands, site)
    assert imported == []
    program = PROGRAM.replace("printed = []", "printed, registered.declared = [], unread").replace(
        "from rich", "from subnetbench.bench.cli import registered\nfrom rich"
    )
    program = "def unread(*_): raise ValueError\n" + program
    again, needed = started(tmp_path / "other", commands, site, program)
    assert "torch" in needed
    assert again == first
    assert "mahalanobis" in first[0]
    assert "Light" not in first[0]
    assert "A light arm" in first[2]


def test_a_suite_with_a_mistake_is_refused_each_time(tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text('extends = "digits"\nname = "mine"\n\n[[detectors]]\nname = "lid"\ncandidates = [{ kk = 3 }]\n')
    program = "import sys; from subnetbench.bench.cli.main import main; main()"
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program, "validate", str(suite)],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert "kk" in done.stderr
