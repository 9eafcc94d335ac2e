"""Text of others, wherever it is printed or written, is text."""

from __future__ import annotations

from pathlib import Path

import pytest
from subnetbench.bench.core.text import counted, csv_cell, markdown_text, shown, unmarked

from ..cli.test_commands import call
from ..made_board import edit, entry, made_results, scores, write_entry

COMMAND = "x\n::error file=x::PWN\x1b[2J\x9b31m\u202egnp"


def test_a_number_has_its_noun_in_the_right_form() -> None:
    assert [counted(n, "cell") for n in (0, 1, 2, 1000)] == ["0 cells", "1 cell", "2 cells", "1,000 cells"]
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(3, "entry", "entries") == "3 entries"


def test_controls_are_shown_as_escapes() -> None:
    assert shown(COMMAND) == r"x\n::error file=x::PWN\x1b[2J\x9b31m\u202egnp"
    assert shown("naïve café – 日本語") == "naïve café – 日本語"


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+cmd|x", "@SUM(A1)", "-1+cmd|' /C calc'!A0", "\t=1", "+1 [=1]"])
def test_a_formula_is_text_in_a_spreadsheet(text: str) -> None:
    assert csv_cell(text) == f"'{shown(text)}"


@pytest.mark.parametrize("text", ["+1.3 [-0.0, +2.7]", "-3.6 [-4.7, -2.7] not separable", "–", "lid", "-0.5", "+2.0%"])
def test_a_figure_keeps_its_sign(text: str) -> None:
    assert csv_cell(text) == text


def test_markdown_keeps_emphasis_and_nothing_else() -> None:
    assert markdown_text("**1.0** †") == "**1.0** †"
    assert markdown_text("<img src=x onerror=y>\n[x](javascript:1) | &lt;") == (
        r"&lt;img src=x onerror=y> [x]\(javascript:1) &#124; &amp;lt;"
    )


@pytest.mark.parametrize("text", ["<0.001", "a & b", "x < y <= z", "R&"])
def test_markdown_without_a_tag_or_an_entity_is_read_as_it_is_written(text: str) -> None:
    assert markdown_text(text) == text


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("**98.2* [97.7, 98.6]**", "98.2 [97.7, 98.6]"),
        ("99.7 [99.5, 99.8] †", "99.7 [99.5, 99.8]"),
        ("74.9* / 81.2", "74.9 / 81.2"),
        ("**-4.7**", "-4.7"),
        ("59.8 [52.9, 67.4] ‡ §", "59.8 [52.9, 67.4]"),
        ("n = 0 §", "n = 0"),
        ("lid*", "lid*"),
        ("fitted on **few** images, 7* †", "fitted on **few** images, 7* †"),
    ],
)
def test_a_program_reads_figures_without_marks_and_texts_as_they_are(marked: str, plain: str) -> None:
    assert unmarked(marked) == plain


def hostile(folder: Path) -> Path:
    """Results in which every text that an entry may choose tries something."""
    made_results(folder, {"good": (2.0, 1.0)})
    table = scores({"fgsm": 2.0, "cw": 1.0})
    content = entry("=HYPERLINK(1)", table)
    content["detector"].update(notes="+cmd|x", title="<img src=x onerror=y>")
    content["protocol"]["splits"] = 2
    content["cells"][0]["remark"] = "[x](javascript:1)\n# title"
    content["dataset"]["note"] = "<script>1</script>"
    content["cost"].update(seconds=1.0, candidates=1, forward_per_image=1.0, backward_per_image=0.0)
    for attack in content["attacks"].values():
        attack.update(threat="@SUM(A1)", library="<b>")
    path = write_entry(folder / "made", content, table)
    edit(path, lambda e: e["versions"].update({COMMAND: COMMAND}))
    return path


def test_no_command_says_what_an_entry_makes_it_say(tmp_path: Path) -> None:
    path = hostile(tmp_path)
    said = call("verify", path).out
    edit(path, lambda e: e["attacks"].update({COMMAND: {}}))
    damaged = call("verify", path).out + call("tables", tmp_path).err
    for text in (said, damaged):
        assert "::error file=x::PWN" in text
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if line.startswith("::")]


def test_no_table_runs_what_an_entry_states(tmp_path: Path) -> None:
    hostile(tmp_path)
    assert call("tables", tmp_path).code == 0
    tables = [path for path in tmp_path.rglob("tables/*") if path.suffix in (".csv", ".md")]
    assert len(tables) > 10
    for path in tables:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            assert "](javascript" not in text
            assert "<" not in text
        else:
            cells = [cell.strip('"') for line in text.splitlines() for cell in line.split(",")]
            assert not [cell for cell in cells if cell[:1] in ("=", "@") or cell.startswith("+cmd")]
