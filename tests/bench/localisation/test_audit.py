"""`verify` on the localisation track: what a run wrote matches, and every way to tamper with it is one sentence."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from subnetbench.bench.board.checks import Checks
from subnetbench.bench.board.maps import read_maps
from subnetbench.bench.cli.train import _chosen
from subnetbench.bench.core import registry
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.store import Store
from subnetbench.bench.exchange.verify import against_base
from subnetbench.bench.harness.audit import audited
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.scores import read_frame
from subnetbench.bench.localisation.entry import read_entries
from subnetbench.bench.localisation.metrics import claims, drawn_counts
from subnetbench.bench.tracks import TRACKS, load_suite

from ..cli.test_commands import call

COMMITTED = Path(__file__).resolve().parents[3] / "results" / "wsol-tiny"
NET = "localisation/bottleneck64"
Content = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One method of a committed run, whole net and subnet, the edges beside them, and the claims of these alone."""
    home = tmp_path / "wsol-tiny"
    (home / NET).mkdir(parents=True)
    shutil.copy(COMMITTED / "suite.json", home)
    for variant in ("normal", "subnet"):
        for path in (COMMITTED / NET).glob(f"grad-cam.{variant}.*"):
            shutil.copy(path, home / NET)
    shutil.copytree(COMMITTED / "localisation" / "no-net", home / "localisation" / "no-net")
    for path in home.rglob("*.json.xz"):
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        path.unlink()
    said = json.loads((COMMITTED / "localisation" / "claims.json").read_text(encoding="utf-8"))
    frames = {entry.key: read_frame(home, entry) for entry in read_entries(home) if entry.has_net}
    said["claims"] = claims(frames, drawn_counts(said["images"], said["resamples"], 0), said["level"])
    (home / "localisation" / "claims.json").write_text(json.dumps(said), encoding="utf-8")
    return home


def change(path: Path, edit: Callable[[Content], Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def rescore(folder: Path, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """Other scores under the subnet's entry, with a sha256 that fits."""
    path = folder / NET / "grad-cam.subnet.json"
    table = path.with_suffix(".parquet")
    edit(pd.read_parquet(table)).to_parquet(table, index=False)
    change(path, lambda e: e["scores"].update(sha256=hashlib.sha256(table.read_bytes()).hexdigest()))
    return path


def wrong(path: Path) -> str:
    lines = [line for line in audited(TRACKS["localisation"], path, path.name).lines if line.verdict == "mismatch"]
    assert len(lines) == 1
    assert "\n" not in lines[0].detail
    return f"{lines[0].what}: {lines[0].detail}"


def test_what_a_run_wrote_matches_and_what_is_not_made_again_is_not_called_a_match(folder: Path) -> None:
    said = call("verify", folder)
    assert said.code == 0, said.out
    assert "5 entries, 0 with a mismatch." in said.out
    assert "localisation/claims.json: form, claims" in said.out
    assert "4 x maps: nets and maps are not made again" in said.out


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda e: e["metrics"]["error"].update(value=0.1), "grad-cam.subnet.json states GT-known error 0.100000"),
        (lambda e: e["metrics"]["error"].update(low=0.01), "figures: GT-known error, low: 0.010000 is stated"),
        (lambda e: e["metrics"].pop("pointing"), "figures: error, top1_error, maxbox_v1, maxbox_v2 are stated"),
        (lambda e: e.update(alpha=9.5), "images: alpha is 9.5, and"),
        (lambda e: e.update(images=1499), "states 1499 images and has 1500"),
        (lambda e: e.update(variant="wrong-class"), "place: it lies at bottleneck64/grad-cam.subnet.json"),
        (lambda e: e.update(seed=4), "suite: seed differ"),
        (lambda e: e["model"].update(name="vgg64"), "suite: model differ"),
        (lambda e: e["statistics"].update(resamples=200), "suite: statistics differ"),
        (lambda e: e["scores"].update(sha256="0" * 64), "sha256 differs"),
        (lambda e: e.pop("alphas"), "not how a run writes it"),
        (lambda e: e.update(heldout_errors=[]), "not how a run writes it"),
        (lambda e: e.update(schema=99), "schema 99"),
        (lambda e: e.pop("schema"), "states no schema"),
        (lambda e: e.update(supersedes="?"), "supersedes: is no sha256"),
    ],
)  # fmt: skip
def test_an_edited_entry_is_found(folder: Path, edit: Callable[[Content], Any], words: str) -> None:
    path = folder / NET / "grad-cam.subnet.json"
    change(path, edit)
    assert words in wrong(path)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda f: f.assign(iou=1.0), "images: hits are not the images whose overlap"),
        (lambda f: f.assign(image=0), "an image is counted twice"),
        (lambda f: f.assign(hit=True, iou=1.0), "grad-cam.subnet.json states GT-known error"),
    ],
)
def test_edited_scores_are_found(folder: Path, edit: Callable[[pd.DataFrame], pd.DataFrame], words: str) -> None:
    assert words in wrong(rescore(folder, edit))


def test_a_claim_that_its_images_do_not_give_is_found(folder: Path) -> None:
    path = folder / "localisation" / "claims.json"
    change(path, lambda c: c["claims"][0].update(verdict="better", p_holm=0.001))
    assert "bottleneck64, grad-cam, subnet minus normal: p_holm 0.001 is stated" in wrong(path)
    change(path, lambda c: c["claims"].clear())
    assert "0 are stated, the entries give 1" in wrong(path)


def test_without_its_suite_nothing_is_a_match(folder: Path) -> None:
    (folder / "suite.json").unlink()
    assert "In wsol-tiny, suite.json beside the entries cannot be read" in wrong(folder / NET / "grad-cam.subnet.json")
    assert call("verify", folder).code == 1


def test_an_entry_is_superseded_and_neither_edited_nor_removed(folder: Path, tmp_path: Path) -> None:
    base = shutil.copytree(folder, tmp_path / "base")
    path = folder / NET / "grad-cam.subnet.json"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    change(path, lambda e: e.update(note="edited"))
    (folder / NET / "grad-cam.normal.json").unlink()
    kept, gone = against_base(folder, base)
    assert kept[f"{NET}/grad-cam.subnet.json"].verdict == "mismatch"
    assert [line.what for line in gone] == [f"{NET}/grad-cam.normal.json"]
    change(path, lambda e: e.update(supersedes=digest))
    assert against_base(folder, base)[0][f"{NET}/grad-cam.subnet.json"].verdict == "match"
    assert call("verify", base, "--base", base).code == 0


def test_a_number_of_images_that_the_scores_do_not_have_is_on_no_page(folder: Path) -> None:
    change(folder / NET / "grad-cam.subnet.json", lambda e: e.update(images=999_999))
    maps, refused = read_maps(folder, Checks())
    assert [left.reason for left in refused if "999999 images and has 1500" in left.reason] != []
    assert all(entry.images == 1500 for entry in maps.entries if entry.metrics)


def test_a_suite_of_another_version_gives_the_same_order(folder: Path) -> None:
    before = [entry.key for entry in read_entries(folder)]
    change(folder / "suite.json", lambda suite: suite.update(future=1))
    assert [entry.key for entry in read_entries(folder)] == before


def test_one_net_may_be_chosen_by_its_label() -> None:
    nets = load_suite("wsol-efficientnet").nets()
    assert _chosen("wsol-efficientnet", nets, "efficientnet-lite0") == list(nets.values())
    with pytest.raises(UserError, match="has one net, 'efficientnet-lite0', and none labelled 'nope'"):
        _chosen("wsol-efficientnet", nets, "nope")


def test_a_method_that_no_entry_can_state_is_refused_beforehand(tmp_path: Path) -> None:
    suite = load_suite("wsol-tiny")
    part = suite.saliency[0]
    ours = registry.saliency.get(part.name)

    class Strange(ours):  # type: ignore[misc, valid-type]
        info = replace(ours.info, year="2020")

    before = dict(registry.saliency._items)
    try:
        registry.saliency._items[part.name] = Strange
        with pytest.raises(
            UserError, match=rf"^saliency.{part.title}: its info.year is '2020': .*; correct its info.$"
        ):
            TRACKS["localisation"].run(suite, Context(Store(tmp_path), torch.device("cpu"))).check()
    finally:
        registry.saliency._items = before
