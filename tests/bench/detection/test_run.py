"""A whole run on real digits: what it writes, what it does not do twice, what it says when something is wrong."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from subnetbench.bench import AttackInfo, DetectorInfo, load_results
from subnetbench.bench.core import registry
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.core.store import Store
from subnetbench.bench.detection.audit import look
from subnetbench.bench.detection.compare import compare_detectors
from subnetbench.bench.detection.entry import read_entries, read_scores
from subnetbench.bench.detection.run import Run
from subnetbench.bench.detection.scoring import Shown
from subnetbench.bench.detection.suite import columns_of
from subnetbench.bench.detection.tables import report as report_of
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.tables import render, write_tables
from subnetbench.bench.tracks import load_suite

from ..conftest import Tiny


@pytest.fixture
def registered() -> Iterator[Any]:
    """Register detectors for one test."""
    before = dict(registry.detectors._items)
    yield registry.register_detector
    registry.detectors._items.clear()
    registry.detectors._items.update(before)


def with_detector(name: str) -> tuple[str, str]:
    return 'name = "max-softmax"\n', f'name = "max-softmax"\n\n[[detectors]]\nname = "{name}"\n'


class Margin:
    """A third-party detector: the gap between the two largest logits, small for adversarial images."""

    info = DetectorInfo(title="A stranger's", formula="z_2 - z_1", year=2026)
    candidates: ClassVar[list[dict[str, Any]]] = []

    def fit(self, train: Any) -> Any:
        return self

    def characteristics(self, x: Any) -> Any:
        top = np.sort(x.logits, axis=1)
        return (top[:, -2] - top[:, -1])[:, None]


def test_a_run_gives_one_row_a_cell_and_writes_what_it_says(tiny: Tiny) -> None:
    frame = load_results(tiny.folder)
    assert len(frame) == 3 * (4 + 10)  # detectors x cells: lee2018; strict, also of fits on several attacks
    assert set(frame["protocol"]) == {"strict", "lee2018"}
    assert frame["auroc"].between(0, 1).all()
    assert (frame["low"] <= frame["auroc"] + 1e-9).mean() > 0.9
    for name in ("report.md", "table2.csv", "table2.md", "transfer.csv", "strength.csv", "cost.csv", "cells.csv"):
        assert (tiny.folder / "tables" / name).stat().st_size > 0
    assert not list(tiny.output.rglob(".partial*"))


def test_the_auroc_of_every_cell_is_scikit_learns_on_the_kept_scores(tiny: Tiny) -> None:
    for entry in read_entries(tiny.folder):
        if entry.protocol_name != "strict":
            continue
        scores = read_scores(tiny.folder, entry)
        for cell in entry.cells:
            if cell.pair not in [*columns_of(list(entry.attacks)), *(("all attacks", a) for a in entry.attacks)]:
                assert scores[(scores["fit_on"] == cell.fit_on) & (scores["test_on"] == cell.test_on)].empty
                continue
            rows = scores[(scores["fit_on"] == cell.fit_on) & scores["test_on"].isin([cell.test_on, "*"])]
            found = [
                roc_auc_score(part["kind"] == "adversarial", part["score"])
                for _, part in rows[rows["kind"].isin(["adversarial", "clean"])].groupby("split")
            ]
            assert cell.auroc_by_split == pytest.approx(found, abs=1e-5)
            assert cell.auroc == pytest.approx(np.mean(found), abs=1e-5)


def test_the_table_of_time_has_every_stage_and_adds_up(tiny: Tiny) -> None:
    table = pd.read_csv(tiny.folder / "tables" / "time.csv")
    stages = table[table["stage"].str.match("attack|learn|score")]
    assert sum(stages["stage"].str.startswith("attack")) == 2
    assert sum(stages["stage"].str.startswith("score, fit and evaluate")) == 3 * 2
    (whole,) = table.loc[table["stage"] == "sum; highest", "seconds"]
    assert whole == pytest.approx(stages["seconds"].sum(), abs=0.1 * len(stages))
    if sys.platform == "linux":
        scored = stages.loc[stages["stage"].str.startswith("score"), "peak MB"]
        assert scored.between(50, 100_000).all()
        assert table.loc[table["stage"] == "sum; highest", "peak MB"].item() == stages["peak MB"].max()


def test_a_second_run_computes_nothing_and_gives_the_same_tables(tiny: Tiny) -> None:
    before = tiny.tables()
    result = tiny.run()
    assert result.computed == 0
    assert tiny.tables() == before


def test_an_empty_store_gives_the_same_figures_to_the_last_digit(tiny: Tiny, tmp_path: Path) -> None:
    again = Tiny(tiny.file, tmp_path / "store", tmp_path / "out")
    again.run()
    timed = {"cost.csv", "cost.md", "strength.csv", "strength.md", "time.csv", "time.md", "report.md"}
    before, after = tiny.tables(), again.tables()
    assert {k: v for k, v in after.items() if k not in timed} == {k: v for k, v in before.items() if k not in timed}


@pytest.mark.parametrize(("field", "value"), [("year", 0), ("url", None)])
def test_what_an_entry_cannot_state_is_refused_before_anything_is_computed(
    tiny: Tiny, registered: Any, tmp_path: Path, field: str, value: Any
) -> None:
    class Strange(Margin):
        info = replace(Margin.info, **{field: value})

    registered("strange")(Strange)
    own = tiny.variant(tmp_path, with_detector("strange"))
    with pytest.raises(UserError, match=rf"^detectors.strange: (its info\.)?{field}\b.*; correct its info.$"):
        own.run(when="never")
    assert not own.folder.exists()


def test_a_coupled_detector_is_scored_under_strict_on_all_images(tiny: Tiny, registered: Any, tmp_path: Path) -> None:
    class Coupled(Margin):
        info = replace(Margin.info, coupled_by={"whole": True})
        candidates: ClassVar[list[dict[str, Any]]] = [{"whole": True}]

        def __init__(self, whole: bool = False) -> None:
            pass

    class CoupledByDefault(Coupled):
        candidates: ClassVar[list[dict[str, Any]]] = []

        def __init__(self, whole: bool = True) -> None:
            pass

    registered("coupled-by-default")(CoupledByDefault)
    registered("margin")(Margin)
    registered("coupled")(Coupled)
    names = ("margin", "coupled", "coupled-by-default")
    own = tiny.variant(tmp_path, *map(with_detector, names))
    own.run()
    aurocs = load_results(own.folder).query("protocol == 'strict'").groupby("detector")["auroc"]
    assert list(aurocs.get_group("coupled")) == list(aurocs.get_group("margin"))
    # Under lee2018 a coupled detector gets only the images that the protocol keeps, as a view with parents.
    run = Run(load_suite(own.file), Context(Store(own.store), torch.device("cpu")))
    protocol = next(each for each in run.suite.protocols if each.name == "lee2018")
    material = run.scoring.images.material(protocol)
    for part in run.suite.detectors:
        candidates = run.scoring.candidates(part, protocol)
        shown = Shown(part, protocol, 0, material, run.scoring.build(part, protocol), candidates)
        assert (shown.kept("fgsm") is not None) == (part.name.startswith("coupled") or part.name == "lid")


def test_a_detector_that_takes_no_new_attribute_is_fitted_once(tiny: Tiny, registered: Any, tmp_path: Path) -> None:
    fits: list[int] = []

    class Slotted:
        info = DetectorInfo(title="t", formula="f", year=2026)
        candidates = ()
        __slots__ = ()

        def fit(self, train: Any) -> Any:
            fits.append(len(train))
            return self

        def characteristics(self, x: Any) -> Any:
            return -np.sort(x.logits, axis=1)[:, -1:]

    registered("slotted")(Slotted)
    own = tiny.variant(tmp_path, ('name = "lid"\ncandidates = [{ k = 10 }]', 'name = "slotted"'))
    assert not own.run().failures
    assert sum(images > 200 for images in fits) == 2  # once a protocol; on few images, to see whether it is sound


def test_a_damaged_artifact_is_named_and_rebuilt(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny.store, tmp_path / "store")
    copy = Tiny(tiny.file, tmp_path / "store", tmp_path / "out")
    for kind in ("outcome", "cells"):
        for path in (copy.store / kind).iterdir():
            blob = bytearray(path.read_bytes())
            blob[-1] ^= 1
            path.write_bytes(bytes(blob))
    report = Silent()
    result = copy.run(report=report)
    assert result.computed > 0
    assert any("outcome" in w and "damaged" in w and "built again" in w for w in report.warnings)
    assert copy.tables()["cells.csv"] == tiny.tables()["cells.csv"]


def test_cached_ends_at_what_is_absent_and_never_leaves_it_out(tiny: Tiny, tmp_path: Path) -> None:
    other = tiny.variant(
        tmp_path, ('name = "max-softmax"\n', 'name = "max-softmax"\n\n[[detectors]]\nname = "energy"\n')
    )
    with pytest.raises(UserError, match="--when cached computes nothing"):
        other.run("cached")
    result = other.run("never")
    assert result.computed == 0
    rows = result.frame.set_index("detector")
    assert rows.loc["energy", "auroc"].isna().all()
    assert rows.loc["max-softmax", "auroc"].notna().all()
    assert result.failures


def test_a_damaged_batch_makes_no_attack_cheaper(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny.store, tmp_path / "store")
    copy = Tiny(tiny.file, tmp_path / "store", tmp_path / "out")
    batch = sorted((copy.store / "adversarial").iterdir())[0]
    batch.write_bytes(batch.read_bytes()[:-1] + b"?")
    copy.run()
    stated = [
        {title: attack.seconds_per_image for title, attack in read_entries(run.folder)[0].attacks.items()}
        for run in (tiny, copy)
    ]
    assert stated[0] == stated[1]


def test_always_computes_again_and_agrees(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny.store, tmp_path / "store")
    copy = Tiny(tiny.file, tmp_path / "store", tmp_path / "out")
    stored = sum(files for kind, (files, _) in Store(copy.store).size().items() if kind != "scratch")
    assert copy.run("always").computed == stored
    assert copy.tables()["cells.csv"] == tiny.tables()["cells.csv"]


def test_entries_of_an_earlier_form_of_the_suite_do_not_linger(tiny: Tiny, tmp_path: Path) -> None:
    smaller = tiny.variant(tmp_path, ('[[detectors]]\nname = "lid"\ncandidates = [{ k = 10 }]\n', ""))
    smaller.output = tmp_path / "out"
    shutil.copytree(tiny.output, smaller.output)
    smaller.run()
    assert not list((smaller.folder / "entries").rglob("lid.json"))
    assert "| lid" not in (smaller.folder / "tables" / "table2.md").read_text()


def test_a_third_party_detector_is_in_every_table(tiny: Tiny, tmp_path: Path, registered: Any) -> None:
    registered("margin")(Margin)
    other = tiny.variant(
        tmp_path, ('name = "max-softmax"\n', 'name = "max-softmax"\n\n[[detectors]]\nname = "margin"\n')
    )
    frame = other.run().frame
    assert frame.query("detector == 'margin'")["auroc"].notna().all()
    for name in ("table2.md", "transfer.md", "cost.md"):
        assert "| margin" in (other.folder / "tables" / name).read_text()


def test_a_detector_that_breaks_its_contract_is_remarked_on_and_said_once(
    tiny: Tiny, tmp_path: Path, registered: Any
) -> None:
    class Unseeded(Margin):
        def characteristics(self, x: Any) -> Any:
            return super().characteristics(x) + np.random.random((len(x), 1))  # noqa: NPY002 (the fault)

    class Peeks(Margin):
        def characteristics(self, x: Any) -> Any:
            return super().characteristics(x) + (0 if x.labels is None else (x.labels != x.predicted)[:, None])

    added = "".join(f'\n\n[[detectors]]\nname = "{name}"\n' for name in ("unseeded", "peeks", "sound"))
    for name, kind in (("unseeded", Unseeded), ("peeks", Peeks), ("sound", Margin)):
        registered(name)(kind)
    own = tiny.variant(tmp_path, ('name = "max-softmax"\n', f'name = "max-softmax"{added}'))
    for _ in range(2):  # made, and read from the store
        report = Silent()
        assert own.run(report=report).failures == []
        said = [warning for warning in report.warnings if warning.startswith("The detector")]
        assert [warning.split()[2] for warning in said] == ["unseeded", "peeks"]
        assert "is not reproducible" in said[0]
        assert "reads x.labels" in said[1]
    for entry in read_entries(own.folder):
        remarks = [cell.remark for cell in entry.cells]
        assert all(("is not reproducible" in remark) == (entry.label == "unseeded") for remark in remarks)
        assert all(("reads x.labels" in remark) == (entry.label == "peeks") for remark in remarks)


def test_passes_that_a_third_party_makes_by_itself_are_in_its_cost(tiny: Tiny, tmp_path: Path, registered: Any) -> None:
    class Gradient(Margin):
        def characteristics(self, x: Any) -> Any:
            norms = []
            for part in x.batches():
                images = x.images[part].clone().requires_grad_()
                x.classifier(images).amax(1).sum().backward()
                with torch.no_grad():
                    x.classifier(images)
                norms.append(images.grad.flatten(1).norm(dim=1))
            return torch.cat(norms)[:, None].numpy().astype(np.float64)

    registered("gradient")(Gradient)
    own = tiny.variant(tmp_path, with_detector("gradient"))
    assert own.run().failures == []
    for entry in (entry for entry in read_entries(own.folder) if entry.label == "gradient"):
        assert (entry.cost.forward_per_image, entry.cost.backward_per_image) == (2, 1)
    rows = (own.folder / "tables" / "cost.csv").read_text().splitlines()
    assert all(",2.0,1.0," in row for row in rows if ",gradient" in row)


def test_a_detector_that_raises_is_a_cell_with_its_reason_and_the_others_go_on(
    tiny: Tiny, tmp_path: Path, registered: Any
) -> None:
    class Broken(Margin):
        def characteristics(self, x: Any) -> Any:
            raise ZeroDivisionError("no luck")

    class NotANumber(Margin):
        def characteristics(self, x: Any) -> Any:
            return np.full((len(x), 1), np.nan)

    registered("broken")(Broken)
    registered("nan")(NotANumber)
    added = '\n\n[[detectors]]\nname = "broken"\n\n[[detectors]]\nname = "nan"\n'
    other = tiny.variant(tmp_path, ('name = "max-softmax"\n', f'name = "max-softmax"{added}'))
    result = other.run()
    assert len(result.failures) == 4  # two detectors under two protocols
    assert any("raised ZeroDivisionError: no luck" in failure for failure in result.failures)
    assert any("gave NaN or infinite characteristics" in failure for failure in result.failures)
    assert result.frame.query("detector == 'lid'")["auroc"].notna().all()
    assert "no luck" in (other.folder / "tables" / "report.md").read_text()


def test_lid_that_lacks_images_for_its_batch_is_a_cell_with_its_reason(tiny: Tiny, tmp_path: Path) -> None:
    other = tiny.variant(tmp_path, ('name = "digits"\n', 'name = "digits"\ntrain_limit = 60\n'))
    result = other.run()
    assert any("lid needs 100 training images" in failure and "60" in failure for failure in result.failures)


def test_a_classifier_below_the_floor_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    words = r"classifies 9\d\.\d% of 899 test images correctly, below the suite's floor of 99\.9%"
    with pytest.raises(UserError, match=words):
        tiny.variant(tmp_path, ("floor = 0.8", "floor = 0.999")).run()


class Jump:
    """A third-party attack that does one thing to all images."""

    info = AttackInfo("Jump", 2026, "budget", "Linf", "theirs", "1", epsilon=0.3)
    parameters: ClassVar[dict[str, Any]] = {}


def jumping(tiny: Tiny, folder: Path, monkeypatch: pytest.MonkeyPatch, make: Any) -> Tiny:
    """The tiny suite with such an attack in the place of BIM."""

    def call(self: Any, classifier: Any, images: Any, labels: Any, *, generator: Any) -> Any:
        return make(images)

    list(registry.attacks)
    monkeypatch.setitem(registry.attacks._items, "jump", type("Jumps", (Jump,), {"__call__": call}))
    return tiny.variant(
        folder,
        ('name = "bim"\nparameters = { epsilon = 0.3, step_size = 0.1, steps = 5 }', 'name = "jump"'),
        ('name = "lee2018"\n', 'name = "lee2018"\nnoise_sigma = { fgsm = 0.06, jump = 0.06 }\n'),
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda x: 1 / 0, "The attack jump failed on images 0 to 39: ZeroDivisionError: division by zero"),
        (lambda x: x + 0.25, "The attack jump returned values in [0.25, 1.25]; it must stay within [0, 1]."),
        (lambda x: x[:, :, 1:], "The attack jump returned torch.float32 of shape (40, 1, 7, 8); it must return"),
        (lambda x: x.double(), "The attack jump returned torch.float64 of shape"),
        (
            lambda x: 1 - x,
            "The attack jump declares a budget of 0.3 in Linf and moved 40 of 40 images further, ",
        ),
    ],
)
def test_an_attack_that_fails_is_a_reason_in_its_cells_and_the_others_are_scored(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, words: str
) -> None:
    own = jumping(tiny, tmp_path, monkeypatch, make)
    (failure,) = own.run().failures
    assert failure.startswith(words)
    for entry in read_entries(own.folder):
        cells = entry.by_pair()
        assert cells["fgsm", "fgsm"].auroc is not None
        for pair in (("fgsm", "jump"), ("jump", "jump"), ("jump", "fgsm")):
            assert cells[pair].auroc is None
            assert cells[pair].remark == failure
        assert entry.attacks["jump"].remark == failure
        lines = {line.what: line for line in look(entry, read_scores(own.folder, entry), own.folder, "")}
        assert lines["figures"].verdict == "match", lines["figures"].detail
    tables = own.tables()
    assert failure[:40] in tables["strength.md"].decode()
    assert failure[:40] in tables["report.md"].decode()


def test_what_an_attack_does_against_its_word_is_said_and_stated(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(images: Any) -> Any:
        moved = (images + 0.05 * torch.rand(images.shape)).clamp(0, 1)
        if len(images) == 40:
            moved[:2] = torch.nan
        return moved

    own, report = jumping(tiny, tmp_path, monkeypatch, lost), Silent()
    assert own.run(report=report).failures == []
    (said,) = [warning for warning in report.warnings if warning.startswith("The attack jump")]
    assert "NaN or infinity for 10 of 200 images, which count as failures" in said
    assert "it is not reproducible" in said
    assert all(entry.attacks["jump"].remark in said for entry in read_entries(own.folder))
    assert all("remark" not in entry.written()["attacks"]["fgsm"] for entry in read_entries(own.folder))


def test_an_attack_without_successes_is_a_cell_that_says_so(tiny: Tiny, tmp_path: Path) -> None:
    weak = tiny.variant(tmp_path, ("parameters = { epsilon = 0.3 }", "parameters = { epsilon = 0.00001 }"))
    frame = (
        weak.run().frame.query("protocol == 'strict' and detector == 'mahalanobis'").set_index(["fit_on", "test_on"])
    )
    assert np.isnan(frame.loc[("fgsm", "fgsm"), "auroc"])
    assert "0 successful adversarials" in frame.loc[("fgsm", "fgsm"), "remark"]
    assert "n = 0" in frame.loc[("bim", "fgsm"), "remark"]
    assert frame.loc[("bim", "bim"), "auroc"] > 0.5


def test_tables_are_made_of_entries_and_checked_against_them(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    write_tables(folder, report_of(folder), check=True)
    assert render(report_of(folder)) == render(report_of(tiny.folder))
    path = folder / "tables" / "table2.csv"
    path.write_text(path.read_text().replace("strict", "strictest"))
    with pytest.raises(UserError, match="is not what its entries give"):
        write_tables(folder, report_of(folder), check=True)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda text: text[:-40], "cannot be read"),
        (lambda text: text.replace('"schema": 1', '"schema": 99'), "has schema 99"),
        (lambda text: "[]", "is not an entry"),
    ],
)
def test_a_bad_entry_is_refused_by_name(tiny: Tiny, tmp_path: Path, harm: Any, words: str) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    path = folder / "entries" / "strict" / "lid.json"
    path.write_text(harm(path.read_text()))
    with pytest.raises(UserError, match=words) as caught:
        read_entries(folder)
    assert "lid.json" in str(caught.value)


def test_scores_that_are_not_their_entrys_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(tiny.folder, folder)
    table = folder / "scores" / "strict" / "lid.parquet"
    pd.read_parquet(table).assign(score=0.5).to_parquet(table)
    entry = next(e for e in read_entries(folder) if e.label == "lid" and e.protocol_name == "strict")
    with pytest.raises(UserError, match="sha256 differs"):
        read_scores(folder, entry)
    path = folder / "entries" / "strict" / "lid.json"
    path.write_text(path.read_text().replace("scores/strict/lid.parquet", "../../../lid.parquet"))
    entry = next(e for e in read_entries(folder) if e.label == "lid" and e.protocol_name == "strict")
    with pytest.raises(UserError, match="and are refused"):
        read_scores(folder, entry)


def test_compare_from_stored_scores_agrees_with_the_runs_own_comparison(tiny: Tiny) -> None:
    own = json.loads((tiny.folder / "comparisons" / "strict.json").read_text())["comparisons"]
    tables = {each.title: each.all_rows for each in compare_detectors(tiny.folder, "mahalanobis", "max-softmax")}
    rows = next(rows for title, rows in tables.items() if title.endswith("strict"))
    by_cell = {(r["fitted on"], r["tested on"]): r["difference"] for r in rows}
    assert len(rows) == 4
    for record in own:
        expected = f"{100 * record['difference']:+.2f} [{100 * record['low']:+.2f}, {100 * record['high']:+.2f}]"
        assert by_cell[record["fit_on"], record["test_on"]] == expected


def test_every_entry_says_how_it_was_made(tiny: Tiny) -> None:
    for entry in read_entries(tiny.folder):
        assert len(entry.dataset.sha256) == len(entry.model.sha256) == 64
        assert entry.versions["torch"]
        for attack in entry.attacks.values():
            assert attack.library == "foolbox"
            assert attack.version
            assert attack.parameters["epsilon"] == 0.3
        assert entry.seed == 0
        assert entry.detector.formula
