"""The public face of SubnetBench: run a suite, read results, register a detector, an attack, a model or a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "bench":
    # A second copy of this package would hold a second, empty registry.
    raise ImportError("import subnetbench.bench, not bench: the folder is mapped into the namespace subnetbench")

from ..attacks.contract import Attack, AttackInfo
from ..detectors.contract import Detector, DetectorInfo
from .core.errors import UserError
from .core.registry import register_attack, register_dataset, register_detector, register_model

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Attack",
    "AttackInfo",
    "Detector",
    "DetectorInfo",
    "UserError",
    "load_results",
    "register_attack",
    "register_dataset",
    "register_detector",
    "register_model",
    "run",
]


def run(suite: Any = "digits", **options: Any) -> pd.DataFrame:
    """Run a suite and return one row a cell. Options: limit, device, seed, data_root, store, when, output."""
    from .runner import run as run_suite  # heavy imports only when something runs

    return run_suite(suite, **options)


def load_results(folder: str | Path) -> pd.DataFrame:
    """One row a cell of all entries below a results folder."""
    from .detection.entry import read_entries, tidy

    return tidy(read_entries(Path(folder)))
