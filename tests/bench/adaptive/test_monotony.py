"""More budget never helps the defender."""

from __future__ import annotations

from subnetbench.bench.adaptive.monotony import falls


def test_a_fall_with_more_steps_or_a_larger_epsilon_is_remarked():
    rates = {(0.01, 10): 0.5, (0.01, 100): 0.4, (0.02, 10): 0.45, (0.02, 100): 0.9}
    remarks = falls(rates)
    assert [remark.split(" solves")[0] for remark in remarks] == [
        "epsilon 0.01 with 100 steps",
        "epsilon 0.02 with 10 steps",
    ]
    assert all("epsilon 0.01 with 10 steps, a smaller budget, 0.500" in remark for remark in remarks)


def test_rounding_and_budgets_that_cannot_be_compared_are_none():
    assert falls({(0.01, 10): 0.3, (0.01, 20): 0.3 - 1e-12}) == []
    assert falls({(0.01, 100): 0.8, (0.02, 10): 0.5}) == []
    assert falls({}) == []


def test_a_fall_is_found_beyond_a_neighbour_that_hides_it():
    assert len(falls({(0.01, 1): 0.9, (0.02, 1): 0.5, (0.03, 1): 0.6})) == 2
