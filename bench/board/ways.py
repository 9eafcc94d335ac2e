"""Where a reader goes from the start page: documentation, repository, findings, submitting."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from .names import web_address
from .visible import visible

FINDINGS = "FINDINGS.md"

#: What a page of Markdown says to those who edit it.
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)

#: A larger file is not a page of findings.
MOST_BYTES = 1 << 20


def address_of(*names: str) -> str | None:
    """The address that the package states under one of these names; None if it states none, or a placeholder."""
    stated = metadata("subnetbench").get_all("Project-URL") or []
    by_name = {name.strip().lower(): url.strip() for name, _, url in (line.partition(",") for line in stated)}
    urls = (web_address(by_name[name]) for name in names if name in by_name)
    return next((url for url in urls if url is not None and "OWNER" not in url), None)


def findings(folder: Path) -> Markup | None:
    """The findings that lie in a results folder, as HTML without the HTML, pictures and local links of its text."""
    path = folder / FINDINGS
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = reader.parse(visible(_COMMENT.sub("", text)))
    for token in tokens:
        if token.children:
            token.children = _without_local_links(token.children)
    return Markup(reader.renderer.render(tokens, reader.options, {}))


def _without_local_links(tokens: list[Token]) -> list[Token]:
    """Links to the web as they are; the text alone of those to files, which a site does not hold."""
    kept: list[Token] = []
    inside_local = False
    for token in tokens:
        if token.type == "link_open":
            inside_local = web_address(str(token.attrs.get("href", ""))) is None
        if token.type in ("link_open", "link_close") and inside_local:
            inside_local = token.type != "link_close"
            continue
        kept.append(token)
    return kept
