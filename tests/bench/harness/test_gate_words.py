"""What a report says of its gates: each departure from the paper by name, and how many subnets meet tau."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from subnetbench.bench.harness.gate_words import gate_departures, tau_met
from subnetbench.subnets.gates import GateOptions

THE_PAPERS = {
    "learning_rate": 0.1,
    "batch_size": 64,
    "epochs": 5,
    "images_per_class": None,
    "gamma": 0.05,
    "tau": 0.5,
    "binary": False,
    "calibrate": False,
}


def test_the_papers_own_gates_depart_in_nothing() -> None:
    assert gate_departures(THE_PAPERS) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"learning_rate": 0.02}, "Adam at 0.02 (0.1)"),
        ({"batch_size": 20}, "batches of 20 (64)"),
        ({"epochs": 8}, "8 epochs (5)"),
        ({"images_per_class": 150}, "150 images a class (all)"),
        ({"gamma": 0.1}, "gamma 0.1 (0.05)"),
        ({"tau": 0.9}, "tau 0.9 (0.5)"),
        ({"binary": True}, "binary gates (factors of 0 and above)"),
        ({"calibrate": True}, "logits calibrated before the sigmoid (as they are)"),
    ],
)
def test_every_departure_is_named_with_the_papers_value(change: dict[str, object], words: str) -> None:
    assert gate_departures(THE_PAPERS | change) == f"Gates, with the paper's value in brackets: {words}."


def test_options_as_a_run_writes_them_name_what_the_paper_leaves_open() -> None:
    text = gate_departures(GateOptions(position="late", l1="mean").model_dump())
    assert text.endswith("Left open by the paper: position `late`, L1 norm `mean`.")
    assert "binary gates" in text


def test_subnets_that_miss_tau_are_counted_and_said_to_be_something_else() -> None:
    reports: list[Any] = [SimpleNamespace(tau_met=met) for met in (True, False, False)]
    text = tau_met(reports, {"tau": 0.5, "fallback": "sparsest"})
    assert text == (
        "The paper asks every subnet to meet tau (at most 0.5 of its channels active): here 1 of 3 do. "
        "The others are those of their sparsest epoch."
    )
    assert tau_met(reports[:1], {"tau": 0.5, "fallback": "loss"}).endswith("here 1 of 1 do.")
