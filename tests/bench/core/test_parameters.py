"""A value fits the annotation of its parameter as a reader of the signature would say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.parameters import at_least, check_parameters, fits, seed_of, whole
from subnetbench.bench.core.places import SuiteError


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    [
        (int, [3, -1], [3.0, 1.5, True, "3", None]),
        (float, [3, 0.5], [True, "0.5", float("nan"), float("inf"), 10**400]),
        (bool, [True], [1, "true"]),
        (str, ["a"], [1, ["a"]]),
        (int | None, [3, None], [3.5]),
        (float | str, [0.1, "0.25 median"], [False, []]),
        (Literal["a", 1], ["a", 1], ["b", True]),
        (Sequence[str], [["a"], ()], ["a", [1]]),
        (tuple[int, int], [[1, 2], (1, 2)], [[1], [1, 2, 3], [1, 2.5]]),
        (tuple[int, ...], [[], [1, 2]], [["a"]]),
        (dict[str, Any], [{}], [[]]),
        (Any, [1, "a"], []),
        (SuiteError, [1], []),
    ],
)
def test_a_bool_is_no_number_a_text_no_list_and_a_number_is_finite(hint: Any, good: list[Any], bad: list[Any]) -> None:
    assert all(fits(value, hint) for value in good)
    assert not any(fits(value, hint) for value in bad)


def test_a_mistake_is_named_by_its_place_and_unknown_annotations_take_anything() -> None:
    def factory(*, k: int = 3, anything=None, of: NoSuchType = 1): ...  # noqa: F821

    def plain(*, k: int = 3, anything=None): ...

    with pytest.raises(SuiteError, match=r"^detectors\.0\.k: it must be a whole number \(given: 2\.5\)\.$") as caught:
        check_parameters(plain, {"k": 2.5, "anything": object()}, ("detectors", 0))
    assert caught.value.place == ("detectors", 0, "k")
    check_parameters(factory, {"k": 2.5})  # its annotations cannot be evaluated


@pytest.mark.parametrize("value", ["10", True, None, float("nan")])
def test_bounds_refuse_what_is_no_number(value: Any) -> None:
    for check in (lambda: at_least("lid", "k", value, 0), lambda: whole("lid", "k", value, 0)):
        with pytest.raises(UserError, match=r"lid: k is .*; it must be a "):
            check()
    with pytest.raises(UserError, match="seed is 4294967296; it must be at most 4294967295"):
        seed_of("lid", "seed", 2**32)
