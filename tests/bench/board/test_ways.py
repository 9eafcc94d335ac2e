"""The findings of a results folder as a page."""

from __future__ import annotations

import re

import pytest
from subnetbench.bench.board.boards import read_results
from subnetbench.bench.board.build import write_site
from subnetbench.bench.board.pages import Pages
from subnetbench.bench.board.reproduce import reruns
from subnetbench.bench.board.ways import as_html, findings

from ..made_board import made_results


def test_findings_are_html_without_markup_pictures_and_local_links_of_their_text(tmp_path):
    (tmp_path / "FINDINGS.md").write_text(
        "# Found\n\n<script>alert(1)</script> ![x](x.png) [report](a/report.md) [web](https://example.org) "
        "[bad](javascript:alert(1))\n\n| a | b |\n|---|---|\n| 1 | **2** |\n"
    )
    page = as_html(findings(tmp_path), {}.get)
    assert '<h1 id="found-found">Found</h1>' in page
    assert "<strong>2</strong></td>" in page
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("<a ") == 1
    assert '<a href="https://example.org">web</a>' in page
    assert "report" in page


def test_a_folder_without_findings_has_no_page_of_them(tmp_path):
    assert findings(tmp_path) is None
    results = made_results(tmp_path / "results", {"good": (3.0, 2.0)})
    write_site(results, tmp_path / "site")
    assert not (tmp_path / "site" / "findings.html").exists()
    (results / "FINDINGS.md").write_text("# Found")
    write_site(results, tmp_path / "site")
    assert '<h1 id="found-found">Found</h1>' in (tmp_path / "site" / "findings.html").read_text()
    assert 'href="findings.html"' in (tmp_path / "site" / "index.html").read_text()


def test_a_comment_of_the_pages_source_is_not_on_the_page(tmp_path):
    (tmp_path / "FINDINGS.md").write_text("<!-- made by\na script -->\n# What was found\n", encoding="utf-8")
    page = as_html(findings(tmp_path), {}.get)
    assert "made by" not in page
    assert "What was found" in page


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("made/tables/report.md", "board.html"),
        ("./made/figures/roc%20of.png", "board.html"),
        ("made/tables/report.md#a-part", "board.html"),
        ("made/", "board.html"),
        ("made", None),
        ("other/tables/report.md", None),
        ("../made/report.md", None),
        ("/made/report.md", None),
        ("//made/report.md", None),
        ("file:///made/report.md", None),
        ("tables/summary.md", None),
        ("#what-is-held-at-5", "#found-what-is-held-at-5"),
        ("#elsewhere", None),
        ("https://example.org/made/", "https://example.org/made/"),
    ],
)
def test_a_link_leads_to_a_page_of_the_site_or_is_none(address, target):
    page = as_html(f"[*x*]({address}) is\n\n## What is `held` at .5?\n", {"made": "board.html"}.get)
    assert re.findall(r'<a href="([^"]*)"', page) == ([] if target is None else [target])
    assert page.count("</a>") == page.count("<a ")
    assert "<em>x</em>" in page


def test_links_of_a_site_lead_to_files_that_it_holds_and_those_of_a_single_page_stay_on_it(tmp_path):
    results = made_results(tmp_path / "results", {"good": (3.0, 2.0)})
    (results / "FINDINGS.md").write_text(
        "[board](made/tables/report.md), [all](tables/summary.md), [top](#top)\n# Top\n"
    )
    write_site(results, tmp_path / "site")
    page = (
        (tmp_path / "site" / "findings.html").read_text(encoding="utf-8").partition("<article")[2].partition("</art")[0]
    )
    board, top = re.findall(r'href="([^"]*)"', page)
    assert (tmp_path / "site" / board).is_file()
    assert board.startswith("board/")
    assert f'id="{top[1:]}"' in page
    assert ">all<" not in page
    assert "all" in page
    read = read_results(results)
    single = dict(Pages(read, reruns(read.boards), single=True)._parts())["findings"]
    assert re.findall(r'href="([^"]*)"', single) == [f"#board/{read.boards[0].id}", "#found-top"]
