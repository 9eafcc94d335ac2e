"""The tracks by name: a third one is a folder of known names and one line here."""

from __future__ import annotations

from pathlib import Path

from .detection.suite import Suite
from .harness.toml import checked_suite, read_suite
from .localisation.suite import WsolSuite


def load_any(source: str | Path) -> Suite | WsolSuite:
    """A suite of either track: one with a [[saliency]] table is a localisation suite."""
    path, text, content = read_suite(source)
    if "saliency" in content:
        return checked_suite(WsolSuite, path, text, content)
    return checked_suite(Suite, path, text, content)
