"""A larger budget never helps the defender: success over budgets must not fall, or an attack is broken."""

from __future__ import annotations

from collections.abc import Mapping

#: Epsilon and steps.
Budget = tuple[float, int]

#: A fall of a share that is rounding.
ROUNDING = 1e-9


def falls(rates: Mapping[Budget, float]) -> list[str]:
    """A sentence for each budget whose share of success is below that of a smaller one, in the order of budgets.

    Of several smaller ones that did better it names the best.
    """
    remarks = []
    for budget in sorted(rates):
        smaller = [one for one in rates if _within(one, budget)]
        best = max(smaller, key=lambda one: (rates[one], -one[0], -one[1]))
        if not rates[budget] >= rates[best] - ROUNDING:  # also where it is not a number
            remarks.append(
                f"{_words(budget)} solves {rates[budget]:.3f} of the images, and {_words(best)}, a smaller budget, "
                f"{rates[best]:.3f}: the attack does not use what it is allowed."
            )
    return remarks


def _within(smaller: Budget, budget: Budget) -> bool:
    return smaller[0] <= budget[0] and smaller[1] <= budget[1]


def _words(budget: Budget) -> str:
    return f"epsilon {budget[0]:.5g} with {budget[1]} step{'s' * (budget[1] != 1)}"
