"""What combiners are fitted on and cells tested on besides one attack; no label of a suite holds a space."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

#: ``fit_on`` of the combiner fitted on all attacks together.
ALL_ATTACKS = "all attacks"

#: ``test_on`` of the cell that takes, of each image, the version with the lowest score (MEAD, Granese et al. 2022).
WORST_CASE = "worst case"


def all_but(attack: str) -> str:
    """``fit_on`` of the combiner fitted on all attacks but one."""
    return f"all but {attack}"


@dataclass(frozen=True)
class Plan:
    """A fit: its name, the attacks it learns from, the attacks it is tested on."""

    fit_on: str
    learned: tuple[str, ...]
    tested: tuple[str, ...]


def plans(attacks: Sequence[str]) -> list[Plan]:
    """Every fit of ``strict``: on each attack; with two or more, on all together and on all but one."""
    every = tuple(attacks)
    single = [Plan(attack, (attack,), every) for attack in every]
    return [*single, *(further_plans(every) if len(every) > 1 else [])]


def further_plans(attacks: Sequence[str]) -> list[Plan]:
    """The fits on several attacks: tested on each attack, and on the one that was left out."""
    every = tuple(attacks)
    without = [Plan(all_but(out), tuple(a for a in every if a != out), (out,)) for out in every]
    return [Plan(ALL_ATTACKS, every, every), *without]


def further_pairs(attacks: Sequence[str]) -> list[tuple[str, str]]:
    """The cells of the fits on several attacks."""
    return [(plan.fit_on, tested) for plan in further_plans(attacks) for tested in plan.tested]


def stranger(pair: tuple[str, str], attacks: Collection[str]) -> bool:
    """Whether a cell is neither of these attacks nor of the fits and worst cases that they have."""
    fits = {*attacks, ALL_ATTACKS, *map(all_but, attacks)}
    return pair[0] not in fits or (pair[1] not in attacks and pair[1] != WORST_CASE)
