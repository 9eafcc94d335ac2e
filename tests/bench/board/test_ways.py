"""The findings of a results folder as a page."""

from __future__ import annotations

from subnetbench.bench.board.build import write_site
from subnetbench.bench.board.ways import findings

from ..made_board import made_results


def test_findings_are_html_without_markup_pictures_and_local_links_of_their_text(tmp_path):
    (tmp_path / "FINDINGS.md").write_text(
        "# Found\n\n<script>alert(1)</script> ![x](x.png) [report](a/report.md) [web](https://example.org) "
        "[bad](javascript:alert(1))\n\n| a | b |\n|---|---|\n| 1 | **2** |\n"
    )
    page = findings(tmp_path)
    assert "<h1>Found</h1>" in page
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
    assert "<h1>Found</h1>" in (tmp_path / "site" / "findings.html").read_text()
    assert 'href="findings.html"' in (tmp_path / "site" / "index.html").read_text()


def test_a_comment_of_the_pages_source_is_not_on_the_page(tmp_path):
    (tmp_path / "FINDINGS.md").write_text("<!-- made by\na script -->\n# What was found\n", encoding="utf-8")
    page = findings(tmp_path)
    assert page is not None
    assert "made by" not in page
    assert "What was found" in page
