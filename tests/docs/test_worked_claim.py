"""The worked claim works as it stands, on a smaller `digits`, and its page draws what its figures say."""

from __future__ import annotations

import linecache
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "worked-claim.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PRINTED = [block for block in PAGE.split("```")[1::2] if block.startswith("\n")]


@pytest.mark.usefixtures("small_digits")
def test_the_code_of_the_page_works_from_the_class_to_the_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    said = []
    for number, block in enumerate(CODE):
        place = f"<block {number} of worked-claim.md>"
        linecache.cache[place] = (len(block), None, block.splitlines(keepends=True), place)
        exec(compile(block, place, "exec", dont_inherit=True), names)
        said.append(capsys.readouterr().out)
    assert said[1].startswith("nudge: 19 checks pass, 0 fail")
    assert "nudge keeps the contract" in said[2]
    assert [line.split()[0] for line in said[3].splitlines()[2:]] == [
        *("nudge", "max-softmax", "energy", "mahalanobis-predicted")
    ]
    assert said[4].count("nudge minus ") == 2


def test_the_verdict_is_that_of_the_printed_comparisons() -> None:
    softmax, distance = PRINTED[-1].split("nudge minus ")[1:]
    verdicts = [
        dict(re.findall(r"^(\w+) .+ (better|worse|not separable)$", text, re.MULTILINE)) for text in (softmax, distance)
    ]
    assert verdicts[0]["deepfool"] == verdicts[0]["cw"] == "worse"
    assert (verdicts[0]["bim"], verdicts[1]["bim"]) == ("better", "worse")
    assert not any(verdicts[0][attack] == verdicts[1][attack] == "better" for attack in verdicts[0])
