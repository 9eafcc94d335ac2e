"""The figures in README are those of the committed results."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from subnetbench.bench.detection.entry import read_entries

ROOT = Path(__file__).resolve().parents[1]

#: Fitted on, tested on: the columns of the two halves of the folded table; the noise is that of the first attack.
COLUMNS = (
    (("fgsm", "fgsm"), ("bim", "bim"), ("deepfool", "deepfool"), ("cw", "cw")),
    (("fgsm", "bim"), ("fgsm", "deepfool"), ("fgsm", "cw"), ("fgsm", "noise")),
)


def test_the_table_in_readme_is_that_of_the_committed_run() -> None:
    entries = {e.label: e.by_pair() for e in read_entries(ROOT / "results" / "digits") if e.protocol_name == "strict"}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert max(map(len, re.findall(r"^[┏┃┡│└].*$", text, re.MULTILINE))) <= 80
    assert "suite digits, data digits, net digits-cnn (accuracy 99.2%), protocol strict\n" in text
    rows = re.findall(r"^│ ([a-z0-9-]+)(?: \(control\))? +│(.*[0-9].*)│$", text, re.MULTILINE)
    assert {label for label, _ in rows} == entries.keys()
    with (ROOT / "results" / "digits" / "tables" / "table2.csv").open(newline="", encoding="utf-8") as lines:
        order = [row["detector"].split()[0] for row in csv.DictReader(lines) if row["protocol"] == "strict"]
    assert [label for label, _ in rows] == order * 2
    for number, (label, cells) in enumerate(rows):
        half = COLUMNS[number * 2 // len(rows)]
        for (fit_on, test_on), shown in zip(half, cells.split("│"), strict=True):
            if test_on == "noise":
                noise = entries[label][fit_on, fit_on].noise_auroc
                assert noise is not None
                assert shown.strip() == f"{100 * noise:.0f}"
            else:
                auroc = entries[label][fit_on, test_on].auroc
                assert auroc is not None
                assert re.split("[±−+]", shown.strip())[0] == f"{100 * auroc:.1f}"
