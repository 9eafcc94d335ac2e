"""Every registered detector keeps the contract; so must a third-party one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from subnetbench.bench.adaptive.honest import CHECKS
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.views import View
from subnetbench.detectors.contract import DetectorInfo
from subnetbench.detectors.lid import Lid

from .conformance import check_contract, fresh

#: Detectors that round or count: no gradient that would lead an attack anywhere. They are attacked by a surrogate.
WITHOUT_GRADIENT = {"dknn", "feature-squeezing", "jtla", "nss", "spam"}


@pytest.fixture(scope="module")
def train_view(train_view: View) -> View:
    """A part of the training images: the contract does not depend on how many there are."""
    return train_view.subset(np.arange(400))


def report(checks: list[Any]) -> str:
    return "\n".join(f"{check.name}: {check.message}" for check in checks if not check.passed)


@pytest.mark.parametrize("name", list(detectors))
def test_detector_keeps_the_contract(name: str, train_view: View, test_view: View) -> None:
    if name.startswith("ood-"):
        pytest.importorskip("pytorch_ood", reason="pytorch-ood is not installed (extra ood)")
    checks = check_contract(detectors.get(name), train_view, test_view)
    assert report(checks) == ""
    offers = hasattr(detectors.get(name), "differentiable") and name not in WITHOUT_GRADIENT
    assert [check.outcome for check in checks if check.name in CHECKS] == ["passes"] * (3 if offers else 0)
    assert offers or name in WITHOUT_GRADIENT or not detectors.is_ours(name) or name.startswith("ood-")


@pytest.mark.parametrize("name", [n for n in detectors if {"magnitude": 0.002} in detectors.get(n).candidates])
def test_preprocessing_keeps_the_contract_too(name: str, train_view: View, test_view: View) -> None:
    kind = detectors.get(name)

    class Moved:
        info, candidates = kind.info, ()

        def __new__(cls, **parameters: Any) -> Any:
            return kind(**{"magnitude": 0.002, **parameters})

    # A sign flips where a gradient is all but 0: one pixel of one image by 2 m, hence the looser bound.
    assert report(check_contract(Moved, train_view, test_view, tolerance=1e-2)) == ""


def test_lid_with_parents_keeps_all_but_independence(train_view: View, test_view: View) -> None:
    view = fresh(test_view)
    view.parents = fresh(test_view)

    class Parents:
        info, candidates = Lid.info, ()

        def __new__(cls, **parameters: Any) -> Any:
            return Lid(**{"reference": "parents", "k": 10, **parameters})

    assert report(check_contract(Parents, train_view, view, coupled=True)) == ""


class Broken:
    """Breaks every rule that it can: the suite's own check must find each."""

    info = DetectorInfo(title="", formula="", year=0)
    candidates = ({"unknown": 1},)

    def fit(self, train: View) -> None:
        return None

    def characteristics(self, x: View) -> Any:
        x.classifier.train()
        logits = x.logits.astype(np.float64)
        if x.labels is not None:
            logits += x.labels[:, None]
        return logits - logits.mean(0)


class Sloppy(Broken):
    def fit(self, train: View) -> Any:
        return self


def test_the_check_finds_what_is_broken(net: Any, train_view: View, test_view: View) -> None:
    failed = {check.name for check in check_contract(Sloppy, train_view, test_view) if not check.passed}
    net.eval()
    assert failed >= {
        "info says where it comes from",
        "every candidate can be built",
        "labels are not used when scoring",
        "the classifier is left as it was",
        "the other images do not matter",
    }
    failed = {check.name for check in check_contract(Broken, train_view, test_view) if not check.passed}
    net.eval()
    assert "fit returns the detector" in failed
