"""`validate-detector`: every fault that a detector can have is found and named, and ours have none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from subnetbench.bench import DetectorInfo, UserError
from subnetbench.bench.core import registry
from subnetbench.bench.plugin import trial
from subnetbench.bench.plugin.checks import Check, check_contract
from subnetbench.bench.plugin.trial import check_detector, failures

from ..cli.test_commands import call


class Good:
    """Sum of softmax's squares, turned round; the faulty ones below change one thing of it."""

    info = DetectorInfo(title="Good", formula="1 - sum p^2", year=2026)
    candidates: ClassVar[Any] = ()

    def __init__(self) -> None:
        self.fitted = False

    def fit(self, train: Any) -> Any:
        self.fitted = True
        return self

    def characteristics(self, x: Any) -> Any:
        if not self.fitted:
            raise UserError("fit first.")
        return self.score(x)

    def score(self, x: Any) -> Any:
        odds = np.exp(x.logits.astype(np.float64) - x.logits.max(1, keepdims=True))
        return 1 - np.square(odds / odds.sum(1, keepdims=True)).sum(1, keepdims=True)


class Random(Good):
    def score(self, x: Any) -> Any:
        return super().score(x) + 1e-3 * np.random.random((len(x), 1))  # noqa: NPY002 (the fault)


class UsesLabels(Good):
    def score(self, x: Any) -> Any:
        return super().score(x) + (0 if x.labels is None else (x.labels != x.predicted)[:, None])


class NeedsLabels(Good):
    def score(self, x: Any) -> Any:
        return super().score(x) + np.zeros((len(x.labels), 1))


class Misspells(Good):
    def score(self, x: Any) -> Any:
        return x.logit


class OneNumber(Good):
    def score(self, x: Any) -> Any:
        return super().score(x)[:, 0]


class SeesTheBatch(Good):
    def score(self, x: Any) -> Any:
        found = super().score(x)
        return found - found.mean()


class Remembers(Good):
    def score(self, x: Any) -> Any:
        found = super().score(x)
        self.largest = max(getattr(self, "largest", 0.0), float(found[:10].max()))
        return found / self.largest if hasattr(self, "seen") else self._first(found)

    def _first(self, found: Any) -> Any:
        self.seen = True
        return found


class CallsPosition(Good):
    def score(self, x: Any) -> Any:
        return super().score(x) + np.arange(len(x))[:, None]


class Infinite(Good):
    def score(self, x: Any) -> Any:
        found = super().score(x)
        found[3] = np.inf
        return found


class Flat(Good):
    def score(self, x: Any) -> Any:
        return super().score(x)[:, 0]


class TurnedRound(Good):
    def score(self, x: Any) -> Any:
        return -super().score(x)


class Meddles(Good):
    def score(self, x: Any) -> Any:
        x.logits[:] -= x.logits.max(1, keepdims=True)
        return super().score(x)


class MeddlesWithTraining(Good):
    def fit(self, train: Any) -> Any:
        train.features("conv1")[0] = 0
        return super().fit(train)


class AddsUp(Good):
    def fit(self, train: Any) -> Any:
        self.seen = getattr(self, "seen", 0) + len(train)
        return super().fit(train)

    def score(self, x: Any) -> Any:
        return super().score(x) * self.seen


class CannotBePickled(Good):
    def fit(self, train: Any) -> Any:
        self.function = lambda: train
        return super().fit(train)


class Unfitted(Good):
    """Scores before it was fitted as if it had been."""

    scale = 1.0

    def fit(self, train: Any) -> Any:
        self.scale = float(train.logits.std())
        return self

    def characteristics(self, x: Any) -> Any:
        return self.score(x) * self.scale


class UnfittedByAccident(Good):
    def fit(self, train: Any) -> Any:
        self.scale = float(train.logits.std())
        return self

    def characteristics(self, x: Any) -> Any:
        return self.score(x) * self.scale


class Stateless(Good):
    """Has nothing to learn, so there is nothing that could be missing before a fit."""

    def characteristics(self, x: Any) -> Any:
        return self.score(x)


class ForgetsToReturn(Good):
    def fit(self, train: Any) -> Any:
        self.fitted = True


class Noise(Good):
    """Finds whatever leaves the training images, adversarial or not: the total variation."""

    def score(self, x: Any) -> Any:
        images = x.images.numpy().astype(np.float64)
        return np.abs(np.diff(images, axis=3)).sum((1, 2, 3))[:, None]


class TwoColumns(Good):
    def score(self, x: Any) -> Any:
        found = super().score(x)
        return np.c_[-found, found**2]


FAULTS: list[tuple[type, str, str]] = [
    (Random, "two fresh instances agree", "two fresh instances differ"),
    (UsesLabels, "labels are not used when scoring", "the labels of scored images matter"),
    (SeesTheBatch, "the other images do not matter", "the other images matter"),
    (Remembers, "what was scored before does not matter", "matter"),
    (CallsPosition, "the order of images does not matter", "the order of images matters"),
    (Infinite, "characteristics are finite and (N, K)", "1 of 120 images have NaN or infinity"),
    (NeedsLabels, "it runs", "TypeError: object of type 'NoneType' has no len(); x.labels is None when scoring ("),
    (Misspells, "it runs", "AttributeError: a View has no 'logit'. Did you mean 'logits'? ("),
    (OneNumber, "characteristics are finite and (N, K)", "is not (N, K); write values[:, None] for one number an "),
    (Flat, "characteristics are finite and (N, K)", "shape (120,) is not (N, K)"),
    (TurnedRound, "adversarial images score higher", "clean images score higher; turn the sign"),
    (Meddles, "the views are left as they were", "logits of the scored view changed"),
    (MeddlesWithTraining, "the views are left as they were", "features('conv1') of the training view changed"),
    (AddsUp, "a second fit forgets the first", "the data of an earlier fit matter"),
    (CannotBePickled, "a pickled copy scores the same", "cannot be handed to a worker process"),
    (Unfitted, "scoring before fit raises a UserError", "raised no UserError, and are not those after it"),
    (UnfittedByAccident, "scoring before fit raises a UserError", "no UserError but AttributeError: "),
    (ForgetsToReturn, "fit returns the detector", "not return the detector but None: it lacks `return self`"),
]


def found(kind: Any) -> dict[str, Check]:
    return {check.name: check for check in check_detector(kind)}


def test_a_good_detector_passes_every_check_with_what_was_measured() -> None:
    checks = found(Good)
    assert failures(list(checks.values())) == []
    assert {check.outcome for check in checks.values()} == {"passes", "measured"}
    assert checks["characteristics are finite and (N, K)"].message.startswith("shape (120, 1), values from ")
    assert checks["adversarial images score higher"].message.startswith("AUROC ")
    assert "ms" in checks["time and memory"].message


@pytest.mark.parametrize(("kind", "name", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_is_found_and_named(kind: type, name: str, words: str) -> None:
    check = found(kind)[name]
    assert check.outcome == "fails"
    assert words in check.message


@pytest.mark.parametrize("kind", [UsesLabels, AddsUp, Unfitted, CannotBePickled, Meddles, MeddlesWithTraining])
def test_one_fault_is_one_finding(kind: type) -> None:
    assert len(failures(check_detector(kind))) == 1


@pytest.mark.parametrize("kind", [ForgetsToReturn, Infinite, Flat, Random])
def test_a_fault_that_all_else_rests_on_is_the_only_finding_and_the_last(kind: type) -> None:
    checks = check_detector(kind)
    assert [check.passed for check in checks] == [True] * (len(checks) - 1) + [False]


def test_a_detector_without_anything_to_learn_passes() -> None:
    checks = found(Stateless)
    assert failures(list(checks.values())) == []
    assert "fit learns nothing" in checks["scoring before fit raises a UserError"].message


def test_a_detector_of_mere_noise_is_warned_of() -> None:
    check = found(Noise)["mere noise is found less"]
    assert check.outcome == "warning"
    assert "noise is found as well as" in check.message


def test_a_column_that_points_the_other_way_is_a_warning_where_a_combiner_follows() -> None:
    check = found(TwoColumns)["adversarial images score higher"]
    assert check.outcome == "warning"
    assert "2 columns, combined by logistic regression" in check.message
    assert "point the other way" in check.message


def test_a_meddler_does_not_spoil_the_views_of_those_after_it() -> None:
    place = trial.ground()
    before = place.train.features("conv1").copy()
    check_detector(MeddlesWithTraining)
    assert np.array_equal(place.train.features("conv1"), before)


def test_the_contract_alone_measures_nothing_and_raises_nothing() -> None:
    place = trial.ground()
    checks = check_contract(Good, place.train, place.test)
    assert all(check.passed for check in checks)
    assert "time and memory" not in {check.name for check in checks}


class Raises(Good):
    def score(self, x: Any) -> Any:
        raise ValueError("no such thing\nbut a long story")


@pytest.fixture
def registered() -> Iterator[Callable[[str, Any], None]]:
    items = registry.detectors._items
    list(registry.detectors)
    before = dict(items)
    yield lambda name, kind: items.__setitem__(name, kind)
    items.clear()
    items.update(before)


def test_the_command_says_what_holds_and_ends_with_0_or_1(registered: Callable[[str, Any], None]) -> None:
    registered("good", Good)
    registered("random", Random)
    said = call("validate-detector", "good")
    assert said.code == 0
    assert "passes   two fresh instances agree: no difference at all" in said.out
    assert ", 0 fail, 0 warnings" in said.out
    without = "without `adversarial images score higher` and `mere noise is found less`."
    assert re.search(rf" s\)\. A run checks the contract alone, {without}", said.out)
    contract = check_contract(Good, trial.ground().train, trial.ground().test)
    more = {c.name for c in check_detector("good") if c.outcome == "passes"} - {c.name for c in contract}
    assert more == {"adversarial images score higher", "mere noise is found less"}
    said = call("validate-detector", "random")
    assert said.code == 1
    assert "fails    two fresh instances agree: two fresh instances differ: by " in said.out
    assert "Traceback" not in said.out + said.err


def test_one_that_raises_is_one_sentence_with_its_place(registered: Callable[[str, Any], None]) -> None:
    registered("raises", Raises)
    said = call("validate-detector", "raises")
    assert said.code == 1
    (line,) = [line for line in said.out.splitlines() if line.startswith("fails")]
    assert line.startswith("fails    it runs: ValueError: no such thing (test_validate.py:")
    with pytest.raises(ValueError, match="no such"):
        call("validate-detector", "raises", "--debug")


def test_an_unknown_detector_is_a_mistake_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "ground", lambda: pytest.fail("a net was trained"))
    assert "There is no detector named 'lidd'. Did you mean 'lid'?" in call("validate-detector", "lidd").mistake


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"draws_gates": True}, "info.draws_gates names parameters that the constructor does not take"),
        ({"coupled_by": {"reference": "parents"}}, "info.coupled_by names parameters"),
        ({"protocol_parameters": {"lee2018": {"k": 3}}}, "info.protocol_parameters['lee2018'] names parameters"),
        ({"url": None}, "info.url is None: input should be a valid string"),
        ({"venue": 2024}, "info.venue is 2024: input should be a valid string"),
        ({"needs": ("clean", "luck")}, "info.needs is ('clean', 'luck'): input should be 'clean', 'adversarial'"),
    ],
)
def test_a_field_of_the_info_that_the_detector_does_not_keep_is_found(stated: dict[str, Any], words: str) -> None:
    class Liar(registry.detectors.get("max-softmax")):
        info = DetectorInfo(title="Liar", formula="f", year=2026, **stated)

    place = trial.ground()
    checks = {check.name: check for check in check_contract(Liar, place.train, place.test)}
    claim = checks["info says where it comes from"]
    assert claim.outcome == "fails"
    assert words in claim.message


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("coupled", "the attribute coupled is not read; declare it as info.coupled_by"),
        ("protocol_parameters", "declare it as info.protocol_parameters"),
        ("gate_seed", "declares info.draws_gates"),
    ],
)
def test_what_was_once_read_off_a_detector_must_be_declared(attribute: str, words: str) -> None:
    class Old(registry.detectors.get("max-softmax")):
        def __init__(self) -> None:
            super().__init__()

    class Seeded(Old):
        def __init__(self, gate_seed: int = 0) -> None:
            super().__init__()

    if attribute == "gate_seed":
        Old = Seeded
    else:
        setattr(Old, attribute, True)
    place = trial.ground()
    checks = {check.name: check for check in check_contract(Old, place.train, place.test)}
    claim = checks["info says where it comes from"]
    assert claim.outcome == "fails"
    assert words in claim.message
