"""Fail where a page of the built documentation loads anything from the network, or could not search from disk."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

#: What a browser fetches by itself, and the attribute that says from where; a link that somebody follows may lead away.
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}
WORKER = "iframe-worker.js"


class Loads(HTMLParser):
    """What a page loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag in LOADED and (tag != "link" or said.get("rel") in ("stylesheet", "icon", "preload", "modulepreload")):
            self.addresses.append(said.get(LOADED[tag]) or "")


def faults(site: Path) -> list[str]:
    """One line for each fault; none where the site may be opened from disk."""
    pages = sorted(site.rglob("*.html"))
    found = [] if pages and (site / "search.js").is_file() else [f"{site} has no pages, or no search.js beside them"]
    for page in pages:
        loads = Loads(page.read_text(encoding="utf-8")).addresses
        found += [f"{page.name} loads {address}" for address in loads if address.startswith(("http:", "https:", "//"))]
        if not any(address.endswith(WORKER) for address in loads):
            found.append(f"{page.name} does not load {WORKER}, without which its search fails from disk")
    return found


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]))
    print("\n".join(lines) or "the site opens from disk, search included")
    sys.exit(bool(lines))
