"""`check_detector` takes what `run` takes, and returns the report that `validate-detector` prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from subnetbench.bench import UserError, check_detector
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.plugin.checks import Check
from subnetbench.bench.plugin.report import Report
from subnetbench.bench.plugin.trial import failures

from ..cli.test_commands import call
from ..session.conftest import DETECTOR, HELPER, Notebook

TIME = "time and memory"


@pytest.fixture(scope="module")
def mine() -> Any:
    return Notebook().run(HELPER, DETECTOR)["MyDetector"]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda cls: cls, "my-detector"),
        (lambda cls: cls(k=3), "my-detector-k3"),
        (lambda cls: lambda: cls(k=5), "my-detector-k5"),
        (lambda cls: "max-softmax", "max-softmax"),
    ],
    ids=["class", "instance", "lambda", "name"],
)
def test_classes_instances_functions_and_names_are_checked(mine: Any, make: Callable[[Any], Any], name: str) -> None:
    report = check_detector(make(mine))
    assert failures(report) == []
    assert report.name == name
    assert "a pickled copy scores the same" in [check.name for check in report if check.outcome == "passes"]
    assert str(report).splitlines()[-1] == f"{report.summary}."
    assert report.summary.startswith(f"{name}: ")


def test_a_fault_is_in_the_report() -> None:
    broken = DETECTOR.replace("return -(gap(x)", "x.images.zero_()\n        return -(gap(x)")
    report = check_detector(Notebook().run(HELPER, broken)["MyDetector"])
    assert failures(report)[0].startswith("the views are left as they were: images of the scored view changed")
    assert repr(report).splitlines()[0].startswith("fails    the views are left as they were: images of")


def test_what_one_detector_does_to_the_net_is_its_own_failure_and_not_the_next_ones(mine: Any) -> None:
    meddling = DETECTOR.replace("return -(gap(x)", "x.classifier.train()\n        return -(gap(x)")
    for _ in range(2):
        report = failures(check_detector(Notebook().run(HELPER, meddling)["MyDetector"]))
        assert any("training or evaluation mode changed" in failure for failure in report)
    assert failures(check_detector(mine)) == []


def test_the_report_is_what_the_command_prints() -> None:
    said = call("validate-detector", "max-softmax").out
    printed = [line for line in said.splitlines() if line and TIME not in line]
    report = check_detector("max-softmax")
    assert printed[:-1] == [line for line in str(report).splitlines()[:-2] if TIME not in line]
    assert printed[-1].startswith(report.summary)


def test_a_notebook_shows_it_as_a_table() -> None:
    shown = Report("mine", [Check("a claim", "fails", "0 < 1")])._repr_html_()
    assert "<td>fails</td>" in shown
    assert "0 &lt; 1" in shown
    assert "mine: 0 checks pass, 1 fail, 0 warnings." in shown


def test_what_is_no_detector_is_one_sentence() -> None:
    with pytest.raises(UserError, match="The class Silent has no method fit, so it is no detector"):
        check_detector(Silent)
