"""Hits of MaxBoxAcc in files: as bits of whole numbers, and as earlier versions wrote them."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.localisation.entry import Entry
from subnetbench.bench.localisation.hits import BITS, packed, spread


def frame(thresholds: int, images: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(thresholds)
    columns = {"image": np.arange(images, dtype=np.int32), "hit": rng.random(images) < 0.5}
    for k in range(thresholds):
        columns |= {f"{kind}_{k}": rng.random(images) < 0.5 for kind in ("v1", "v2_0.3", "v2_0.5", "v2_0.7")}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("thresholds", [1, 20, BITS, BITS + 1, 70])
def test_hits_are_the_same_after_a_file(thresholds):
    before = frame(thresholds)
    file = pq.read_table(io.BytesIO(Entry.packed(before)))
    assert len(file.column_names) == 2 + 4 * -(-thresholds // BITS)
    pd.testing.assert_frame_equal(Entry.unpacked(file.to_pandas())[list(before)], before)


def test_columns_of_an_earlier_version_are_read_as_they_are():
    before = frame(20)
    pd.testing.assert_frame_equal(Entry.unpacked(before), before)


def test_of_many_thresholds_a_file_is_a_fraction_of_one_with_a_column_each():
    before = frame(20, images=500)
    columns = io.BytesIO()
    before.to_parquet(columns, compression="zstd")
    assert len(Entry.packed(before)) < 0.5 * len(columns.getvalue())


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("v1_0to2", [8]), ("v1_0to2", [-1]), ("v1_2to0", [0]), ("v1_0to999999", [0]), ("v2_0.5_0to31", [0])],
)
def test_numbers_that_are_no_hits_are_refused(name, numbers):
    with pytest.raises(UserError, match=r"values other than hits .*; run the suite again\.$"):
        spread({name: np.array(numbers)})


def test_hits_without_a_threshold_are_none():
    assert packed({"hit": np.array([True])}).keys() == {"hit"}
