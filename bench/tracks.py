"""The tracks by name: a third one is a folder of known names and one line here."""

from __future__ import annotations

from pathlib import Path

from .detection.suite import Suite
from .harness.extends import read_suite
from .harness.toml import checked_suite
from .localisation.suite import WsolSuite


def load_any(source: str | Path) -> Suite | WsolSuite:
    """A suite of either track: one with a [[saliency]] table is a localisation suite."""
    read = read_suite(source)
    if "saliency" in read.content:
        return checked_suite(WsolSuite, read.content, read.where)
    return checked_suite(Suite, read.content, read.where)
