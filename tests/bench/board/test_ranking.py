"""The key that ranks a board: the worst attack of each image where the entry has it, else the lowest column."""

from __future__ import annotations

import pytest
from subnetbench.bench.board.ranking import by_lowest_column, key_of
from subnetbench.bench.detection.cell import Cell
from subnetbench.bench.detection.fits import ALL_ATTACKS, WORST_CASE

COLUMNS = [("a", "a"), ("b", "b"), ("a", "b")]


def cells(**values: float | None) -> dict[tuple[str, str], Cell]:
    """Cells by their pair, written with two underscores."""
    made = {}
    for name, value in values.items():
        fit_on, test_on = (part.replace("_", " ") for part in name.split("__"))
        made[fit_on, test_on] = Cell(
            fit_on=fit_on,
            test_on=test_on,
            seen=fit_on == test_on,
            auroc=value,
            low=value,
            high=value,
            fpr95=value,
            n=[9],
            n_fit=[9],
            remark="",
        )
    return made


def test_the_worst_attack_of_each_image_ranks_before_the_lowest_column():
    key = key_of(cells(a__a=0.9, b__b=0.8, a__b=0.7, all_attacks__worst_case=0.75, a__worst_case=0.6), COLUMNS)
    assert (key.pair, key.value) == ((ALL_ATTACKS, WORST_CASE), 0.75)
    assert key.title == "worst case of each image, fitted on all attacks"
    assert not by_lowest_column(key)


@pytest.mark.parametrize("more", [{}, {"all_attacks__worst_case": None}, {"a__worst_case": 0.6}])
def test_an_entry_without_it_is_ranked_by_its_lowest_column(more):
    key = key_of(cells(a__a=0.9, b__b=0.8, a__b=0.7, **more), COLUMNS)
    assert (key.pair, key.value) == (("a", "b"), 0.7)
    assert by_lowest_column(key)


def test_one_attack_ranks_by_the_worst_case_of_its_own_fit():
    assert key_of(cells(a__a=0.9, a__worst_case=0.9), [("a", "a")]).pair == ("a", WORST_CASE)
