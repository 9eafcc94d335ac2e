"""The wheel holds what the folders hold, and the folders cannot be imported past it."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE_DIR = PROJECT["tool"]["setuptools"]["package-dir"]
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]


@pytest.fixture(scope="module")
def installed() -> importlib.metadata.Distribution:
    # `python -m pytest` puts this folder on the path, where setuptools' egg-info of an editable install lies.
    found = importlib.metadata.distributions(name="subnetbench")
    distribution = next(d for d in found if not Path(str(d.locate_file(""))).samefile(ROOT))
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        pytest.skip("subnetbench is installed editable, so there is no wheel to compare; run tox")
    return distribution


def folder_of(package: str) -> Path:
    """Where a package lies in the tree: its own line of package-dir, or a room below one that has a line."""
    top = max((name for name in PACKAGE_DIR if package == name or package.startswith(f"{name}.")), key=len)
    return ROOT / PACKAGE_DIR[top] / Path(*package.removeprefix(top).strip(".").split("."))


def contents(folder: Path, elsewhere: Sequence[Path] = ()) -> dict[str, bytes]:
    """Every file of a package but those below the folders that come from elsewhere in the tree."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.name.startswith(".")
        and not any(other in path.parents for other in elsewhere)
    }


@pytest.mark.parametrize(("package", "folder"), PACKAGE_DIR.items())
def test_the_wheel_has_the_folders_files_and_no_others(installed, package, folder):
    home = Path(str(installed.locate_file(package.replace(".", "/"))))
    inside = [name.removeprefix(f"{package}.") for name in PACKAGE_DIR if name.startswith(f"{package}.")]
    ours = contents(ROOT / folder)
    theirs = contents(home, [home / Path(*name.split(".")) for name in inside])
    assert theirs.keys() == ours.keys(), (
        "list new folders and kinds of files in pyproject.toml; files that are gone linger in build/: remove it"
    )
    assert theirs == ours


def test_every_folder_with_an_init_is_a_listed_package():
    listed = {folder_of(package) for package in PACKAGES}
    there = {path.parent for folder in PACKAGE_DIR.values() for path in (ROOT / folder).rglob("__init__.py")}
    assert listed == there, "list a new folder under packages in pyproject.toml, else it is missing from the wheel"


def test_every_package_is_typed():
    for package, folder in PACKAGE_DIR.items():
        if package != "subnetbench.published":  # data only
            assert (ROOT / folder / "py.typed").is_file(), f"{package} has no py.typed"


def test_the_tests_run_on_the_installed_package(installed):
    import subnetbench.bench

    assert subnetbench.bench.__file__ is not None
    assert Path(subnetbench.bench.__file__).samefile(str(installed.locate_file("subnetbench/bench/__init__.py")))


def test_the_licence_and_the_version_travel_along(installed):
    assert installed.version == PROJECT["project"]["version"]
    assert installed.metadata["License-Expression"] == "Apache-2.0"
    assert any(str(file).endswith("licenses/LICENSE") for file in installed.files or ())
    assert f"version: {installed.version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_a_folder_is_not_imported_by_its_bare_name():
    run = subprocess.run([sys.executable, "-c", "import bench"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "import subnetbench.bench, not bench" in run.stderr


def test_a_checkout_does_not_hide_what_is_installed(installed):
    """Python looks in the current folder first, where a folder has the package's name and not its content."""
    code = "import subnetbench.bench; print(subnetbench.bench.__file__)"
    for words in (["-c", code], ["-m", "subnetbench", "--version"]):
        run = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        if words[0] == "-c":
            assert Path(run.stdout.strip()).samefile(str(installed.locate_file("subnetbench/bench/__init__.py")))
        else:
            assert run.stdout == f"subnetbench {installed.version}\n"


def test_a_checkout_of_the_packages_name_beside_it_does_not_hide_it_either(tmp_path):
    """A folder without an __init__.py is a package only where no other folder of the path holds a true one."""
    (tmp_path / "subnetbench" / "bench").mkdir(parents=True)
    (tmp_path / "subnetbench" / "bench" / "__init__.py").write_text("raise ImportError('the checkout')")
    home = Path(importlib.import_module("subnetbench").__file__).parents[1]
    code = "import subnetbench.bench; print(subnetbench.bench.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).is_relative_to(home)


def test_a_checkout_of_the_packages_name_is_refused_where_it_would_be_used_instead(tmp_path):
    """So it would with an editable install, whose finder comes after the folders; here there is no install at all."""
    (tmp_path / "subnetbench").symlink_to(ROOT)
    words = ["-S", "-E", "-c", "import subnetbench.bench"]
    run = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert f"{tmp_path}/subnetbench/bench hides the installed subnetbench" in run.stderr
