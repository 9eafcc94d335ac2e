import math

import pandas as pd
import pytest
from subnetbench.bench.core.columns import frame_of


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        [{"a": 1, "b": None}, {"a": 2, "c": True}, {"d": None, "a": 0.5}],
        [{"b": None}, {"b": None}],
        [{"b": None}, {"b": 0.25}, {"a": math.nan}],
        [{"b": True}, {"b": False}],
        [{"b": True}, {"c": 3}],
    ],
)
def test_it_is_the_frame_that_pandas_makes_of_all_rows(rows: list[dict[str, object]]) -> None:
    pd.testing.assert_frame_equal(frame_of(iter(rows)), pd.DataFrame(rows))
