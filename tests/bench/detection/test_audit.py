"""`verify`: what a run wrote matches, and every way to tamper with it is found and said in one sentence."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.detection.entry import BY_SPLIT
from subnetbench.bench.detection.packing import unpacked
from subnetbench.bench.exchange.rerun import AtHand, draw
from subnetbench.bench.exchange.verify import against_base, located
from subnetbench.bench.harness.audit import Audit, audited
from subnetbench.bench.tracks import TRACKS

from ..cli.test_commands import call
from ..conftest import Tiny

Entry = dict[str, Any]


@pytest.fixture
def folder(tiny: Tiny, tmp_path: Path) -> Path:
    """The finished run's results, for one test to change."""
    shutil.copytree(tiny.folder, tmp_path / "tiny")
    return tmp_path / "tiny"


def entry_of(folder: Path, label: str = "lid", protocol: str = "strict") -> Path:
    return folder / "entries" / protocol / f"{label}.json"


def change(path: Path, edit: Callable[[Entry], Any]) -> None:
    """An edit of the entry's JSON, in which figures by split are lists."""
    entry = json.loads(path.read_text(encoding="utf-8"))
    for cell in entry.get("cells", []):
        cell.update({name: unpacked(cell[name]) for name in BY_SPLIT if name in cell})
    edit(entry)
    path.write_text(json.dumps(entry), encoding="utf-8")


def rescore(folder: Path, path: Path, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Other scores under the entry, with a sha256 that fits."""
    entry = json.loads(path.read_text(encoding="utf-8"))
    table = folder / entry["scores"]["file"]
    edit(pd.read_parquet(table)).to_parquet(table, index=False)
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    change(path, lambda e: e["scores"].update(sha256=digest))


def alone(path: Path) -> Audit:
    return audited(TRACKS["detection"], path, path.name)


def beside(hand: AtHand, path: Path) -> Audit:
    """An entry with what is at hand."""
    audit = alone(path)
    audit.lines += hand.lines(audit)
    return audit


def wrong(path: Path) -> str:
    """The one mismatch of an entry, beside what its suite says."""
    (line,) = [line for line in alone(path).lines if line.verdict == "mismatch" and line.what != "suite"]
    assert "\n" not in line.detail
    return f"{line.what}: {line.detail}"


def verdicts(audit: Audit) -> dict[str, str]:
    return {line.what: line.verdict for line in audit.lines}


# -- what a run wrote -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["strict", "lee2018"])
@pytest.mark.parametrize("label", ["lid", "mahalanobis", "max-softmax"])
def test_what_a_run_wrote_matches(tiny: Tiny, label: str, protocol: str) -> None:
    audit = alone(entry_of(tiny.folder, label, protocol))
    assert audit.good
    assert {"form", "place", "scores", "images", "figures", "versions"} <= verdicts(audit).keys()
    assert set(verdicts(audit).values()) == {"match"}


def test_data_attacks_and_detector_match_and_what_cannot_be_known_is_not_called_a_match(tiny: Tiny) -> None:
    hand = AtHand(store=None, data_root=None, device=torch.device("cpu"))
    audit = beside(hand, entry_of(tiny.folder))
    hand.close()
    found = verdicts(audit)
    assert audit.good
    assert {found[name] for name in ("suite", "detector", "attacks", "data")} == {"match"}
    assert {found[name] for name in ("model", "attacked images")} == {"not checked"}


def test_attacked_images_are_compared_with_those_of_a_store(tiny: Tiny, folder: Path) -> None:
    def looked_at() -> str:
        hand = AtHand(store=tiny.store, data_root=None, device=torch.device("cpu"))
        (line,) = [line for line in beside(hand, entry_of(folder)).lines if line.what == "attacked images"]
        return f"{line.verdict}: {line.detail}"

    assert looked_at() == "match: fgsm, bim: those in the store, to the last bit"
    change(entry_of(folder), lambda e: e["attacks"]["fgsm"].update(images_sha256="0" * 64))
    assert looked_at().startswith("not checked: fgsm: not those in the store")
    change(entry_of(folder), lambda e: e["attacks"]["fgsm"].pop("images_sha256"))
    assert looked_at().startswith("not checked: the entry is of a version")


def test_cells_run_again_from_nothing_are_the_same_image_by_image(tiny: Tiny) -> None:
    said = call("verify", entry_of(tiny.folder), "--rerun", 2, "--sample-seed", 0)
    assert said.code == 0, said.out
    assert "2 cells run again, drawn by --sample-seed 0:" in said.out
    assert "match       model again: sha256 " in said.out
    assert said.out.count("all splits: 2 AUROCs, largest difference 0.000 points") == 2
    assert "scores, all equal" in said.out
    assert "fooled, same norms, the same images to the last bit" in said.out


def test_with_a_store_the_net_is_read_and_the_scores_are_made_anew(tiny: Tiny, folder: Path) -> None:
    """Scores that were edited together with their figures: only running the cell again tells."""
    path = entry_of(folder, "max-softmax")

    def shifted(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(score=frame["score"] * 2)  # no metric changes

    rescore(folder, path, shifted)
    assert alone(path).good
    said = call("verify", path, "--rerun", 4, "--store", tiny.store)
    assert said.code == 1
    assert "match       model: sha256 " in said.out
    assert "mismatch    again " in said.out
    assert "scores differ by up to" in said.out


def test_the_cells_of_a_sample_are_drawn_from_all_entries_and_by_the_seed(tiny: Tiny) -> None:
    audits = [alone(entry_of(tiny.folder, label)) for label in ("lid", "max-softmax")]
    one, again, other = draw(audits, 3, 0), draw(audits, 3, 0), draw(audits, 3, 1)
    assert one == again
    assert one != other
    assert sum(map(len, one.values())) == 3
    assert sum(map(len, draw(audits, 99, 0).values())) == 20


# -- what was tampered with -------------------------------------------------------------------------------------------


def first(entry: Entry) -> Entry:
    return entry["cells"][0]


def worst(entry: Entry) -> Entry:
    return next(cell for cell in entry["cells"] if cell["test_on"] == "worst case" and cell["fit_on"] == "all attacks")


#: Lists of a cell with one value for each split.
LISTS = ("n", "n_fit", "candidates", *BY_SPLIT)

EDITS: list[tuple[str, Callable[[Entry], Any], str]] = [
    ("a better AUROC", lambda e: first(e).update(auroc=0.9999, high=1.0), "states AUROC 0.9999"),
    ("a narrower interval", lambda e: first(e).update(low=first(e)["auroc"] - 1e-4), "states low"),
    ("another FPR", lambda e: first(e).update(fpr95=0.5), "states FPR at 95% TPR 0.500000"),
    ("a better split", lambda e: first(e)["auroc_by_split"].__setitem__(0, 0.99), "states AUROC"),
    ("a split less", lambda e: [c[n].pop() for c in e["cells"] for n in LISTS if c.get(n)], "but its splits give"),
    ("another n", lambda e: first(e).update(n=[n + 1 for n in first(e)["n"]]), "states n "),
    ("NaN", lambda e: first(e).update(auroc=float("nan")), "NaN"),
    ("out of range", lambda e: first(e).update(auroc=1.5), "auroc"),
    ("another schema", lambda e: e.update(schema=99), "has schema 99, this version reads 1"),
    ("a missing key", lambda e: e.pop("cells"), "cells: this key is required and missing"),
    ("a cell twice", lambda e: e["cells"].append(first(e)), "appears twice"),
    ("a cell less", lambda e: e["cells"].pop(), "is missing"),
    ("scores elsewhere", lambda e: e["scores"].update(file="../../../etc/passwd"), "outside their results folder"),
    ("scores elsewhere, absolute", lambda e: e["scores"].update(file="/etc/passwd"), "outside their results folder"),
    ("a path as label", lambda e: e["detector"].update(label="../../x"), "reads as a path"),
    ("other sha256", lambda e: e["scores"].update(sha256="0" * 64), "sha256 differs"),
    ("more splits than scores", lambda e: e["protocol"].update(splits=4), "states 2 splits, its protocol gives 4"),
    ("fewer attacked images", lambda e: e["dataset"].update(attacked_images=50), "outside the 50 attacked"),
    ("a better worst case", lambda e: worst(e)["auroc_by_split"].__setitem__(0, 0.99), "states AUROC"),
    ("more detections", lambda e: worst(e)["tpr5_by_split"].__setitem__(0, 0.99), "states tpr5"),
    ("fewer false alarms", lambda e: first(e).update(fpr1=0.0, fpr1_by_split=[0.0, 0.0]), "states a split's fpr1"),
    ("a narrower interval of a rate", lambda e: first(e).update(tpr5_low=first(e)["tpr5"]), "states tpr5_low"),
    ("no error of the calibration", lambda e: first(e).pop("tpr5_calibration"), "tpr5_calibration is missing"),
    ("fewer calibration images", lambda e: e["dataset"].update(calibration_images=5), "outside the 5 that may"),
    ("a fit that there is not", lambda e: worst(e).update(fit_on="all but cw"), "which the entry does not describe"),
    ("text for a number", lambda e: first(e).update(auroc="high"), "auroc"),
    ("no sha256 to supersede", lambda e: e.update(supersedes="the old one"), "is no sha256"),
    ("a day without what was superseded", lambda e: e.update(superseded="2026-11-27"), "state which one"),
    ("no day", lambda e: e.update(supersedes="0" * 64, superseded="20261127"), "not a day such as 2026-11-27"),
    ("a day that there is not", lambda e: e.update(supersedes="0" * 64, superseded="2026-02-30"), "not a day"),
    ("statistics that are none", lambda e: e["statistics"].update(level=95), "level"),
]


@pytest.mark.parametrize(("edit", "words"), [(edit, words) for _, edit, words in EDITS], ids=[n for n, _, _ in EDITS])
def test_an_edited_entry_is_found(folder: Path, edit: Callable[[Entry], Any], words: str) -> None:
    change(entry_of(folder), edit)
    assert words in wrong(entry_of(folder))


def test_a_truncated_entry_a_renamed_one_and_missing_scores_are_found(folder: Path) -> None:
    path = entry_of(folder)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    assert "cannot be read" in wrong(path)
    path.write_text(text, encoding="utf-8")
    path.rename(path.with_name("other.json"))
    assert wrong(path.with_name("other.json")) == "place: it lies at strict/other.json, not at strict/lid.json"
    (folder / "scores" / "strict" / "max-softmax.parquet").unlink()
    assert "cannot be read" in wrong(entry_of(folder, "max-softmax"))


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    """Every image twice, which changes no AUROC."""
    return pd.concat([frame, frame])


def blank(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(score=frame["score"].where(np.arange(len(frame)) != 3))


def swapped(frame: pd.DataFrame) -> pd.DataFrame:
    """One adversarial image gets the score of the highest."""
    index = frame[(frame["fit_on"] == "fgsm") & (frame["kind"] == "adversarial")]["score"].idxmin()
    return frame.assign(score=frame["score"].where(frame.index != index, frame["score"].max()))


@pytest.mark.parametrize(("edit", "words"), [(doubled, "states n "), (blank, "are NaN"), (swapped, "a split's AUROC")])
def test_edited_scores_are_found_though_their_sha256_was_edited_too(
    folder: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    rescore(folder, entry_of(folder), edit)
    assert words in "; ".join(line.detail for line in alone(entry_of(folder)).lines if line.verdict == "mismatch")


def test_an_entry_that_is_not_of_the_suite_beside_it_is_found(folder: Path) -> None:
    hand = AtHand(store=None, data_root=None, device=torch.device("cpu"))
    path = entry_of(folder)
    for edit, words in (
        (lambda e: e["model"].update(name="wide7"), "model.name differ from suite.json"),
        (lambda e: e["dataset"].update(sha256="0" * 64), "sha256 are not those of digits here"),
        (lambda e: e["attacks"]["bim"].update(parameters={"epsilon": 0.3}), "bim.parameters are not what"),
        (lambda e: e["detector"].update(formula="mine"), "formula are not those of 'lid'"),
    ):
        text = path.read_text(encoding="utf-8")
        change(path, edit)
        (line,) = [line for line in beside(hand, path).lines if line.verdict == "mismatch"]
        assert words in line.detail
        path.write_text(text, encoding="utf-8")
    hand.close()


def test_a_folder_goes_on_after_a_bad_entry_and_ends_with_1(folder: Path) -> None:
    assert call("verify", folder).code == 0
    entry_of(folder).write_text("{", encoding="utf-8")
    said = call("verify", folder)
    assert said.code == 1
    assert "Traceback" not in said.err
    assert "mismatch    entries/strict/lid.json: nothing" in said.out
    assert "match       entries/strict/max-softmax.json: form, place, scores" in said.out
    assert "6 entries, 1 with a mismatch." in said.out
    assert "attacked images: they are not at hand" in said.out


def test_a_repeated_identity_is_found(folder: Path) -> None:
    (folder / "entries" / "more").mkdir(parents=True)
    shutil.copy(entry_of(folder), folder / "entries" / "more" / "lid.json")
    said = call("verify", folder)
    assert said.code == 1
    assert "7 entries, 2 with a mismatch." in said.out


@pytest.mark.parametrize("what", ["nothing", "empty", "loose"])
def test_what_is_no_entry_is_one_sentence(tmp_path: Path, what: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "loose").write_text("{}")
    words = {"nothing": "There is no entry", "empty": "There are no entries", "loose": "does not lie below"}[what]
    assert words in call("verify", tmp_path / what).mistake


# -- a new version supersedes -----------------------------------------------------------------------------------------


def test_an_entry_may_be_added_or_superseded_but_neither_edited_nor_removed(tiny: Tiny, folder: Path) -> None:
    kept, gone = against_base(folder, tiny.folder)
    assert gone == []
    assert {line.verdict for line in kept.values()} == {"match"}
    name, path = "entries/strict/lid.json", entry_of(folder)
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    change(path, lambda e: e["detector"].update(notes="again"))
    line = against_base(folder, tiny.folder)[0][name]
    assert (line.verdict, f'"supersedes": "{old}"' in line.detail) == ("mismatch", True)
    change(path, lambda e: e.update(supersedes=old))
    assert against_base(folder, tiny.folder)[0][name].detail == f"supersedes {old[:12]}"
    assert alone(path).good
    path.unlink()
    (line,) = against_base(folder, tiny.folder)[1]
    assert (line.what, line.verdict) == (name, "mismatch")


def test_the_command_tells_of_the_base(tiny: Tiny, folder: Path) -> None:
    change(entry_of(folder), lambda e: e["detector"].update(notes="again"))
    entry_of(folder, "max-softmax").unlink()
    said = call("verify", folder, "--base", tiny.folder)
    assert said.code == 1
    assert "history: was edited; a new version must state" in said.out
    assert "was removed; an entry is superseded, never removed" in said.out
    assert "--base goes with one results folder" in call("verify", entry_of(folder), "--base", tiny.folder).mistake
    assert "There is no folder" in call("verify", folder, "--base", folder / "no").mistake


def test_one_file_is_looked_for_below_a_folder_of_entries(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match="does not lie below a folder `entries`"):
        located(tmp_path / "a.json")


@pytest.mark.parametrize(
    "edit",
    [
        lambda cell: cell.update(advantage_by_split=[]),
        lambda cell: cell.update(noise_advantage_by_split=[]),
        lambda cell: cell["advantage_by_split"].__setitem__(0, None),
        lambda cell: cell["auroc_by_split"].pop(),
        lambda cell: cell.pop("images"),
    ],
)
def test_lists_that_do_not_belong_together_are_one_sentence(folder: Path, edit: Callable[[Entry], Any]) -> None:
    change(entry_of(folder), lambda e: edit(first(e)))
    said = call("compare", "lid", "mahalanobis", "--results", folder).mistake
    assert "lid.json: cells.0: " in said


def test_entries_of_different_images_are_not_compared(folder: Path) -> None:
    change(entry_of(folder), lambda e: e.update(seed=5))
    said = call("compare", "lid", "mahalanobis", "--results", folder).mistake
    assert "'lid' and 'mahalanobis' under protocol strict were not measured on the same images" in said


def test_a_protocol_that_is_not_known_is_not_called_a_mismatch(folder: Path) -> None:
    change(entry_of(folder), lambda e: e["protocol"].update(name="strict", splits=3))
    lines = {line.what: line for line in alone(entry_of(folder)).lines}
    assert lines["figures"].verdict == "not checked"
