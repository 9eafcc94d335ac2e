"""The text of a foreign error, as it stands in a sentence of ours."""

from __future__ import annotations

import pytest
from subnetbench.bench.core.errors import MOST, UserError, reason_of


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("plain"), "plain"),
        (ValueError("\n\n  first\n  second"), "first"),
        (ValueError("red \x1b[31m and\ttab \u202e turned"), "red [31m and tab turned"),
        (ValueError(), "ValueError"),
        (MuteError(), "MuteError"),
        (ValueError("x" * 100_000), f"{'x' * MOST} ..."),
    ],
)
def test_the_reason_of_an_error_is_one_short_line_without_control_characters(error: Exception, said: str) -> None:
    assert reason_of(error) == said


def test_the_type_stands_before_the_text_where_it_is_wanted() -> None:
    assert reason_of(KeyError("k"), typed=True) == "KeyError: 'k'"
    assert reason_of(MuteError(), typed=True) == "MuteError"


def test_a_notebook_shows_a_users_mistake_without_its_traceback() -> None:
    """IPython shows what this method of an exception returns in place of a traceback."""
    assert UserError("There is no such thing.")._render_traceback_() == ["UserError: There is no such thing."]
