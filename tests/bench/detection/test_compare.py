"""`compare`: differences and both ROC curves, in the terminal and as a picture."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from scipy.integrate import trapezoid
from subnetbench.bench.cli import console, results
from subnetbench.bench.detection.compare import Compared, compare_detectors
from subnetbench.bench.detection.verdicts import p_text
from subnetbench.bench.figures.pair import terminal_picture
from subnetbench.bench.figures.roc import GRID

from ..cli.test_commands import call
from ..conftest import Tiny


@pytest.fixture(scope="module")
def compared(tiny: Tiny) -> list[Compared]:
    return compare_detectors(tiny.folder, "mahalanobis", "max-softmax")


def test_the_area_under_each_curve_is_the_stated_auroc(compared: list[Compared]) -> None:
    strict = next(each for each in compared if each.protocol == "strict")
    for attack in strict.attacks:
        for which, curve in enumerate(strict.curves(attack)):
            assert curve is not None
            # The grid has 201 rates: a little coarser than the curve.
            assert trapezoid(curve, GRID) == pytest.approx(strict.values(which)[attack, attack], abs=5e-3)


def test_every_protocol_is_compared(compared: list[Compared]) -> None:
    assert {each.protocol for each in compared} == {"strict", "lee2018"}


def test_a_picture_in_characters_shows_both_where_they_differ_most(compared: list[Compared]) -> None:
    strict = next(each for each in compared if each.protocol == "strict")
    seen = {r["test_on"]: abs(r["difference"]) for r in strict.records if r["fit_on"] == r["test_on"]}
    assert strict.furthest == max(seen, key=lambda attack: seen[attack])
    text = terminal_picture(strict)
    assert f"ROC on {strict.furthest} (seen), where they differ most, protocol strict" in text
    for which, label in enumerate(strict.labels):
        assert f"{label} {100 * strict.values(which)[strict.furthest, strict.furthest]:.1f}" in text
    assert "+" in text
    assert re.search("[⠁-⣿]", text)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_sentence_counts_the_columns_of_table_2_with_the_strict_protocol_first(
    tiny: Tiny, compared: list[Compared]
) -> None:
    said = call("compare", "mahalanobis", "max-softmax", "--results", tiny.folder)
    pattern = (
        r"mahalanobis is better than max-softmax in (\d), worse in (\d) and not separable from it in (\d) of the "
        r"3 columns of Table 2 \(protocol (\w+)\)\."
    )
    sentences = [re.fullmatch(pattern, line) for line in said.out.splitlines()[:2]]
    for which, (sentence, protocol) in enumerate(zip(sentences, ("strict", "lee2018"), strict=True)):
        assert sentence is not None
        verdicts = [record["verdict"] for record in compared[which].columns]
        wanted = [verdicts.count(verdict) for verdict in ("better", "worse", "not separable")]
        assert [int(sentence[k]) for k in (1, 2, 3)] == wanted
        assert (sum(wanted), sentence[4], compared[which].protocol) == (3, protocol, protocol)
    titles = [record["attack"] for record in compared[0].rows]
    assert titles == ["seen fgsm", "seen bim", "unknown bim"]
    assert "ROC on" not in said.out
    every = call("compare", "mahalanobis", "max-softmax", "--results", tiny.folder, "--all").out
    assert "ROC on" in every
    assert len(every.splitlines()) > 2 * len(said.out.splitlines())


def test_no_p_is_printed_as_nought() -> None:
    assert [p_text(p) for p in (0.0, 0.00099, 0.001, 0.0126, 1.0)] == ["<0.001", "<0.001", "0.001", "0.013", "1.000"]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_plot_draws_a_panel_for_each_seen_attack_of_each_protocol(tiny: Tiny, tmp_path: Path, kind: str) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "new" / f"roc.v1.{kind}"
    said = call("compare", "mahalanobis", "lid", "--results", tiny.folder, "--plot", file)
    assert said.code == 0, said.err
    assert f"Picture   {file}" in said.out
    assert "mahalanobis minus lid, AUROC in points, protocol strict" in said.out
    blob = file.read_bytes()
    assert blob.startswith(b"\x89PNG" if kind == "png" else b"<?xml")
    if kind == "svg":
        assert blob.count(b'<g id="axes_') == 4
    assert call("compare", "mahalanobis", "lid", "--results", tiny.folder, "--plot", file).code == 0
    assert file.read_bytes() == blob


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (("lid", "lid"), "'lid' was given twice; name two different detectors."),
        (("lid", "lidd"), "There is no entry for 'lidd'"),
        (("lid", "mahalanobis", "--plot", "roc.gif"), "--plot roc.gif is neither a .png nor a .svg nor a .pdf"),
    ],
)
def test_a_mistake_is_one_sentence(tiny: Tiny, words: tuple[str, ...], mistake: str) -> None:
    assert mistake in call("compare", *words, "--results", tiny.folder).mistake


def test_several_suites_are_told_apart(tiny: Tiny, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(tiny.folder, tmp_path / name)
    for path in (tmp_path / "two" / "entries").rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"name": "tiny"', '"name": "two"'), encoding="utf-8")
    said = call("compare", "mahalanobis", "max-softmax", "--results", tmp_path).mistake
    assert "holds several suites (tiny, two)" in said


def test_an_output_without_unicode_gets_tables_and_no_picture(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(console, "out", Console(file=plain, width=200))
    results.compare.__wrapped__("lid", "mahalanobis", tiny.folder, everything=True)  # type: ignore[attr-defined]
    plain.flush()
    text = plain.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "lid minus mahalanobis" in text
    assert "ROC on" not in text
