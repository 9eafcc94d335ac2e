"""An argument that the public face does not take is one sentence with the nearest that it takes."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from subnetbench.bench import (
    AttackInfo,
    DetectorInfo,
    SaliencyInfo,
    UserError,
    check_attack,
    check_detector,
    compare,
    load_results,
    run,
)


@pytest.mark.parametrize(
    ("function", "keywords", "words"),
    [
        (run, {"detector": []}, "run() takes no argument 'detector'. Did you mean 'detectors'?"),
        (DetectorInfo, {"titel": "x"}, "DetectorInfo() takes no argument 'titel'. Did you mean 'title'?"),
        (DetectorInfo, {"title": "x"}, "DetectorInfo(): missing a required argument: 'formula'; it takes title, "),
        (AttackInfo, {"libary": "x"}, "AttackInfo() takes no argument 'libary'. Did you mean 'library'?"),
        (SaliencyInfo, {"nots": "x"}, "SaliencyInfo() takes no argument 'nots'. Did you mean 'notes'?"),
        (compare, {"result": "x"}, "takes no argument 'result'. Did you mean 'results'?"),
        (load_results, {"folders": "x"}, "load_results() takes no argument 'folders'. Did you mean 'folder'?"),
        (check_detector, {"debgu": True}, "Did you mean 'debug'?"),
        (check_attack, {}, "check_attack(): missing a required argument: 'attack'; it takes attack, debug."),
    ],
)
def test_a_wrong_keyword_is_one_sentence(function: Any, keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        function(**keywords)
    assert words in str(error.value)


def test_the_signature_is_still_that_of_the_function() -> None:
    assert "detectors" in inspect.signature(run).parameters
    assert list(inspect.signature(DetectorInfo).parameters)[:3] == ["title", "formula", "year"]
