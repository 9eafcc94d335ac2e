"""Parts of a page, packed until they are looked at."""

from __future__ import annotations

import base64
import gzip


def packed(text: str) -> str:
    """Text compressed for a data block of a page; the page's script unpacks it when it is chosen."""
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
