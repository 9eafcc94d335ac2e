"""Scores as files: every value as it was, and image numbers short."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from subnetbench.bench.harness import scores
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


def test_how_the_same_numbers_are_written_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All detectors of a run are scored on the same images; what is written does not depend on who was first."""
    written = scores._written
    calls: list[int] = []
    monkeypatch.setattr(scores, "_written", lambda table, how: calls.append(1) or written(table, how))
    monkeypatch.setattr(scores, "_CHOSEN", {})
    rng = np.random.default_rng(1)
    images = {"split": np.repeat(np.arange(2, dtype=np.int16), 300), "image": rng.permutation(600).astype(np.int32)}
    first, second = (pd.DataFrame(images | {"score": rng.normal(size=600)}) for _ in range(2))
    blob = packed(second)
    tried = len(calls)
    assert packed(first) != blob
    assert len(calls) == tried + 1
    assert packed(second) == blob
    scores._CHOSEN.clear()
    assert packed(second) == blob
