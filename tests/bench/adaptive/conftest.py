"""The small detector on the small trained net."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from .made import Case, case_of


@pytest.fixture(scope="session")
def case(trained_digits: Any) -> Case:
    """50 digits."""
    train, test = trained_digits.dataset.train.tensor(), trained_digits.dataset.test
    return case_of(trained_digits.classifier, train, test.tensor(), torch.from_numpy(test.labels), 50)
