"""Optional packages: what is missing is installed, what is broken says why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from subnetbench.bench import UserError
from subnetbench.bench.core.optional import optional


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "^Extra is not installed; run it.$"),
        ("raise ImportError('its reason')", r"^Extra is installed and cannot be imported \(ImportError: its reason\)"),
        ("raise RuntimeError('its reason')", r"cannot be imported \(RuntimeError: its reason\); install it again: "),
        ("import its_missing_part", r"cannot be imported \(ModuleNotFoundError: No module named 'its_missing_part'\)"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, words: str
) -> None:
    if source is not None:
        (tmp_path / "an_extra.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=words):
        optional("an_extra", "Extra", "run it")
    assert "an_extra" not in sys.modules


def test_what_can_be_imported_is_the_module() -> None:
    assert optional("json", "JSON", "") is sys.modules["json"]
