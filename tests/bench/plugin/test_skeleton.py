"""The package that `new detector` writes: it works as it is written, and a name that cannot be one is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.plugin.skeleton import write

from ..cli.test_commands import call, written


def laid(package: Path, site: Path) -> None:
    """Put a skeleton where pip would: its module, and metadata with the entry points of its pyproject.toml."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))
    name = project["project"]["name"].replace("-", "_")
    info = site / f"{name}-0.1.0.dist-info"
    info.mkdir(parents=True)
    for module in project["tool"]["setuptools"]["py-modules"]:
        (site / f"{module}.py").write_bytes((package / f"{module}.py").read_bytes())
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in project["project"]["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def test_the_package_is_listed_passes_its_own_test_and_runs(tmp_path: Path) -> None:
    """As a third party has it: another process, which finds the package by its metadata alone."""
    package = write("detector", "my-score", tmp_path, 2026)
    laid(package, tmp_path / "site")
    script = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
from subnetbench.bench.core import registry
from subnetbench.bench.plugin.trial import check_detector, failures
assert "my-score" in registry.detectors and not registry.detectors.is_ours("my-score")
checks = check_detector("my-score")
assert failures(checks) == [], failures(checks)
assert len(checks) > 15
assert [c.outcome for c in checks if c.name == "adversarial images score higher"] == ["passes"]
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", {str(package / "tests")!r}]))
"""
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_the_command_writes_it_and_names_the_next_ones(tmp_path: Path) -> None:
    said = call("new", "detector", "my-score", "--into", tmp_path)
    assert said.code == 0
    folder = tmp_path / "my-score"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"pyproject.toml", "README.md", "subnetbench_my_score.py", "tests/test_my_score.py"}
    for words in (f"pip install --editable {folder}", "validate-detector my-score", "run digits --detector my-score"):
        assert words in said.out


@pytest.mark.parametrize(
    ("name", "module", "cls"),
    [("my-score", "subnetbench_my_score", "MyScore"), ("3D.x", "subnetbench_3d_x", "Detector3DX"),
     ("class", "subnetbench_class", "Class"), ("None", "subnetbench_none", "DetectorNone")],
)  # fmt: skip
def test_any_good_name_gives_a_module_that_compiles_and_one_entry_point(
    tmp_path: Path, name: str, module: str, cls: str
) -> None:
    folder = write("detector", name, tmp_path, 2026)
    source = (folder / f"{module}.py").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    exec(compile(source, module, "exec"), names)
    assert isinstance(names[cls], type)
    laid(folder, tmp_path / "site")
    (info,) = (tmp_path / "site").glob("*.dist-info")
    (point,) = PathDistribution(info).entry_points
    assert (point.name, point.value) == (name, f"{module}:{cls}")
    assert "." not in tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"]


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x-", "x/y", "ä", "x" * 65, "a\n", ".hidden", "<img>"])
def test_what_is_no_name_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="is not a name for a detector"):
        write("detector", name, tmp_path, 2026)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["lid", "LID", "max_softmax", "kd.pu"])
def test_a_taken_name_is_refused_however_it_is_spelt(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="already; give yours another name"):
        write("detector", name, tmp_path, 2026)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_and_one_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert "exists already; give another name" in call("new", "detector", "mine", "--into", tmp_path).mistake
    assert list((tmp_path / "mine").iterdir()) == []
    (tmp_path / "file").write_text("")
    assert "cannot be written" in call("new", "detector", "other", "--into", tmp_path / "file").mistake


def test_run_takes_detectors_beside_the_suites_own_and_says_so_in_the_results(tmp_path: Path) -> None:
    file = written(tmp_path)
    places = ("--store", tmp_path / "store", "--output", tmp_path / "out")
    said = call("run", file, *places, "--detector", "energy", "--detector", "mahalanobis-both")
    assert said.code == 0, said.err
    assert "energy (control)" in said.out
    folder = tmp_path / "out" / "small"
    ran = json.loads((folder / "suite.json").read_text(encoding="utf-8"))
    wanted = ["mahalanobis", "max-softmax", "energy", "mahalanobis-both"]
    assert [part["name"] for part in ran["detectors"]] == wanted
    assert {path.stem for path in (folder / "entries" / "strict").iterdir()} == set(wanted)


def test_a_detector_that_is_none_or_stands_in_the_suite_is_one_sentence(tmp_path: Path) -> None:
    said = call("run", "digits", "--detector", "lidd").mistake
    assert "There is no detector named 'lidd'. Did you mean 'lid'" in said
    said = call("run", "digits", "--detector", "lid").mistake
    assert "has a detector 'lid' already; leave --detector lid out" in said
    twice = call("run", written(tmp_path), "--detector", "energy", "--detector", "energy")
    assert "has a detector 'energy' already" in twice.mistake
