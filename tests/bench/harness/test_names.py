"""Names in a suite become those of files, on every system."""

from __future__ import annotations

from pathlib import Path

import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.tracks import load_suite

from ..made_suite import TINY, changed


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('name = "tiny"', 'name = "nul"', r"name: no file can have this name on Windows; choose another"),
        ('name = "tiny"', 'name = "Con.digits"', r"name: no file can have this name on Windows; choose another"),
        ('name = "tiny"', 'name = "a."', r"name: no file name may end with a dot on Windows"),
        ('name = "max-softmax"', 'name = "max-softmax"\nlabel = "LID"', r"labelled 'lid' and 'LID', one file name"),
        ('name = "bim"', 'name = "bim"\nlabel = "FGSM"', r"labelled 'fgsm' and 'FGSM', one file name"),
        ('name = "bim"', 'name = "bim"\nlabel = "aux"', r"attacks.aux.label: no file can have this name"),
    ],
)
def test_a_name_that_another_system_cannot_hold_is_one_sentence(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    (tmp_path / "x.toml").write_text(changed(TINY, (old, new)))
    with pytest.raises(UserError, match=rf"x\.toml.*{sentence}"):
        load_suite(tmp_path / "x.toml")
