"""The contract as the package has it: nothing of it stands twice."""

from __future__ import annotations

from subnetbench.bench.plugin.checks import Check, check_contract, fresh

__all__ = ["Check", "check_contract", "fresh"]
