"""Frames of scores are made and cut by codes, and are what they would be made and cut by texts."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from subnetbench.bench.detection import protocol
from subnetbench.bench.detection.frames import COLUMNS, TEXT, joined, pack, unpack
from subnetbench.bench.detection.measured import _is_one_of
from subnetbench.bench.detection.protocol import Outcome

NAMES = {"fit_on": ["fgsm", "bim", "all but é"], "test_on": ["*", "bim", "Cw"], "kind": ["clean", "adversarial"]}


def drawn(seed: int, rows: int = 200, least: int = 0) -> Outcome:
    """Scores with some of the names, in an order of their own."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"split": rng.integers(0, 4, rows).astype(np.int32)})
    for name, values in NAMES.items():
        frame[name] = np.array(values, object)[rng.integers(least, len(values), rows)]
    frame["image"], frame["score"] = rng.integers(0, 50, rows).astype(np.int32), rng.normal(size=rows)
    return Outcome(frame, [{"split": 0, "fit_on": "bim"}])


def by_text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(gate=np.int16(1))[COLUMNS].astype(dict.fromkeys(TEXT, "category"))


@pytest.mark.parametrize("rows", [0, 1, 200])
def test_a_stored_frame_is_the_one_that_was_stored(rows: int) -> None:
    outcome = drawn(0, rows)
    again, _ = unpack(*pack(outcome, {}, gate=1), gate=1)
    assert_frame_equal(again.scores, by_text(outcome.scores), check_categorical=rows > 0)
    assert again.digest == Outcome(by_text(outcome.scores), []).digest


def test_stored_scores_are_not_hashed_again_but_as_those_of_other_gates_or_of_an_earlier_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays, meta = pack(drawn(6), {}, gate=1)
    hashed = {gate: unpack(arrays, {**meta, "sha256": {}}, gate)[0].digest for gate in (0, 1)}
    assert hashed[0] != hashed[1]
    assert {gate: unpack(arrays, meta, gate)[0].digest for gate in (0, 1)} == hashed
    monkeypatch.setattr(pd.util, "hash_pandas_object", lambda *_, **__: pytest.fail("hashed again"))
    assert unpack(arrays, meta, gate=1)[0].digest == hashed[1]


@pytest.mark.parametrize("rows", [0, 1, 128, 200])
def test_scores_hashed_part_by_part_have_the_hash_of_the_whole(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ROWS_AT_A_TIME", 64)
    frame = by_text(drawn(4, rows).scores)
    whole = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    assert Outcome(frame, []).digest == hashlib.sha256(whole.tobytes()).hexdigest()


def test_scores_are_hashed_once_however_often_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = drawn(5)
    first = outcome.digest
    monkeypatch.setattr(pd.util, "hash_pandas_object", lambda *_, **__: pytest.fail("hashed again"))
    assert outcome.digest == first


def test_frames_of_several_gates_join_as_their_texts_do() -> None:
    parts = [drawn(1), drawn(2, least=1)]
    whole_of = joined([unpack(*pack(part, {}, gate=1), gate=1)[0] for part in parts])
    whole = pd.concat([part.scores for part in parts], ignore_index=True)
    assert_frame_equal(whole_of.scores, by_text(whole))
    assert len(whole_of.fits) == 2


@pytest.mark.parametrize("rows", [0, 200])
def test_columns_are_found_by_code_as_by_text(rows: int) -> None:
    frame = by_text(drawn(3, rows).scores)
    pairs = {("fgsm", "bim"), ("all but é", "*"), ("nobody", "bim")}
    texts = [pair in pairs for pair in zip(frame["fit_on"], frame["test_on"], strict=True)]
    assert _is_one_of(frame, pairs).tolist() == texts
