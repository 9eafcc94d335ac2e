"""One rule, and for every image whether it was right."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd
from subnetbench.bench.harness import entry
from subnetbench.bench.harness.entry import Column, DatasetNote, Share, Shown


class Entry(entry.Entry):
    home: ClassVar[str] = "chance"
    written_order: ClassVar[tuple[str, ...]] = ("suite", "dataset", "rule", "seed", "right", "versions", "scores")

    columns: ClassVar[tuple[Column, ...]] = (Column("image", "whole"), Column("right", "number"))

    dataset: DatasetNote
    rule: Shown
    right: Share

    @property
    def place(self) -> str:
        return f"{self.dataset.name}/{self.rule}"

    @property
    def scores_file(self) -> str:
        return f"chance/{self.place}.parquet"

    @property
    def identity(self) -> tuple[str, ...]:
        return self.suite.name, self.dataset.name, self.rule

    @property
    def title(self) -> str:
        return f"the rule {self.rule!r}"

    @classmethod
    def packed(cls, scores: pd.DataFrame) -> bytes:
        blob: bytes = scores.to_parquet(None, index=False)
        return blob
