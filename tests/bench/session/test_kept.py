"""The contract inside a run: one line for each third-party detector, kept in the store; the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from subnetbench.bench.plugin import kept

from .conftest import DETECTOR, HELPER, Notebook, Place


def run_of(place: Place, tmp_path: Path, cell: str) -> Any:
    names = Notebook().run(HELPER, cell)
    return place.run(detectors=[names["MyDetector"]], only=True, output=tmp_path)


def test_the_line_is_said_in_every_run_and_the_checks_are_made_once(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    inner = kept.check_contract
    monkeypatch.setattr(kept, "check_contract", lambda *given, **more: made.append("") or inner(*given, **more))
    cell = DETECTOR.replace("k=1", "k=11")
    for _ in range(2):
        run_of(place, tmp_path, cell)
        assert "my-detector keeps the contract (17 checks)" in capsys.readouterr().out
    assert len(made) == 1
    run_of(place, tmp_path, cell.replace("k=11", "k=13"))
    assert len(made) == 2


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("return self\n", "pass\n", "fit returns the detector: fit did not return the detector but None"),
        ("** self.k", "** self.k + np.random.rand()", "two fresh instances agree: two fresh instances differ"),
        ("** self.k", "** self.k - (x.labels is not None)", "labels are not used when scoring: the labels of scored"),
        (
            "return -(gap(x)",
            "x.classifier.train()\n        return -(gap(x)",
            "the classifier is left as it was: training or evaluation mode changed",
        ),
        ("if self.scale is None", "if False", "scoring before fit raises a UserError: characteristics before fit"),
    ],
)
def test_a_broken_contract_is_said_and_the_run_goes_on(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, claim: str
) -> None:
    assert old in DETECTOR
    frame = run_of(place, tmp_path, DETECTOR.replace(old, new))
    said = capsys.readouterr()
    assert f"warning: my-detector breaks the contract: {claim}" in said.err
    assert "keeps the contract" not in said.out
    assert len(frame)


def test_the_net_of_the_run_is_not_what_is_checked(place: Place, tmp_path: Path) -> None:
    """A detector that spoils the net in the checks alone has the figures of one that does not."""
    whole = run_of(place, tmp_path, DETECTOR)
    spoil = "        if len(train) < 300:\n            train.classifier.head.weight.data.zero_()\n        return self\n"
    spoiled = run_of(place, tmp_path, DETECTOR.replace("        return self\n", spoil))
    assert spoiled["auroc"].tolist() == whole["auroc"].tolist()


def test_a_detector_that_raises_on_so_few_is_not_judged(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = "        if len(train) < 300:\n            raise ValueError('too few')\n        return self\n"
    frame = run_of(place, tmp_path, DETECTOR.replace("        return self\n", few))
    assert "my-detector: the contract was not checked, since on a few images it raised ValueError: too few" in (
        capsys.readouterr().out
    )
    assert frame["auroc"].notna().all()


def test_slow_checks_end_early_and_say_so(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "SECONDS", 0.0)
    run_of(place, tmp_path, DETECTOR.replace("k=1", "k=15"))
    said = capsys.readouterr().out
    assert "my-detector keeps the contract (1 check; the other checks: left out after 0 s)" in said
