"""Everything that a run is given besides its suite."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import UserError
from ..core.progress import Reporter, Silent
from ..core.store import Store

if TYPE_CHECKING:
    import torch  # only for annotations: tables and pages, which have no device, start without it


@dataclass(frozen=True)
class Context:
    """The store of artifacts, the device to compute on, the folder of data, and the reporter of progress.

    ``debug`` lets a third-party detector's error through instead of reporting it as a cell. The store's warnings go to
    ``report``, and so does its waiting for another run. ``failed``: titles of tasks that have failed elsewhere, with
    the reason; they are reported with it and not tried again. ``timed``: what was measured of nets, for the
    estimates of all parts of a suite.
    """

    store: Store
    device: torch.device
    data_root: Path | None = None
    report: Reporter = field(default_factory=Silent)
    debug: bool = False
    failed: dict[str, str] = field(default_factory=dict)
    timed: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store.warn, self.store.waiting = self.report.warn, self.report.stage
        self.store.device = str(self.device)

    def refuse_failed(self, title: str) -> None:
        """Raise UserError with the reason of a task that has failed elsewhere."""
        if title in self.failed:
            raise UserError(self.failed[title])
