"""What is remembered of our code: given back while nothing has changed, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from subnetbench.bench.core import recall as module
from subnetbench.bench.core.recall import code, recall, remember


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path))
    return tmp_path


def test_a_fact_is_given_back_for_the_same_code_only(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recall("fact") is None
    remember("fact", {"rows": [1, "two"]})
    assert recall("fact") == {"rows": [1, "two"]}
    assert recall("another") is None
    monkeypatch.setattr(module, "code", lambda: "edited")
    assert recall("fact") is None


def test_an_edited_file_is_other_code_and_so_is_a_new_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "roomy").mkdir()
    file = tmp_path / "roomy" / "__init__.py"
    file.write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "ROOMS", ("roomy", "no_such_room"))
    states = []
    for change in (lambda: None, lambda: file.write_text("A = 2\n"), lambda: (tmp_path / "new-1.dist-info").mkdir()):
        change()
        code.cache_clear()
        states.append(code())
    code.cache_clear()
    assert len(set(states)) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"code": 1}', '"text"'])
def test_a_damaged_file_is_no_fact(cached: Path, content: str) -> None:
    remember("fact", 1)
    (file,) = (cached / "recalled").iterdir()
    file.write_text(content)
    assert recall("fact") is None
    remember("fact", 2)
    assert recall("fact") == 2


def test_a_cache_that_cannot_be_written_is_no_error(cached: Path) -> None:
    (cached / "recalled").write_text("a file where the folder should be")
    remember("fact", 1)
    assert recall("fact") is None
