"""Search works from disk: a page opened from a file gets a worker that behaves as one (in a real Chromium)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIM = ROOT / "docs" / "assets" / "iframe-worker.js"
OFFLINE = ROOT / ".ci" / "offline.py"
WORKER = """
self.onmessage = (event) => {
  const asked = event.data.asked;
  event.data.asked = "changed by the worker";
  postMessage({ answer: asked.toUpperCase() });
};
"""
PAGE = """<!doctype html><body><script src="iframe-worker.js"></script><script>
const worker = new Worker("worker.js"), message = { asked: "register a detector" };
let synchronous = true;
window.told = new Promise((resolve) => {
  worker.onmessage = (event) => resolve([event.data.answer, message.asked, synchronous]);
});
worker.postMessage(message);
message.asked = "typed on";
synchronous = false;
</script></body>"""


def test_a_worker_of_a_page_on_disk_answers_and_shares_nothing_with_it(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    shutil.copy(SHIM, tmp_path)
    (tmp_path / "worker.js").write_text(WORKER, encoding="utf-8")
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=options)
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate("window.told") == ["REGISTER A DETECTOR", "typed on", False]
        browser.close()


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<script src="./assets/iframe-worker.js"></script><a href="https://zensical.org">Zensical</a>', None),
        ('<script src="https://unpkg.com/iframe-worker/shim"></script>', "loads https://unpkg.com/iframe-worker/shim"),
        ('<link rel="stylesheet" href="//fonts.example"><script src="iframe-worker.js"></script>', "//fonts.example"),
        ("<p>no script</p>", "does not load iframe-worker.js"),
    ],
)
def test_a_page_that_needs_the_network_fails_the_build(tmp_path: Path, page: str, fault: str | None) -> None:
    (tmp_path / "index.html").write_text(page, encoding="utf-8")
    (tmp_path / "search.js").write_text("", encoding="utf-8")
    ran = subprocess.run([sys.executable, OFFLINE, tmp_path], capture_output=True, text=True, check=False)
    assert ran.returncode == bool(fault)
    assert (fault or "opens from disk") in ran.stdout
