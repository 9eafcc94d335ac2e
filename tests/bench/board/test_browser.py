"""The built site in a real headless Chromium, opened from disk: sort, filter, search, theme, links, nothing fetched."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from subnetbench.bench.board.build import write_single, write_site

from ..made_board import edit, entry, made_results, many, scores, write_entry
from .test_build import localised

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

#: The least contrast of a shown text, and the text.
WORST_CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 :
    ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(".sr, .skip, option, optgroup")) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < worst[0]) worst = [ratio, `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`];
  }
  return worst;
}"""

HOSTILE = "<img src=x onerror=window.hacked=1>"
ROWS = 1000


def browser_path() -> str | None:
    """The system's Chromium; None where there is none (playwright's own is tried then)."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        path = browser_path() or found.chromium.executable_path
        if not Path(path).is_file():
            pytest.skip("no Chromium is installed: apt-get install chromium, or playwright install chromium")
        # Root, as in a container, has no sandbox; the pages are ours.
        options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        opened = found.chromium.launch(executable_path=path, args=options)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two boards: one of six detectors, one of them of a hostile name, and a refused one; and one of ten."""
    home = tmp_path_factory.mktemp("site")
    results = home / "results"
    strengths = {
        "ninety": (2.0, 1.7),
        "hundred": (6.0, 6.0),
        "nine": (-0.2, -1.0),
        HOSTILE: (1.5, 1.5),
        "plain": (1.0, 1.0),
        "bent": (3.0, 3.0),
    }
    made_results(results, strengths, controls=["plain"])
    edit(next(results.rglob("ninety.json")), lambda e: e["detector"].update(needs=["clean", "gradient"]))
    edit(
        next(results.rglob("plain.json")),
        lambda e: e["detector"].update(needs=["clean", "gradient"], url="javascript:1"),
    )
    edit(next(results.rglob("bent.json")), lambda e: e["cells"][0].update(auroc=1.5))
    table = scores({"fgsm": 2.0, "cw": 2.0}, seed=3)
    table = table[~((table["test_on"] == "cw") & (table["fit_on"] == "cw"))]
    lacking = entry("lacking", table)
    next(c for c in lacking["cells"] if c["fit_on"] == c["test_on"] == "cw")["remark"] = "needs dropout"
    write_entry(results / "made", lacking, table)
    many(results, 10)
    localised(results / "boxes")
    write_site(results, home / "site")
    write_single(results, home / "single.html")
    return home


class Watch:
    """A page that remembers what it asked for and what went wrong."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.troubles: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.troubles.append(f"failed: {request.url}"))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))

    def open(self, path: Path, anchor: str = "") -> Any:
        self.page.goto(path.as_uri() + anchor)
        self.page.wait_for_selector("html[data-ready]")
        return self.page


@pytest.fixture
def watch(browser) -> Iterator[Watch]:
    made = Watch(browser)
    yield made
    left = [url for url in made.requests if not url.startswith(("file:", "data:"))]
    made.context.close()
    assert left == []
    assert made.troubles == []


def until(holds: Callable[[], bool], seconds: float = 20) -> bool:
    """The library sorts a moment after the click: wait until it holds."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def names(page: Any, board: str = "made--strict") -> list[str]:
    return page.locator(f'[data-board="{board}"] tbody tr:visible th bdi').all_inner_texts()


def header(page: Any, text: str) -> Any:
    return page.locator('[data-board="made--strict"] thead th').filter(has_text=text).first


def column(page: Any, place: int) -> list[float]:
    cells = page.locator(f'[data-board="made--strict"] tbody tr td:nth-of-type({place + 1})')  # the first is the rank
    return [float(value) for value in cells.evaluate_all("cells => cells.map(cell => cell.dataset.order)")]


def test_the_start_page_has_a_menu_and_shows_one_board(watch, folder):
    page = watch.open(folder / "site" / "index.html")
    menu = page.get_by_label("Data set, net and protocol")
    assert menu.locator("option").count() == 2
    assert page.locator(".board:visible").count() == 1
    menu.select_option("made--strict")
    page.wait_for_selector('[data-board="made--strict"]:visible')
    assert until(lambda: page.locator(".board:visible").count() == 1)
    assert page.locator("#said").inner_text() == "digits · digits-cnn · strict · made: 6 detectors"
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.locator(".board:visible").get_attribute("data-board") == "made--strict"  # the address holds the choice
    page.go_back()
    assert page.locator(".board:visible").count() == 1


def test_it_comes_ranked_and_says_so_to_a_screen_reader(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    assert names(page)[0] == "hundred"
    assert names(page)[-1] == "lacking"
    assert column(page, 1) == sorted(column(page, 1), reverse=True)
    assert page.locator('[data-board="made--strict"] th[aria-sort]').inner_text().startswith("Rank")
    ranks = page.locator('[data-board="made--strict"] tbody td.rank').all_inner_texts()
    assert ranks == ["1", "2", "3", "4", "5", "–"]


def test_numbers_sort_by_value_with_the_mouse_and_the_keyboard(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    values = column(page, 2)
    assert len({len(f"{100 * v:.1f}") for v in values}) > 1  # 100.0 and 9.x: as texts they sort otherwise
    fgsm = page.locator('[data-board="made--strict"] thead tr:nth-child(2) th').first
    fgsm.click()
    assert until(lambda: column(page, 2) == sorted(values, reverse=True))
    assert until(lambda: fgsm.get_attribute("aria-sort") == "descending")
    fgsm.locator("[role=button]").focus()
    page.keyboard.press("Enter")
    assert until(lambda: column(page, 2) == sorted(values))
    assert until(lambda: fgsm.get_attribute("aria-sort") == "ascending")
    header(page, "Detector").click()
    assert until(lambda: names(page) == sorted(names(page), key=str.lower))


def test_search_keeps_the_rows_that_have_the_word(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    page.get_by_label("Filter").first.fill("nine")
    assert until(lambda: sorted(names(page)) == ["nine", "ninety"])
    page.get_by_label("Filter").first.fill("no such detector")
    assert until(lambda: names(page) == [])
    assert page.get_by_text("No row has that.").is_visible()
    page.get_by_label("Filter").first.fill("")
    assert until(lambda: len(names(page)) == 6)


def test_the_filter_by_needs_leaves_controls_in_place(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    assert "ninety" in names(page)
    page.get_by_label("gradient").uncheck()
    assert until(lambda: "ninety" not in names(page))
    assert {"plain", "hundred"} <= set(names(page))  # plain needs gradients and is a control
    page.get_by_label("adversarial").uncheck()
    assert until(lambda: names(page) == ["plain"])
    page.get_by_label("gradient").check()
    page.get_by_label("adversarial").check()
    assert until(lambda: len(names(page)) == 6)


def test_controls_and_the_best_are_told_apart_by_more_than_colour(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    control = page.locator('[data-board="made--strict"] tbody tr', has=page.get_by_text("plain", exact=True))
    other = page.locator('[data-board="made--strict"] tbody tr', has=page.get_by_text("nine", exact=True))
    colour = "cell => getComputedStyle(cell).backgroundColor"
    assert control.locator("td").first.evaluate(colour) != other.locator("td").first.evaluate(colour)
    assert control.get_by_text("control").is_visible()
    best = page.locator('[data-board="made--strict"] tbody td.best')
    assert best.count() > 0
    assert all("★" in text and "among the best" in text for text in best.all_text_contents())


def test_a_cell_without_a_value_says_why(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    row = page.locator('[data-board="made--strict"] tbody tr', has=page.get_by_text("lacking", exact=True))
    assert row.get_by_text("needs dropout").is_visible()
    assert row.get_by_text("no value for seen cw").first.is_visible()


def test_what_was_left_out_is_said_at_the_top(watch, folder):
    page = watch.open(folder / "site" / "index.html")
    said = page.locator(".left-out")
    assert "1 file was left out" in said.inner_text()
    assert "made/entries/strict/bent.json: cells.0.auroc" in said.inner_text()


@pytest.mark.parametrize("name", ["site/index.html", "single.html"])
def test_a_hostile_name_stays_text(watch, folder, name):
    page = watch.open(folder / name, "#board/made--strict")
    assert HOSTILE in names(page)
    assert page.locator("img").count() == 0
    page.get_by_label("Filter").first.fill("onerror")
    assert until(lambda: names(page) == [HOSTILE])
    assert page.evaluate("window.hacked") is None
    page.locator('[data-board="made--strict"] tbody tr:visible th a').click()
    assert until(page.get_by_role("heading", name=HOSTILE).first.is_visible)
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None
    assert page.locator("a[href^=javascript]").count() == 0


def test_the_theme_follows_the_system_and_the_button_and_is_remembered(browser, folder):
    watch = Watch(browser, color_scheme="dark")
    page = watch.open(folder / "site" / "index.html")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_role("button", name="Switch to the light theme").click()
    assert page.evaluate(background) == "rgb(255, 255, 255)" != dark
    page.goto((folder / "site" / "detector" / "hundred.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert watch.troubles == []
    watch.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(browser, folder, theme):
    """WCAG's 4.5 : 1 for every text that is shown."""
    watch = Watch(browser, color_scheme=theme)
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    worst = page.evaluate(WORST_CONTRAST)
    assert worst[0] >= 4.5, worst
    watch.context.close()


def test_a_board_printed_from_a_dark_desktop_is_dark_on_white_and_fits_the_paper(browser, folder):
    """A4 landscape without its margins, and a narrower sheet."""
    watch = Watch(browser, color_scheme="dark", viewport={"width": 1047, "height": 720})
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    page.emulate_media(media="print", color_scheme="dark")
    worst = page.evaluate(WORST_CONTRAST)
    assert worst[0] >= 4.5, worst
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for width in (1047, 700):
        page.set_viewport_size({"width": width, "height": 720})
        edges = page.locator(".board thead th:visible").evaluate_all(
            "all => all.map(th => th.getBoundingClientRect().right)"
        )
        assert len(edges) == 13
        assert max(edges) <= width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("tbody th:visible").first.evaluate("th => getComputedStyle(th).position") == "static"
    assert page.locator(".board:visible .interval").first.is_visible()  # paper has no switch
    watch.context.close()


def test_a_phone_has_a_card_for_each_row_and_no_page_is_wider_than_it(browser, folder):
    watch = Watch(browser, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    card = page.locator('[data-board="made--strict"] tbody tr').first
    box = card.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    assert box["height"] > 150
    assert card.locator("th").inner_text() == "hundred"
    label = "cell => getComputedStyle(cell, '::before').content"
    assert card.locator("td").nth(1).evaluate(label) == '"Worst case"'
    assert card.locator("td").nth(2).evaluate(label) == '"seen FGSM"'
    page.get_by_label("Sort by").select_option("seen FGSM")
    values = column(page, 2)
    assert until(lambda: column(page, 2) == sorted(values, reverse=True))
    for other in ("detector/hundred.html", "attack/cw.html", "wsol.html", "submit.html"):
        watch.open(folder / "site" / other)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, other
    assert watch.troubles == []
    watch.context.close()


@pytest.mark.parametrize("width", [1300, 360])
def test_names_without_a_space_do_not_widen_the_page(browser, tmp_path, width):
    long = "n" * 150
    made_results(tmp_path / "results", {long: (2.0, 1.7)})
    for path in (tmp_path / "results").rglob("entries/*/*.json"):
        edit(path, lambda e: e["suite"].update(title=long))
        edit(path, lambda e: e["dataset"].update(name=long, note=long))
        edit(path, lambda e: e["model"].update(name=long))
        edit(path, lambda e: e["detector"].update(title=long, formula=long, notes=long, needs=[long]))
    write_single(tmp_path / "results", tmp_path / "single.html")
    watch = Watch(browser, viewport={"width": width, "height": 740})
    page = watch.open(tmp_path / "single.html")
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    watch.context.close()


def test_the_keyboard_reaches_content_menu_table_and_links(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("""() => { const e = document.activeElement;
          return e.getAttribute("role") || (e.id === "board" ? e.id : e.type) ||
          (e.closest("tbody") ? "in the table" : e.tagName); }""")
        )
    assert {"board", "checkbox", "search", "region", "button", "in the table"} <= reached


AXE = "axe-core is not installed: pip install axe-playwright-python brings it"


@pytest.mark.parametrize(("width", "theme"), [(1300, "light"), (1300, "dark"), (360, "light")])
def test_axe_has_nothing_serious_to_say(browser, folder, width, theme):
    package = pytest.importorskip("axe_playwright_python", reason=AXE)
    script = (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    watch = Watch(browser, viewport={"width": width, "height": 900}, color_scheme=theme)
    findings = []
    places = ("index.html#board/made--strict", "detector/hundred.html", "attack/cw.html", "wsol.html", "submit.html")
    for name in [*(f"site/{place}" for place in places), "single.html", "single.html#detector-hundred"]:
        file, _, anchor = name.partition("#")
        page = watch.open(folder / file, f"#{anchor}" if anchor else "")
        page.evaluate(script)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
        findings += [
            f"{name}: {one['id']}: {one['nodes'][0]['html'][:120]}"
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
        ]
    assert findings == []
    assert watch.troubles == []
    watch.context.close()


def test_landmarks_headings_and_the_table_have_names(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    for role in ("banner", "main", "contentinfo", "navigation"):
        assert page.get_by_role(role).count() == 1, role
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    table = page.locator('[data-board="made--strict"] table')
    assert "ranked by the worst case" in table.locator("caption").inner_text()
    assert table.locator("tbody tr th[scope=row]").count() == table.locator("tbody tr").count()
    assert table.locator("thead th:not([scope])").count() == 0
    assert page.locator("input:not([id]):not(label input), select:not([id]):not(label select)").count() == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_every_page_of_the_site_opens_without_a_complaint(watch, folder):
    site = folder / "site"
    pages = [path for path in sorted(site.rglob("*.html")) if "detector-0" not in path.name]
    assert len(pages) == 2 + 2 + 6 + 3
    for path in [*pages, site / "detector" / "detector-0007.html"]:
        page = watch.open(path)
        assert page.locator("h1").is_visible()
    page = watch.open(site / "detector" / "hundred.html")
    assert page.get_by_role("img", name="ROC curves of hundred").count() == 1
    assert page.get_by_role("img", name="Scores of hundred").count() == 2
    assert page.locator(".roc path.curve").first.bounding_box()["width"] > 100
    page = watch.open(site / "detector" / "nine.html")
    assert page.locator(".roc > svg path.curve").last.bounding_box()["height"] > 50  # a poor one fills the square


def test_every_link_of_the_start_page_opens_or_saves_a_file_that_is_there(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    links = page.locator("a[href]:visible").evaluate_all(
        "links => links.map(a => [a.href, a.hasAttribute('download')])"
    )
    local = [(url, saves) for url, saves in links if url.startswith("file:")]
    assert {url for url, _ in links} - {url for url, _ in local} == {"https://example.org/paper"}
    assert sum(saves for _, saves in local) == 8
    for url, _ in local:
        assert Path(unquote(urlsplit(url).path)).is_file(), url


def test_a_download_is_saved_with_its_content(browser, folder, tmp_path):
    watch = Watch(browser, accept_downloads=True)
    for start, name in (
        ("site/index.html", "cells.parquet"),
        ("single.html", "cells.csv"),
    ):
        page = watch.open(folder / start)
        with page.expect_download() as saved:
            page.locator(f'a[download="{name}"]').click()
        saved.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes() == (folder / "site" / "downloads" / name).read_bytes()
    downloads = [said for said in watch.troubles if not said.startswith("failed: ")]  # a saved page is an unshown one
    assert downloads == []
    watch.context.close()


def test_the_single_page_needs_no_file_beside_it(watch, folder, tmp_path):
    alone = tmp_path / "mailed.html"
    shutil.copy(folder / "single.html", alone)
    page = watch.open(alone, "#board/made--strict")
    assert names(page)[0] == "hundred"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    header(page, "Detector").click()
    assert until(lambda: names(page) == sorted(names(page), key=str.lower))
    page.locator('[data-board="made--strict"] tbody tr:visible th a', has_text="hundred").click()
    assert until(page.locator("#detector-hundred").is_visible)
    assert page.evaluate("document.activeElement.id") == "detector-hundred"
    assert page.locator(".board:visible").count() == 0
    page.go_back()
    assert until(page.locator('[data-board="made--strict"]').is_visible)
    assert {url.split("#")[0] for url in watch.requests if not url.startswith("data:")} == {alone.as_uri()}


def test_the_single_page_makes_boards_and_pages_when_they_are_chosen(watch, folder):
    page = watch.open(folder / "single.html")
    tables = page.locator("table.data")
    assert tables.count() == 1
    page.get_by_label("Board: data set, net and protocol").select_option("made--strict")
    assert until(lambda: tables.count() == 2)
    assert len(names(page)) == 6
    page.locator('[data-board="made--strict"]').get_by_role("link", name="FGSM", exact=True).click()
    heading = page.locator("#attack-fgsm")
    assert until(heading.is_visible)
    assert until(lambda: page.locator("article", has=heading).locator(".dt-container").count() > 0)
    assert 0 <= heading.bounding_box()["y"] < 900


def test_the_start_page_says_what_it_is_who_leads_and_whether_controls_win(watch, tmp_path):
    made_results(tmp_path / "results", {"strong": (3.0, 3.0), "weak": (0.5, 0.5), "plain": (1.5, 1.5)}, ["plain"])
    write_site(tmp_path / "results", tmp_path / "site")
    page = watch.open(tmp_path / "site" / "index.html")
    assert page.locator(".purpose").inner_text().count(".") == 1
    assert page.locator(".ways li").count() == 4
    hero = page.locator(".hero")
    assert hero.bounding_box()["y"] + hero.bounding_box()["height"] < 900
    answer = hero.locator(".answer").first
    assert answer.inner_text().startswith("Here: no. Suite made, digits, net digits-cnn")
    assert answer.get_by_role("link").all_inner_texts() == ["strong", "plain"]


def test_intervals_are_shown_when_they_are_asked_for_and_remembered(watch, folder):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    interval = page.locator('[data-board="made--strict"] .interval').first
    assert not interval.is_visible()
    page.get_by_label("Intervals").check()
    assert interval.is_visible()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert interval.is_visible()


@pytest.mark.parametrize("name", ["site/index.html", "single.html"])
def test_a_search_over_all_boards_leads_to_rows_of_each(watch, folder, name):
    page = watch.open(folder / name, "#board/made--strict")
    page.get_by_label("Search all boards").fill("detector-0003")
    hits = page.locator("#hits li")
    assert until(lambda: hits.count() == 1)
    assert page.locator("#hits-said").inner_text() == "1 row on 1 board"
    assert "on digits · digits-cnn · strict · many" in hits.inner_text()
    page.get_by_label("Search all boards").fill("a paper digits")
    assert until(lambda: hits.count() == 16)
    assert page.locator("#hits-said").inner_text() == "16 rows on 2 boards"
    page.get_by_label("Search all boards").fill(HOSTILE)
    assert until(lambda: hits.count() == 1)
    assert page.evaluate("window.hacked") is None
    hits.get_by_role("link").last.click()
    assert until(page.locator('[data-board="made--strict"]').is_visible)


def test_a_table_scrolls_within_itself_from_thirty_rows_on(watch, folder, tmp_path):
    page = watch.open(folder / "site" / "index.html", "#board/made--strict")
    taller = "box => box.scrollHeight > box.clientHeight + 1"
    assert not page.locator(".dt-layout-table:visible").evaluate(taller)
    write_site(many(tmp_path / "results", 31), tmp_path / "site")
    page = watch.open(tmp_path / "site" / "index.html")
    assert page.locator(".dt-layout-table:visible").evaluate(taller)


def test_a_thousand_rows_load_sort_and_search(watch, tmp_path):
    write_site(many(tmp_path / "results", ROWS), tmp_path / "site")
    page = watch.open(tmp_path / "site" / "index.html")
    assert len(names(page, "many--strict")) == ROWS
    page.get_by_label("Filter").first.fill("detector-0042")
    assert until(lambda: names(page, "many--strict") == ["detector-0042"])
    page.get_by_label("Filter").first.fill("detector-09")
    assert until(lambda: len(names(page, "many--strict")) == 100)
    page.locator('[data-board="many--strict"] thead th').filter(has_text="Year").click()
    years = page.locator('[data-board="many--strict"] tbody td:last-child')
    assert until(lambda: years.all_inner_texts() == sorted(years.all_inner_texts()))


def test_without_scripts_every_board_is_there_in_order(browser, folder):
    watch = Watch(browser, java_script_enabled=False)
    page = watch.page
    page.goto((folder / "site" / "index.html").as_uri())
    assert page.locator(".board:visible").get_attribute("data-board") == "many--strict"
    page.get_by_role("link", name="digits · digits-cnn · strict · made").click()
    assert page.locator(".board:visible").get_attribute("data-board") == "made--strict"
    assert names(page)[0] == "hundred"
    watch.context.close()


def test_a_start_page_grows_little_by_boards_that_nobody_chose(folder, tmp_path):
    """The second board of six rows, with its names, menu and packed rows, against the same page without it."""
    write_site(many(tmp_path / "results", 10), tmp_path / "site")
    alone, both = (path / "site" / "index.html" for path in (tmp_path, folder))
    plain = (folder / "site" / "board" / "made--strict.html").stat().st_size
    assert 0 < both.stat().st_size - alone.stat().st_size < plain / 2


def test_a_board_that_is_opened_alone_can_be_sorted(watch, folder):
    page = watch.open(folder / "site" / "board" / "made--strict.html")
    header(page, "Detector").click()
    assert until(lambda: names(page) == sorted(names(page), key=str.lower))
