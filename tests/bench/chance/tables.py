"""One table: the share of images that each rule classifies correctly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from subnetbench.bench.harness.entry import read_entries
from subnetbench.bench.harness.stale import table_files
from subnetbench.bench.harness.tables import Report, Section, percent

from .entry import Entry

FILES = table_files("report", ("chance",))


def report(folder: Path) -> Report:
    entries = read_entries(Entry, folder)

    def shares() -> pd.DataFrame:
        return pd.DataFrame([{"rule": entry.rule, "right": percent(entry.right)} for entry in entries])

    return Report(entries[0].suite.name, [], [Section("chance", "Without an image", shares, "In percent.")])


def frame(entries: Sequence[Entry]) -> pd.DataFrame:
    return pd.DataFrame([{"suite": entry.suite.name, "rule": entry.rule, "right": entry.right} for entry in entries])
