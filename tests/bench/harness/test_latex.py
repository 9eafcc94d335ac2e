"""Tables for papers: LaTeX that compiles, with the published figure beside ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from subnetbench.bench.detection.entry import read_lean
from subnetbench.bench.detection.latex import table2
from subnetbench.bench.detection.published import PUBLISHED_ATTACKS, PUBLISHED_DETECTORS, left_out
from subnetbench.bench.detection.tables import published
from subnetbench.bench.harness.latex import Tex, escaped, file_text
from subnetbench.bench.localisation.entry import read_entries
from subnetbench.bench.localisation.latex import table1

from ..cli.test_commands import call

RESULTS = Path(__file__).resolve().parents[3] / "results"
HOSTILE = r"[5pt] a\input{x} & 100% $x$ #1 ~^_{}<>"

MADE = Tex(
    "made",
    "50% of it",
    "detector",
    [("seen", "FGSM", "ours"), ("seen", "FGSM", "publ."), ("unknown", "CW", "ours")],
    {"a suite_1": [("kd-pu", {("seen", "FGSM", "ours"): "87.2", ("unknown", "CW", "ours"): "50.0"}), (HOSTILE, {})]},
)


def rows(text: str) -> list[str]:
    """The rows of every tabular, rules left out."""
    inside = re.findall(r"\\begin\{tabular\}\{[^\n]*\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    lines = [line for part in inside for line in part.splitlines() if line]
    return [line for line in lines if not re.match(r"\\(top|mid|bottom|cmid)rule", line)]


def cells(row: str) -> int:
    """The columns that a row takes."""
    assert row.endswith(r" \\")
    parts = re.split(r"(?<!\\)&", row)
    return sum(int(span[1]) if (span := re.search(r"\\multicolumn\{(\d+)\}", part)) else 1 for part in parts)


def assert_compiles(text: str, folder: Path) -> None:
    """By pdflatex where it is installed; always: environments close, braces match, rows are as wide as the table."""
    assert text.count(r"\begin{") == text.count(r"\end{")
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    for spec, body in re.findall(r"\\begin\{tabular\}\{l\*\{(\d+)\}\{r\}\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        assert {cells(row) for row in rows(rf"\begin{{tabular}}{{x}}{body}\end{{tabular}}")} == {1 + int(spec)}
    if shutil.which("pdflatex"):
        page = rf"\documentclass{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{text}\end{{document}}"
        (folder / "page.tex").write_text(page, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
        assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
        log = (folder / "page.log").read_text(encoding="latin-1")
        assert "Overfull" not in log
        assert "Float too large" not in log


def test_a_table_has_rules_of_booktabs_and_a_dash_where_there_is_no_figure(tmp_path):
    text = file_text([MADE])
    assert_compiles(text, tmp_path)
    assert r"% \usepackage{booktabs}" in text
    assert r"\caption{50\% of it}" in text
    assert r" & \multicolumn{2}{c}{seen} & unknown \\" in text
    assert r"\cmidrule(lr){2-3}" in text
    assert r"kd-pu & 87.2 & -- & 50.0 \\" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]


def test_a_wide_table_is_two_below_each_other_where_a_page_has_room():
    columns = [(kind, name, of) for kind in ("seen", "unknown") for name in "abc" for of in ("ours", "publ.")]
    short, long = (Tex("made", "c", "detector", columns, {"s": [("lid", {})] * count}) for count in (3, 30))
    assert re.findall(r"l\*\{(\d+)\}", file_text([short])) == ["6", "6"]
    assert re.findall(r"l\*\{(\d+)\}", file_text([long])) == ["12"]
    narrow = Tex("made", "c", "detector", columns[::2], {"s": [("lid", {})]})
    assert re.findall(r"l\*\{(\d+)\}", file_text([narrow])) == ["6"]
    assert "ours" not in file_text([narrow])  # nothing stands beside it


def test_no_table_is_wider_than_its_page():
    assert r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}" in file_text([MADE])
    assert r"% \usepackage{graphicx}" in file_text([MADE])


def test_no_text_of_others_is_a_command(tmp_path):
    assert escaped(HOSTILE).startswith(r"{[}5pt{]} a\textbackslash{}input\{x\} \& 100\% \$x\$ \#1 \textasciitilde{}")
    assert r"\input{x}" not in file_text([MADE])


@pytest.mark.parametrize("suite", ["cifar10-table2", "cifar10-sensitivity", "cifar100-all"])
def test_the_table_of_published_figures_has_those_of_latex_and_names_the_rest(suite):
    entries = read_lean(RESULTS / suite)
    latex = {
        (table.label.removeprefix("table2-"), label.removesuffix(" (control)"), *path[:2])
        for table in table2(entries)
        for rows_of_group in table.groups.values()
        for label, figures in rows_of_group
        for path in figures
        if path[2] == "publ." and (*path[:2], "ours") in figures
    }
    frame = published(entries)
    kinds = frame["attack"].str.split(" ", n=1, expand=True)
    names = kinds[1].map(lambda label: PUBLISHED_ATTACKS[entries[0].attacks[label].name])
    assert set(zip(frame["protocol"], frame["detector"], kinds[0], names, strict=True)) == latex
    said = " ".join(left_out(entries))
    known = {entry.label for entry in entries if entry.detector.name in PUBLISHED_DETECTORS}
    for label in known - set(frame["detector"]):
        assert label in said
    assert ("cw-once" in said) == ("cw-once" in entries[0].attacks)


def test_table_2_has_the_published_figures_beside_ours(tmp_path):
    entries = read_lean(RESULTS / "cifar10-table2")
    made, lee2018 = table2(entries)
    text = file_text([made, lee2018])
    entries = [entry for entry in entries if entry.protocol_name == "strict"]
    assert_compiles(text, tmp_path)
    assert len(made.columns) == 14
    assert made.columns[:2] == [("seen", "FGSM", "ours"), ("seen", "FGSM", "publ.")]
    ((_, listed),) = made.groups.items()
    figures = dict(listed)
    assert len(figures) == len(entries)
    cell = next(e for e in entries if e.label == "kd-pu").by_pair()["deepfool", "deepfool"]
    spread = f"{50 * (cell.high - cell.low):.1f}"
    assert figures["kd-pu"]["seen", "DeepFool", "ours"] == rf"{100 * cell.auroc:.1f}$_{{\pm {spread}}}$"
    assert "as a subscript half the width of the 95% interval" in made.caption
    bold = [text for of_row in figures.values() for text in of_row.values() if text.startswith(r"\textbf{")]
    assert bold
    assert all(re.fullmatch(r"\\textbf\{\d+\.\d\*?\}\$_\{(\\pm |[-+])\d+\.\d\}\$", text) for text in bold)
    assert figures["kd-pu"]["seen", "DeepFool", "publ."] == "81.1"
    assert ("seen", "DeepFool", "publ.") not in figures["subnet-mahalanobis-top3"]


def test_several_suites_are_one_table_of_the_papers_detectors(tmp_path):
    folders = [RESULTS / name for name in ("cifar10-table2", "svhn10k-table2", "digits")]
    strict, lee2018 = table2([entry for folder in folders for entry in read_lean(folder)])
    assert_compiles(file_text([strict, lee2018]), tmp_path)
    assert [heading.split(":")[0] for heading in strict.groups] == ["cifar10-table2", "svhn10k-table2"]
    assert all(len(listed) == 4 for listed in strict.groups.values())
    assert [heading.split(":")[0] for heading in lee2018.groups] == ["cifar10-table2"]


@pytest.mark.parametrize("suite", ["digits", "cifar10-grid", "cifar10-adaptive", "cifar10-timm-resnet18d"])
def test_a_suite_of_any_size_compiles_onto_its_page(suite, tmp_path):
    assert_compiles(file_text(table2(read_lean(RESULTS / suite))), tmp_path)


def test_table_1_has_whole_net_and_subnet_with_intervals(tmp_path):
    entries = read_entries(RESULTS / "wsol-tiny-nets")
    (made,) = table1(entries)
    assert_compiles(file_text([made]), tmp_path)
    assert made.columns == [("whole net", "ours"), ("subnet", "ours")]
    assert len(made.groups) == 3
    at = "imagenet", "alexnet"
    moved = [
        e.model_copy(
            update={
                "dataset": e.dataset.model_copy(update={"name": at[0]}),
                "model": e.model.model_copy(update={"name": at[1]}),
            }
        )
        for e in entries
        if e.model.label == "alexnet64"
    ]
    (beside,) = table1(moved)
    ((_, listed),) = beside.groups.items()
    assert dict(listed)["saliency"]["subnet", "publ."] == "44.8"
    assert "publ.: Wang, Hu and Su, Table 1." in beside.caption


@pytest.fixture
def copied(tmp_path) -> Path:
    for name, home in (("cifar100-all", "entries"), ("wsol-efficientnet", "localisation")):
        shutil.copytree(RESULTS / name / home, tmp_path / name / home)
        shutil.copy(RESULTS / name / "suite.json", tmp_path / name)
    return tmp_path


def test_the_command_writes_them_for_each_suite_and_for_all(copied):
    done = call("tables", copied, "--format", "latex")
    assert done.code == 0
    assert f"{copied} (tables/table1.tex, tables/table2.tex): 2 tables written" in done.out
    assert f"{copied / 'cifar100-all'} (tables/table2.tex): 1 table written" in done.out
    names = sorted(path.relative_to(copied).as_posix() for path in copied.rglob("*.tex"))
    assert names == [
        "cifar100-all/tables/table2.tex",
        "tables/table1.tex",
        "tables/table2.tex",
        "wsol-efficientnet/tables/table1.tex",
    ]
    assert call("tables", copied, "--format", "latex", "--check").code == 0
    (copied / "tables" / "table1.tex").write_text("")
    assert "table1.tex is not what its entries give" in call("tables", copied, "--format", "latex", "--check").err
