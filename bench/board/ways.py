"""Where a reader goes from the start page: documentation, repository, findings, submitting."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import metadata
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from .names import web_address
from .visible import visible

FINDINGS = "FINDINGS.md"

#: What a page of Markdown says to those who edit it.
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)

#: What anchors of headings begin with, so that none is that of another part of a single page.
_HERE = "found-"

#: A larger file is not a page of findings.
MOST_BYTES = 1 << 20


def address_of(*names: str) -> str | None:
    """The address that the package states under one of these names; None if it states none, or a placeholder."""
    stated = metadata("subnetbench").get_all("Project-URL") or []
    by_name = {name.strip().lower(): url.strip() for name, _, url in (line.partition(",") for line in stated)}
    urls = (web_address(by_name[name]) for name in names if name in by_name)
    return next((url for url in urls if url is not None and "OWNER" not in url), None)


def findings(folder: Path) -> str | None:
    """The Markdown of the findings that lie in a results folder."""
    path = folder / FINDINGS
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def as_html(text: str, page_of: Callable[[str], str | None]) -> Markup:
    """Markdown as HTML, without the HTML and pictures of its text.

    ``page_of`` gives the page of the site that stands for a results folder, by the folder's name. A link into such a
    folder leads there, one to the web or to a heading stays a link, and of any other, whose file no site holds, the
    text alone stays.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(visible(_COMMENT.sub("", text)))
    anchors = {f"#{anchor}": f"#{_HERE}{anchor}" for anchor in _anchored(tokens)}

    def target(address: str) -> str | None:
        return web_address(address) or anchors.get(unquote(address)) or page_of(_folder_of(address))

    for token in tokens:
        if token.children:
            token.children = _linked(token.children, target)
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def _anchored(tokens: Sequence[Token]) -> Iterator[str]:
    """Give every heading an anchor as GitHub has it, and name these."""
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(part.content for part in inline.children or () if part.type in ("text", "code_inline"))
            anchor = re.sub(r"[^\w -]", "", words.lower()).strip().replace(" ", "-")
            opening.attrSet("id", f"{_HERE}{anchor}")
            yield anchor


def _folder_of(address: str) -> str:
    """The first folder of a path that leads down from the page; empty for any other address."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    first, *below = unquote(parts.path).removeprefix("./").split("/")
    return first if below and not parts.scheme and not parts.netloc else ""


def _linked(tokens: Sequence[Token], target: Callable[[str], str | None]) -> list[Token]:
    """The tokens of a line, links with their targets; of a link without one, its text."""
    kept: list[Token] = []
    inside_plain = False
    for token in tokens:
        if token.type == "link_open":
            address = target(str(token.attrs.get("href", "")))
            inside_plain = address is None
            if address is not None:
                token.attrs["href"] = address
        if token.type in ("link_open", "link_close") and inside_plain:
            inside_plain = token.type != "link_close"
            continue
        kept.append(token)
    return kept
