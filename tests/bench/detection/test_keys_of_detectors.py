"""What a stored score's key covers of our detectors' code."""

from __future__ import annotations

from pathlib import Path

import pytest
from subnetbench.bench.core import sources
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.detection.scoring import detector_source
from subnetbench.bench.detection.suite import DetectorPart
from subnetbench.bench.models import classifier

NAMES = [name for name in detectors if detectors.is_ours(name)]


def keys_with(edited: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The detectors whose key another content of the file ``edited`` changes."""
    before = {name: detector_source(DetectorPart(name=name)) for name in NAMES}
    read = sources.read_once

    def read_edited(path: Path, module: object) -> bytes:
        return read(path, module) + (b"\nEDITED = 1\n" if path.name == edited else b"")

    monkeypatch.setattr("subnetbench.bench.core.sources.read_once", read_edited)
    monkeypatch.setattr("subnetbench.bench.core.hashing.read_once", read_edited)
    return {name for name in NAMES if detector_source(DetectorPart(name=name)) != before[name]}


def test_an_edit_changes_the_keys_of_the_detectors_that_reach_it_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys_with("spam.py", monkeypatch) == {"spam"}


def test_a_detector_reaches_what_its_imports_import(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = keys_with("mahalanobis.py", monkeypatch)
    assert {"mahalanobis", "subnet-mahalanobis", "mahalanobis-both", "subnet-mahalanobis-random"} <= changed
    assert not changed & {"lid", "kd-pu", "spam", "nss"}


@pytest.mark.parametrize("shared", ["checks.py", Path(classifier.__file__ or "").name])
def test_what_all_share_changes_all(shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = keys_with(shared, monkeypatch)
    assert {"mahalanobis", "lid", "kd-pu", "dknn"} <= changed
    assert shared == "checks.py" or changed == set(NAMES)
