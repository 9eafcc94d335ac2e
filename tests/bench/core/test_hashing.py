"""Keys follow code: an edit of what is computed changes them, an edit of what is written about it does not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace

import pytest
from subnetbench.bench.core import hashing, registry, sources
from subnetbench.bench.core.hashing import code_hash, source_hash, syntax
from subnetbench.bench.detection import lee2018, protocol, strict
from subnetbench.bench.detection.scoring import PROTOCOL_CODE
from subnetbench.bench.localisation.measure import Measured
from subnetbench.bench.localisation.suite import SaliencyPart

CODE = '''"""A module."""

import math


class Score:
    """A score."""

    def __call__(self, x):
        """Of x."""
        return math.sqrt(x)  # never negative


async def later():
    """Not now."""
    return "text"
'''


def hashes(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, str]:
    """The module's text, its hash as a stage of ours, and the hash of the plug-in that it defines."""
    path = folder / "scores.py"
    path.write_text(source, encoding="utf-8")
    module = ModuleType("scores")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "scores", module)
    exec(compile(source, path, "exec"), module.__dict__)
    return syntax(source.encode()), code_hash(module), source_hash(module.Score())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # never negative", ""),
        ("# never negative", "# of a number that is never negative"),
        ('"""A module."""', '"""A module of scores,\n\nwith more to say."""'),
        ('    """A score."""\n\n', ""),
        ('"""Of x."""', "'''Of another x.'''"),
        ('    """Not now."""\n', ""),
        ("\n\n\nclass", "\n\n\n\n\nclass"),
        ("math.sqrt(x)", "math.sqrt( x )"),
    ],
)
def test_an_edit_of_a_comment_a_docstring_or_the_layout_keeps_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    assert CODE.count(old) == 1
    assert hashes(tmp_path, CODE.replace(old, new), monkeypatch) == hashes(tmp_path, CODE, monkeypatch)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("math.sqrt(x)", "math.sqrt(x) + 1"),
        ("math.sqrt(x)", "math.cbrt(x)"),
        ('return "text"', 'return "another text"'),
        ("import math\n", "import math\n\nSCALE = 2\n"),
        ("async def later", "async def sooner"),
    ],
)
def test_an_edit_of_code_changes_every_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    assert CODE.count(old) == 1
    before, after = hashes(tmp_path, CODE, monkeypatch), hashes(tmp_path, CODE.replace(old, new), monkeypatch)
    assert all(a != b for a, b in zip(before, after, strict=True))


def test_source_that_does_not_parse_is_hashed_as_it_is() -> None:
    assert syntax(b"def") != syntax(b"def # a comment")
    assert syntax(b"\xff") == syntax(b"\xff")


def test_scores_have_in_their_key_the_statistics_that_the_protocols_compute_with() -> None:
    protocols = (protocol, strict, lee2018)
    things = [thing for module in protocols for thing in vars(module).values() if isinstance(thing, FunctionType)]
    used = {thing.__module__ for thing in things if ".stats." in thing.__module__}
    assert {name.rpartition(".")[2] for name in used} >= {"logistic", "metrics"}
    assert {*used, *(module.__name__ for module in protocols)} <= {module.__name__ for module in PROTOCOL_CODE}


@pytest.mark.parametrize("name", list(registry.saliency))
def test_maps_of_ours_have_in_their_key_the_code_that_the_methods_share(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = SimpleNamespace(dataset=SimpleNamespace(content_hash=""))
    options = SimpleNamespace(alphas=[], tolerance=0, maxbox_interval=0)
    suite = SimpleNamespace(localisation=options, seed=0)
    measured = Measured(SimpleNamespace(setup=setup), suite, SimpleNamespace(gradcam_layer=None))  # type: ignore[arg-type]
    monkeypatch.setattr(measured.variants, "identity", lambda variant: {})

    def key() -> str:
        images = SimpleNamespace(key="")
        return str(measured.inputs(SaliencyPart(name=name), "whole", images, False)["method_source"])  # type: ignore[arg-type]

    before, read = key(), sources.read_once

    def edited(path: Path, module: object) -> bytes:
        return read(path, module) + (b"\nEDITED = 1\n" if path.name == "attribution.py" else b"")

    for place in (sources, hashing):
        monkeypatch.setattr(place, "read_once", edited)
    assert key() != before
