"""A file that is left off the pages; not in `entry`, whose imports take longer than a page that is known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LeftOut:
    """A file that is left off the pages, and one sentence with the reason."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} is left out: {self.reason}"
