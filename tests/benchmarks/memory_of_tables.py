"""Does memory stay bounded with many detectors and attacks? Peak memory of tables and bootstrap on simulated results.

    python tests/benchmarks/memory_of_tables.py [--detectors 100] [--attacks 20] [--splits 30] [--images 1000]

Every part runs in a process of its own, with a quarter, a half and all of the detectors: what is printed is the most
memory that the part added to what the process had after its imports, in MB. A part that holds one entry at a time adds
as much for all as for a quarter.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve()


def made_board() -> Any:
    """The tests' own made results."""
    spec = importlib.util.spec_from_file_location("made_board", HERE.parents[1] / "bench" / "made_board.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_cells(attacks: list[str], splits: int, images: int, calibrated: bool) -> list[dict[str, Any]]:
    """Cells with every list that a run writes; figures are random, so that nothing is shared in memory."""
    rng = np.random.default_rng(0)

    def shares() -> list[float]:
        return [round(float(value), 6) for value in rng.random(splits)]

    cells = []
    for fit_on in attacks:
        for test_on in attacks:
            cell = {"fit_on": fit_on, "test_on": test_on, "seen": fit_on == test_on, "remark": "", "images": images}
            cell |= {"n": [images // 2] * splits, "n_fit": [images // 2] * splits, "candidates": [0] * splits}
            lists = ("auroc", "advantage", "fpr95", "noise", "noise_advantage")
            points = ("fpr1", "fpr5", "fpr10", "tpr1", "tpr5", "tpr10", "fpr5_advantage", "tpr5_advantage")
            cell |= {f"{name}_by_split": shares() for name in (*lists, *(points if calibrated else ()))}
            cell |= {"auroc": 0.8, "low": 0.7, "high": 0.9, "fpr95": 0.5, "aupr": 0.8, "accuracy": 0.7}
            cell |= {"split_sd": 0.01, "noise_auroc": 0.5, "gate_sd": None}
            if calibrated:
                cell |= {"fpr5": 0.05, "tpr5": 0.4, "fpr5_calibration": 0.01, "tpr5_calibration": 0.01}
            cells.append(cell)
    return cells


def write(folder: Path, detectors: int, attacks: int, splits: int, images: int) -> None:
    """One suite's results with an entry for each detector, without scores."""
    from subnetbench.bench.core.files import write_json
    from subnetbench.bench.detection.entry import Entry

    names = [f"attack-{number:02d}" for number in range(attacks)]
    board = made_board()
    one = board.entry("made", board.scores({"fgsm": 1.0, "cw": 2.0}, images=4))
    one["attacks"] = {name: one["attacks"]["fgsm"] | {"name": name} for name in names}
    one["protocol"] |= {"calibration": images}
    one["cells"] = made_cells(names, splits, images, calibrated=True)
    Entry.model_validate(one)
    first = folder / "entries" / "strict" / "made.json"
    write_json(first, one)
    text = first.read_text(encoding="utf-8")
    for number in range(detectors):
        label = f"detector-{number:03d}"
        first.with_name(f"{label}.json").write_text(text.replace('"label": "made"', f'"label": "{label}"'))
    first.unlink()


# -- the parts --------------------------------------------------------------------------------------------------------


def tables(folder: Path, **_: int) -> None:
    """All tables of the report, from entries on disk."""
    from subnetbench.bench.detection.tables import report
    from subnetbench.bench.harness.tables import render

    render(report(folder))


def reading(folder: Path, **_: int) -> None:
    """The frame of all results, as `load_results` returns it."""
    from subnetbench.bench.tracks import load_results

    load_results(folder)


def comparisons(folder: Path, detectors: int, attacks: int, splits: int, images: int) -> None:
    """The columns of all detectors, as a run keeps them, and the test of all against the best."""
    from subnetbench.bench.detection.cells import columns, leaders

    names = [f"attack-{number:02d}" for number in range(attacks)]
    cells = made_cells(names, splits, images, calibrated=False)
    places = [(-1, split) for split in range(splits)]
    made = {f"detector-{number:03d}": columns(cells, places) for number in range(detectors)}
    pairs = [(names[0], name) for name in names] + [(name, name) for name in names]
    leaders(made, pairs, made_board().MEASURING)


def bootstrap(folder: Path, detectors: int, attacks: int, splits: int, images: int) -> None:
    """Bootstrapped AUROCs of every detector and attack, resamples shared; intervals are kept."""
    from subnetbench.bench.stats.inference import bootstrap_auroc, interval, resample_counts

    rng = np.random.default_rng(0)
    counts = resample_counts(images, 2000, rng)
    unit = np.arange(images)
    for _ in range(detectors * attacks // 20):  # every twentieth: the others differ in nothing that memory sees
        interval(bootstrap_auroc(rng.normal(1, 1, images), unit, rng.normal(0, 1, images), unit, counts))


PARTS = {"tables": tables, "reading": reading, "comparisons": comparisons, "bootstrap": bootstrap}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)


def measure(part: str, folder: Path, sizes: dict[str, int]) -> None:
    """In a process of its own: import, measure, run, measure."""
    import subnetbench.bench.detection.tables
    import subnetbench.bench.harness.tables
    import subnetbench.bench.tracks  # noqa: F401 (so that imports are not counted)

    before = peak_mb()
    PARTS[part](folder, **sizes)
    print(json.dumps(peak_mb() - before))


def added(part: str, folder: Path, sizes: dict[str, int]) -> float:
    command = [sys.executable, str(HERE), "--part", part, "--folder", str(folder)]
    command += [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("detectors", 100), ("attacks", 20), ("splits", 30), ("images", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("part", "folder"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    part, given = options.pop("part"), options.pop("folder")
    if part:
        measure(part, Path(given), options)
        return
    counts = [max(1, options["detectors"] // share) for share in (4, 2, 1)]
    print(f"{'MB added with':14}" + "".join(f"{count:>8} detectors" for count in counts))
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(count) / "made" for count in counts]
        for count, place in zip(counts, places, strict=True):
            write(place, **options | {"detectors": count})
        size = sum(path.stat().st_size for path in places[-1].rglob("*.json")) / 1e6
        for name in PARTS:
            figures = [
                added(name, place, options | {"detectors": count}) for count, place in zip(counts, places, strict=True)
            ]
            print(f"{name:14}" + "".join(f"{figure:18.0f}" for figure in figures), flush=True)
    print(f"The entries of all detectors are {size:.0f} MB of JSON, {options['attacks']} x {options['attacks']} cells.")


if __name__ == "__main__":
    main()
