"""What `subnetbench new` writes works before it is edited: its own test passes, its suite is one, and it gives rows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from subnetbench.bench.core import registry
from subnetbench.bench.plugin.skeleton import KINDS, write

from ..cli.test_commands import call
from ..localisation.test_run import SUITE as WSOL
from ..localisation.test_run import draw
from ..made_suite import SMALL, changed
from .test_skeleton import laid

#: Of each kind, the change that puts the package into a small suite.
CHANGES = {
    "attack": ('name = "fgsm"\nparameters = { epsilon = 0.3 }', 'name = "my-own"'),
    "model": ('name = "digits-cnn"\nparameters = { width = 8 }', 'name = "my-own"\nparameters = { width = 8 }'),
    "dataset": ('[dataset]\nname = "digits"', '[dataset]\nname = "my-own"'),
    "saliency": ('[[saliency]]\nname = "saliency"', '[[saliency]]\nname = "my-own"'),
}

SCRIPT = """
import sys
sys.path.insert(0, {site!r})
import pytest
from subnetbench.bench.core import registry
from subnetbench.bench.harness.toml import builtin_suites
from subnetbench.bench.tracks import load_suite

kind = registry.{registry}
assert "my-own" in kind and not kind.is_ours("my-own") and not kind.broken
suite = load_suite({package!r} + "/suite.toml")
assert "my-own" in str(suite), suite
from subnetbench.bench import run
frame = run({small!r}, store={store!r}, output={output!r}, data_root={root!r}, device="cpu")
print(frame.to_string())
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", {package!r} + "/tests"]))
"""


def ran_in_a_session_of_its_own(kind: str, tmp_path: Path) -> str:
    """As a third party has it: another process, which finds the package by its metadata alone."""
    package = write(kind, "my-own", tmp_path, 2026)
    laid(package, tmp_path / "site")
    root, suite = None, SMALL
    if kind == "saliency":
        root, suite = str(tmp_path / "images"), changed(WSOL, ('\n[[saliency]]\nname = "grad-cam"\n', ""))
        draw(tmp_path / "images")
    (tmp_path / "small.toml").write_text(changed(suite, CHANGES[kind]))
    script = SCRIPT.format(
        site=str(tmp_path / "site"),
        registry={"model": "models", "saliency": "saliency"}.get(kind, f"{kind}s"),
        package=str(package),
        small=str(tmp_path / "small.toml"),
        store=str(tmp_path / "store"),
        output=str(tmp_path / "out"),
        root=root,
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("kind", CHANGES)
def test_a_package_passes_its_own_test_and_gives_rows_unedited(kind: str, tmp_path: Path) -> None:
    said = ran_in_a_session_of_its_own(kind, tmp_path)
    assert re.search(rf"\n{3 if kind == 'dataset' else 1} passed", said), said
    read = [json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "out").rglob("*.json")]
    entries = [entry for entry in read if "schema" in entry and "my-own" in json.dumps(entry)]
    assert len(entries) == (5 if kind == "saliency" else 2)  # the variants of a map, or the suite's detectors
    cells = [cell for entry in entries for cell in entry.get("cells", [])]
    assert all(cell["auroc"] is not None and not cell["remark"] for cell in cells)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_names_what_it_wrote_and_what_to_type_next(kind: str, tmp_path: Path) -> None:
    said = call("new", kind, "my-own", "--into", tmp_path)
    assert said.code == 0, said.err
    folder = tmp_path / "my-own"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    suite = set() if kind == "detector" else {"suite.toml"}
    assert files == {"pyproject.toml", "README.md", "subnetbench_my_own.py", "tests/test_my_own.py"} | suite
    assert all(f"my-own/{file}" in said.out for file in files)
    assert f"pip install --editable {folder}\n" in said.out
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        assert "$" not in line


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_imports_nothing_deeper_than_the_face(kind: str, tmp_path: Path) -> None:
    folder = write(kind, "my-own", tmp_path, 2026)
    for path in folder.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert set(re.findall(r"subnetbench\.[\w.]+", source)) <= {"subnetbench.bench"}
        compile(source, path.name, "exec")


@pytest.mark.parametrize(
    ("kind", "name", "made"),
    [
        ("attack", "F", "AttackF"),
        ("attack", "attack-info", "AttackAttackInfo"),
        ("model", "np", "model_np"),
        ("model", "2-nets", "model_2_nets"),
        ("dataset", "class", "dataset_class"),
        ("dataset", "test-images", "dataset_test_images"),
        ("saliency", "None", "SaliencyNone"),
    ],
)
def test_a_name_that_would_hide_another_gets_its_kind_in_front(kind: str, name: str, made: str, tmp_path: Path) -> None:
    folder = write(kind, name, tmp_path, 2026)
    (module,) = folder.glob("*.py")
    names: dict[str, object] = {}
    exec(compile(module.read_text(encoding="utf-8"), module.name, "exec"), names)
    assert callable(names[made])
    assert f":{made}" in (folder / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("attak", "mine"), "There is no package to start from for 'attak'. Did you mean 'attack'? Give one of detec"),
        (("xyz", "mine"), "There is no package to start from for 'xyz'. Give one of detector, attack, model, dataset"),
        (("attack", "bim"), "There is an attack named 'art/bim' already; give yours another name"),
        (("attack", "Foolbox.bim"), None),
        (("attack", "foolbox/bim"), "'foolbox/bim' is not a name for an attack; use up to 64 letters"),
        (("model", "digits_cnn"), "There is a net named 'digits-cnn' already"),
        (("dataset", "CIFAR10"), "There is a data set named 'cifar10' already"),
        (("saliency", "grad-cam"), "There is a saliency method named 'grad-cam' already"),
        (("model", "../x"), "'../x' is not a name for a net"),
    ],
)
def test_what_cannot_be_started_is_one_sentence(words: tuple[str, str], answer: str | None, tmp_path: Path) -> None:
    said = call("new", *words, "--into", tmp_path)
    if answer is None:
        assert said.code == 0
        return
    assert answer in said.mistake
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_exists_is_left_as_it_is(kind: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.py").write_text("mine")
    assert "mine exists already; give another name" in call("new", kind, "mine", "--into", tmp_path).mistake
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["work.py"]


def test_a_name_that_a_broken_package_has_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    list(registry.attacks)
    monkeypatch.setitem(registry.attacks._broken, "half", "half_installed: ImportError")
    assert "There is an attack named 'half' already" in call("new", "attack", "half", "--into", tmp_path).mistake
