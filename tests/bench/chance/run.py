"""From a data set's labels to entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from subnetbench.bench.core.versions import versions
from subnetbench.bench.data.load import load
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.entry import DatasetNote, SuiteNote

from .entry import Entry
from .suite import Suite


class Run:
    def __init__(self, suite: Suite, context: Context) -> None:
        self.suite, self.context = suite, context
        self.failures: list[str] = []

    def check(self) -> None: ...

    def estimate(self) -> tuple[str, list[dict[str, Any]]]:
        return self.suite.name, [{"rule": rule.name} for rule in self.suite.rules]

    def steps(self) -> list[float]:
        return [1.0] * len(self.suite.rules)

    def made(self) -> Iterator[tuple[Entry, pd.DataFrame]]:
        data = load(self.suite.dataset.name, self.context.data_root, **self.suite.dataset.parameters)
        labels = data.test.labels
        guesses = {"majority": int(np.bincount(data.train.labels).argmax()), "first": 0}
        for rule in self.suite.rules:
            right = labels == guesses[rule.name]
            entry = Entry(
                suite=SuiteNote(name=self.suite.name),
                dataset=DatasetNote(name=data.name, sha256=data.content_hash),
                rule=rule.name,
                seed=self.suite.seed,
                right=float(right.mean()),
                versions=dict(versions()),
            )
            yield entry, pd.DataFrame({"image": np.arange(len(labels)), "right": right})

    def finish(self, folder: Path) -> None: ...
