"""Text of others on pages and in downloads: marks that would turn the direction of what stands around it are shown."""

from __future__ import annotations

import re

#: Controls but tab and line end, and the embeddings, overrides and isolates of Unicode's bidirectional algorithm.
_MARKS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""The text with such marks as ``\u202e``, which JSON and TOML read as the mark itself."""
    return _MARKS.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
