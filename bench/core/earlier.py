"""Artifacts that a run did not make: those that were in the store before it began, each counted once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Earlier:
    """``known``: keys that were made or counted; what others make while the run goes on is not counted."""

    known: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.time)

    def counts(self, key: str, path: Path) -> bool:
        """Whether an artifact that was read counts."""
        if key in self.known:
            return False
        self.known.add(key)
        try:
            return path.stat().st_mtime < self.began
        except OSError:  # removed since
            return True
