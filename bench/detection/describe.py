"""What an entry says of its attacks."""

from __future__ import annotations

from typing import Any


def _empty_cell(fit_on: str, test_on: str, reason: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("auroc", "aupr", "fpr95", "accuracy", "low", "high", "split_sd", "noise_auroc"))
    return {
        "fit_on": fit_on,
        "test_on": test_on,
        "seen": fit_on == test_on,
        "n_fit": [],
        "n": [],
        "candidates": [],
        "remark": reason,
        **nothing,
    }
