"""The best proposal beside the best control, and whether controls win, by the rows of boards alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from subnetbench.bench.board.boards import read_results
from subnetbench.bench.board.hero import Tally, duels, flagship, static_duel, tally

from ..made_board import made_results

#: Committed results with attackers who know the detector.
DIGITS = Path(__file__).parents[3] / "results" / "digits"


def boards(folder, strengths, controls):
    return read_results(made_results(folder, strengths, controls)).boards


@pytest.mark.parametrize(
    ("proposal", "control", "lead", "answer", "word"),
    [
        ((3.0, 3.0), (0.5, 0.5), "proposal", "Here: no.", "No"),
        ((0.5, 0.5), (3.0, 3.0), "control", "Here: yes.", "Yes"),
    ],
)
def test_the_side_with_the_better_worst_case_is_ahead(tmp_path, proposal, control, lead, answer, word):
    made = boards(tmp_path, {"ours": proposal, "theirs": control}, ["theirs"])
    (duel,) = duels(made[0])
    assert (duel.lead, duel.apart) == (lead, True)
    assert [row.label for row in (*duel.proposal.rows, *duel.control.rows)] == ["ours", "theirs"]
    best = flagship(made)
    assert (best.answer, best.tally.word, best.tally.boards) == (answer, word, 1)


def test_the_figures_are_those_of_the_cells_that_rank(tmp_path):
    (board,) = boards(tmp_path, {"ours": (2.0, 1.0), "other": (1.0, 0.3), "theirs": (1.0, 1.0)}, ["theirs"])
    duel = static_duel(board)
    row = next(row for row in board.rows if row.label == "ours")
    cell = row.cells[row.worst]
    assert (duel.proposal.value, duel.proposal.low, duel.proposal.high) == (cell.auroc, cell.low, cell.high)
    assert duel.proposal.among == 2


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ((2, 0, 0, 0, 0), "They cannot be told apart"),  # ahead by a tenth of a point, intervals overlap
        ((2, 1, 0, 0, 0), "Where they can be told apart, yes"),
        ((1, 0, 2, 1, 0), "Where they can be told apart, no"),
        ((2, 2, 1, 1, 0), "Now one side, now the other"),
        ((2, 2, 0, 0, 0), "Yes"),
        ((0, 0, 1, 1, 0), "No"),
    ],
)
def test_what_intervals_do_not_tell_apart_is_no_answer(counts, word):
    assert Tally(*counts).word == word


def test_a_board_without_a_control_has_no_duel_and_no_answer(tmp_path):
    made = boards(tmp_path, {"ours": (2.0, 1.0)}, [])
    assert static_duel(made[0]) is None
    assert tally(made) is None
    assert flagship(made) is None


def test_an_adaptive_duel_comes_first_and_counts_unproven_figures_as_nothing():
    board = read_results(DIGITS).boards[0]
    titles = [duel.title for duel in duels(board)]
    largest = list(board.budgets.values())[-1]
    assert largest in titles[0]
    assert titles[-1].startswith("Attackers who do not know it")
    for duel in duels(board)[:-1]:
        for side in (duel.proposal, duel.control):
            assert side.proven or side.value == 0
