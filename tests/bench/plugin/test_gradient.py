"""`validate-detector` tries the gradient that a detector offers, and says what happens to one that offers none."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from subnetbench.bench.adaptive.honest import CHECKS
from subnetbench.bench.core import registry
from subnetbench.bench.plugin.checks import Check, check_contract
from subnetbench.bench.plugin.gradient import OFFERED
from subnetbench.bench.plugin.skeleton import write
from subnetbench.bench.views import View

from ..cli.test_commands import call

MaxSoftmax: Any = registry.detectors.get("max-softmax")


@pytest.fixture(scope="module")
def checked(trained_digits: Any) -> Callable[[Any], dict[str, Check]]:
    net, data = trained_digits.classifier, trained_digits.dataset
    train = View(net, data.train.tensor(), key="train", labels=data.train.labels)
    test = View(net, data.test.tensor(slice(0, 80)), key="test")
    return lambda kind: {check.name: check for check in check_contract(kind, train, test)}


class Offers(MaxSoftmax):
    """The faulty ones change one thing of it."""


class OffersNone(MaxSoftmax):
    differentiable = None


class OffersAnother(MaxSoftmax):
    def differentiable(self, classifier: Any) -> Any:
        return lambda images: 2 * super(OffersAnother, self).differentiable(classifier)(images)


class OffersSteps(MaxSoftmax):
    def characteristics(self, x: Any) -> Any:
        return (100 * super().characteristics(x)).round()

    def differentiable(self, classifier: Any) -> Any:
        return lambda images: (100 * super(OffersSteps, self).differentiable(classifier)(images)).round()


class OffersHalf(MaxSoftmax):
    def differentiable(self, classifier: Any) -> Any:
        def half(images: torch.Tensor) -> torch.Tensor:
            values = super(OffersHalf, self).differentiable(classifier)(images)
            return (values + values.detach()) / 2

        return half


class LeavesHooks(MaxSoftmax):
    def differentiable(self, classifier: Any) -> Any:
        def watched(images: torch.Tensor) -> torch.Tensor:
            classifier.net.register_forward_hook(lambda *_: None)
            return super(LeavesHooks, self).differentiable(classifier)(images)

        return watched


class RaisesAtOnce(MaxSoftmax):
    def differentiable(self, classifier: Any) -> Any:
        raise RuntimeError("not this net")


def test_a_gradient_that_is_one_passes_three_checks_with_what_was_measured(checked: Any) -> None:
    checks = checked(Offers)
    assert all(check.passed for check in checks.values())
    assert OFFERED not in checks
    assert [checks[name].outcome for name in CHECKS] == ["passes"] * 3
    assert checks["its differentiable numbers are its characteristics"].message.startswith("numbers agree to ")


def test_a_detector_without_one_has_broken_nothing_and_hears_of_the_surrogate(checked: Any) -> None:
    checks = checked(OffersNone)
    assert checks[OFFERED].outcome == "measured"
    assert "it will be attacked through a surrogate" in checks[OFFERED].message
    assert not set(CHECKS) & set(checks)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        (
            OffersAnother,
            "its differentiable numbers are its characteristics",
            "disagrees with characteristics on 64 of 64 images",
        ),
        (OffersSteps, "its gradient is finite and not zero", "its gradient is zero on 64 of 64 images"),
        (OffersHalf, "its gradient is a derivative", "median relative error of 0.5"),
        (LeavesHooks, "its differentiable numbers are its characteristics", "hooks were left on 1 modules"),
        (RaisesAtOnce, OFFERED, "differentiable raises RuntimeError: not this net"),
    ],
)
def test_a_fault_of_the_gradient_is_one_finding(
    kind: Any, name: str, words: str, checked: Any, trained_digits: Any
) -> None:
    failed = {name: check for name, check in checked(kind).items() if not check.passed}
    trained_digits.classifier.net._forward_hooks.clear()
    assert set(failed) == {name}
    assert words in failed[name].message


def test_the_hook_of_a_new_detector_is_a_gradient_once_it_is_no_comment(checked: Any, tmp_path: Path) -> None:
    folder = write("detector", "my-score", tmp_path, 2026)
    source = (folder / "subnetbench_my_score.py").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(compile(source, "my_score", "exec"), names)
    assert checked(names["MyScore"])[OFFERED].outcome == "measured"
    start = source.index("    # def differentiable")
    open_source = source[:start] + re.sub("^    # ", "    ", source[start:], flags=re.MULTILINE)
    exec(compile(open_source, "my_score", "exec"), names)
    checks = checked(names["MyScore"])
    assert [checks[name].outcome for name in CHECKS] == ["passes"] * 3


def test_the_detector_of_the_page_offers_a_gradient_that_is_one(
    checked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "adaptive.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "page_of_margin.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    checks = checked(importlib.import_module("page_of_margin").Margin)
    sys.modules.pop("page_of_margin")
    assert [check.message for check in checks.values() if not check.passed] == []
    assert [checks[name].outcome for name in CHECKS] == ["passes"] * 3
    for name in (*CHECKS, OFFERED):
        assert name in page


def test_the_page_says_of_every_detector_of_ours_what_it_offers() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "adaptive.md").read_text(encoding="utf-8")
    table = page.split("| detector | gradient |")[1].split("\n\n")[0]
    told = re.findall(r"`([a-z-]+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))
    for name in registry.detectors:
        if registry.detectors.is_ours(name):
            assert any(name == start or name.startswith(f"{start}-") for start in told)


def test_the_command_prints_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    list(registry.detectors)
    monkeypatch.setattr(registry.detectors, "_items", {**registry.detectors._items, "half": OffersHalf})
    said = call("validate-detector", "half")
    assert said.code == 1
    assert "fails    its gradient is a derivative: its gradient disagrees with finite differences" in said.out
    assert "passes   its gradient is a derivative: " in call("validate-detector", "max-softmax").out
