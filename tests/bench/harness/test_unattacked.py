"""Calibration images: never attacked, correctly classified, spread over the classes, the same for one seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from subnetbench.bench.core.store import Store
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.setup import Setup
from subnetbench.bench.harness.unattacked import correct
from subnetbench.bench.tracks import load_suite

from ..conftest import Tiny


def setup_of(tiny: Tiny, **changes: object) -> Setup:
    suite = load_suite(tiny.file).model_copy(update=changes)
    return Setup(suite, Context(Store(tiny.store, "missing"), torch.device("cpu")))


def test_they_are_not_attacked_and_the_net_is_right_about_them(tiny: Tiny) -> None:
    setup = setup_of(tiny)
    chosen = setup.calibration(100)
    assert len(chosen) == 100
    assert not set(chosen.ids) & set(setup.test.ids)
    assert correct(setup.trained.net, chosen).all()
    counts = np.bincount(chosen.labels, minlength=10)
    assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(setup_of(tiny).calibration(100).ids, chosen.ids)


def test_there_are_fewer_where_there_are_fewer(tiny: Tiny) -> None:
    setup = setup_of(tiny)
    free = setup.dataset.test.select(~np.isin(setup.dataset.test.ids, setup.test.ids))
    assert len(setup.calibration(10**6)) == correct(setup.trained.net, free).sum() < len(free)


@pytest.mark.parametrize(("limit", "count"), [(200, 0), (None, 100)])
def test_none_are_wanted_or_none_are_left(tiny: Tiny, limit: int | None, count: int) -> None:
    assert len(setup_of(tiny, limit=limit).calibration(count)) == 0
