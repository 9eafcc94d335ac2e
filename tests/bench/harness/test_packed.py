"""Scores as files: every value as it was, and image numbers short."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from subnetbench.bench.harness.scores import packed


def test_every_value_is_what_it_was_and_the_same_images_again_cost_little():
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.permutation(2000)[:700]).astype(np.int32)
    sizes = []
    for times in (1, 20):
        frame = pd.DataFrame(
            {
                "kind": pd.Categorical(np.repeat(["clean", "noisy"], 350 * times)),
                "split": np.zeros(700 * times, np.int16),
                "image": np.tile(drawn, times),
                "run": np.arange(700 * times),
                "wrong": rng.random(700 * times) < 0.5,
            }
        )
        again = pq.read_table(io.BytesIO(packed(frame))).to_pandas()
        assert (again == frame).all(axis=None)
        sizes.append(len(packed(frame[["image"]])))
    assert sizes[1] < 4 * sizes[0]
