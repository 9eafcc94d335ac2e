"""A suite of rules on a data set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from subnetbench.bench.harness.suite import AnySuite, NetSuite, Part


class Rule(Part):
    name: Literal["majority", "first"]


class Suite(AnySuite):
    rules: list[Rule] = Field(min_length=1)

    def nets(self) -> dict[str, NetSuite]:
        return {}

    def size(self) -> str:
        return f"{len(self.rules)} rules"
