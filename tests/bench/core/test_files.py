"""Files are written where they were asked for, in place of regular files alone."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.files import DEEPEST, json_of, read_json, write_bytes, write_json

from ..cli.test_commands import call
from ..made_board import made_results


def device(path: Path) -> Path:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except (OSError, AttributeError):
        pytest.skip("only root may make devices")
    return path


def test_a_device_is_neither_replaced_nor_read(tmp_path: Path) -> None:
    node = device(tmp_path / "x.png")
    with pytest.raises(UserError, match="it exists and is no regular file"):
        write_bytes(node, b"text")
    with pytest.raises(UserError, match="is no regular file"):
        read_json(node)
    made_results(tmp_path / "r", {"good": (2.0, 1.0), "poor": (1.0, 1.0)})
    assert "is no regular file" in call("leaderboard", tmp_path / "r", "--single", node).mistake
    said = call("compare", "good", "poor", "--results", tmp_path / "r" / "made", "--plot", node).mistake
    assert "is no regular file" in said
    assert stat.S_ISCHR(node.lstat().st_mode)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(UserError, match="it exists and is no regular file"):
        write_bytes(tmp_path / "x", b"text")
    with pytest.raises(UserError, match="is no regular file"):
        read_json(tmp_path / "x")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old")
    (tmp_path / "x").symlink_to("there")
    (tmp_path / "new").symlink_to("made")
    write_bytes(tmp_path / "x", b"text")
    write_bytes(tmp_path / "new", b"text")
    assert (tmp_path / "x").is_symlink()
    assert (tmp_path / "there").read_text() == (tmp_path / "made").read_text() == "text"


def test_a_link_to_itself_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("x")
    with pytest.raises(UserError, match="cannot be written"):
        write_bytes(tmp_path / "x", b"text")


def test_the_figure_that_json_cannot_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x.json cannot be written: cells.1.low is inf"):
        write_json(tmp_path / "x.json", {"cells": [{"low": 0.0}, {"low": float("inf")}]})


def test_a_site_is_written_beside_the_files_of_its_host(tmp_path: Path) -> None:
    made_results(tmp_path / "r", {"good": (2.0, 1.0)})
    (tmp_path / "site").mkdir()
    for name in (".nojekyll", "CNAME"):
        (tmp_path / "site" / name).write_text("mine")
    assert call("leaderboard", tmp_path / "r", "--out", tmp_path / "site").code == 0
    assert (tmp_path / "site" / "index.html").is_file()
    assert (tmp_path / "site" / "CNAME").read_text() == "mine"


def test_a_list_of_numbers_is_one_line_of_json_and_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, -1e-9], "b": [], "c": ["x", 1], "d": [[1, 2], [3]], "t": "line\n[\n 1\n]"}
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert '"a": [1, 2.5, null, -1e-09],' in text
    assert "[1, 2]," in text


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a": []},
        {"a": {}, "b": [{}], "c": [True, 1]},
        {1: (2, [3, []]), None: 0.5},
        {"a": ["é\n", None, [{"b": [True]}]]},
    ],
)
def test_json_without_lists_of_several_numbers_is_as_python_indents_it(tmp_path: Path, content: Any) -> None:
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(json.dumps(content))
    plain = json.dumps(content, indent=1, ensure_ascii=False)
    assert re.sub(r"\[\n\s*([\d.]+)\n\s*\]", r"[\1]", plain) == text.rstrip("\n")


@pytest.mark.parametrize("inner", ["{}", "[]", "1"])
def test_json_is_read_down_to_the_deepest_level_and_no_further(tmp_path: Path, inner: str) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deepest = opening * (DEEPEST - 1) + inner + closing * (DEEPEST - 1)
        assert json_of(deepest.encode(), tmp_path) == json.loads(deepest)
        with pytest.raises(UserError, match="nested deeper"):
            json_of(f"{opening}{deepest}{closing}".encode(), tmp_path)
