"""What a suite took: a row per stage, whatever the clock said."""

from __future__ import annotations

import pytest
from subnetbench.bench.detection.cost import timing
from subnetbench.bench.detection.entry import Entry

from .test_summary import entry


def trained(minutes: str | None) -> Entry:
    made = entry("lid")
    weights = None if minutes is None else {"train_minutes": minutes}
    model, cost = made.model.model_copy(update={"weights": weights}), made.cost.model_copy(update={"seconds": 2.0})
    return made.model_copy(update={"model": model, "cost": cost})


@pytest.mark.parametrize(("minutes", "rows"), [("0.00", 1), ("3.25", 1), ("not known", 0), ("nan", 0), (None, 0)])
def test_a_net_that_was_trained_in_no_time_has_its_row_too(minutes: str | None, rows: int) -> None:
    stages = list(timing([trained(minutes)])["stage"])
    assert stages.count("train the net (not in the sum)") == rows
