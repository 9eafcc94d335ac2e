"""The localisation track for a page: its checked entries and their claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..core.errors import UserError
from ..core.files import sentence
from ..core.text import shown
from ..harness.entry import Checked, LeftOut, folders_below, read_checked
from ..localisation.audit import examine
from ..localisation.entry import FOLDER, Claim, Entry, claims_file, read_claims
from ..localisation.metrics import METRICS
from ..localisation.tables import frame
from .checks import Checks


@dataclass(frozen=True)
class Maps:
    """All localisation entries and claims below a folder, with the metrics that occur in them."""

    checked: Sequence[Checked[Entry]]
    claims: Sequence[tuple[str, Sequence[Claim]]]

    @property
    def entries(self) -> list[Entry]:
        return [checked.entry for checked in self.checked]

    @property
    def metrics(self) -> list[str]:
        return [name for name in METRICS if any(entry.metric(name) for entry in self.entries)]

    def frame(self) -> pd.DataFrame:
        """One row per entry and metric, in [0, 1]."""
        return frame(self.entries)


def read_maps(folder: Path, checks: Checks) -> tuple[Maps, list[LeftOut]]:
    """Everything of the track below a folder that passes its checks, and the files left out."""
    checked, refused = read_checked(Entry, folder, examine, checks.measured)
    claims: list[tuple[str, Sequence[Claim]]] = []
    for root in folders_below(folder, FOLDER):
        path = claims_file(root)
        if not path.is_file():
            continue
        try:
            claims.append((shown(root.name), read_claims(root)[1]))
        except UserError as error:
            file = shown(path.relative_to(folder).as_posix())
            refused.append(LeftOut(file, sentence(error, path, file)))
    return Maps(checked, claims), refused
