"""Made results that pass every check: scores drawn by a seed, cells measured from them as a run does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from subnetbench.bench.core.files import write_bytes, write_json
from subnetbench.bench.detection.cells import Measuring, columns, leaders, measure
from subnetbench.bench.detection.entry import Entry
from subnetbench.bench.stats.splits import Design

ATTACKS = ("fgsm", "cw")
SPLITS = 6
MEASURING = Measuring("half", 0.95, Design(0.5, 2))


def scores(strength: dict[str, float], seed: int = 0, splits: int = SPLITS, images: int = 40) -> pd.DataFrame:
    """Normal scores; those of an attack's images lie ``strength`` higher, less where it was not fitted on.

    Halves take turns: what one split evaluates fitted the other.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for split in range(splits):
        for fit_on in strength:
            for test_on in strength:
                kinds = {"adversarial": strength[test_on] * (1 if fit_on == test_on else 0.6), "clean": 0.0}
                if fit_on == test_on:
                    kinds["noise"] = 0.3
                for kind, shift in kinds.items():
                    frames.append(
                        pd.DataFrame(
                            {
                                "gate": np.int16(-1),
                                "split": np.int32(split),
                                "fit_on": fit_on,
                                "test_on": test_on,
                                "kind": kind,
                                "image": np.arange(images, dtype=np.int32) + images * (split % 2),
                                "score": rng.normal(shift, 1, images),
                            }
                        )
                    )
    return pd.concat(frames, ignore_index=True)


def entry(
    label: str,
    table: pd.DataFrame,
    *,
    control: bool = False,
    suite: str = "made",
    protocol: str = "strict",
    **detector: Any,
) -> dict[str, Any]:
    """An entry whose cells are those of the scores."""
    splits = sorted(table["split"].unique())
    fits = [
        {"fit_on": a, "gate": -1, "split": int(s), "n_fit": 40, "candidate": 0, "remark": ""}
        for a in ATTACKS
        for s in splits
    ]
    cells = measure(table, fits, ATTACKS, MEASURING)
    attack = {
        "library": "foolbox",
        "version": "3",
        "preset": "standard",
        "parameters": {"epsilon": 0.2},
        "threat": "budget",
        "norm": "Linf",
        "images": 40,
        "clean_correct": 40,
        "successes": 39,
        "seconds_per_image": 0.001,
        "l2_median": 1.5,
        "linf_median": 0.2,
        "margin_median": 0.1,
        "survives_8bit": 0.9,
    }
    return {
        "schema": 1,
        "suite": {"name": suite, "title": "made by a test", "limit": None},
        "dataset": {"name": "digits", "note": "", "sha256": "d" * 64, "train_images": 80, "attacked_images": 80},
        "model": {"name": "digits-cnn", "parameters": {}, "sha256": "e" * 64, "accuracy": 0.9, "weights": {}},
        "protocol": {"name": protocol, "ties": "half", "splits": len(splits)},
        "detector": {
            "label": label,
            "name": "made",
            "control": control,
            "title": "A paper",
            "year": 2026,
            "url": "https://example.org/paper",
            "needs": ["clean"],
            "formula": "f(x)",
            "candidates": [{}],
            "notes": "",
            **detector,
        },
        "attacks": {name: {"name": name, **attack} for name in ATTACKS},
        "subnets": None,
        "seed": 0,
        "statistics": {"level": 0.95},
        "cells": cells,
        "cost": {"seconds_per_image": 0.002},
        "versions": {"subnetbench": "0", "torch": "2"},
    }


def write_entry(folder: Path, content: dict[str, Any], table: pd.DataFrame) -> Path:
    """An entry's content, whatever it holds, as a run writes it, with its scores beside it; returns its file."""
    place = f"{content['protocol']['name']}/{content['detector']['label']}"
    blob, file = Entry.packed(table), f"scores/{place}.parquet"
    write_bytes(folder / file, blob)
    content["scores"] = {"file": file, "sha256": hashlib.sha256(blob).hexdigest()}
    write_json(folder / "entries" / f"{place}.json", content)
    return folder / "entries" / f"{place}.json"


def made_results(folder: Path, strengths: dict[str, tuple[float, float]], controls: Sequence[str] = ()) -> Path:
    """A suite ``made`` with a detector for each label, whose scores lie so much higher on FGSM's and CW's images."""
    home = folder / "made"
    detectors = {}
    for place, (label, (fgsm, cw)) in enumerate(strengths.items()):
        table = scores({"fgsm": fgsm, "cw": cw}, seed=place)
        one = entry(label, table, control=label in controls)
        write_entry(home, one, table)
        detectors[label] = columns(one["cells"], [(-1, split) for split in range(SPLITS)])
    pairs = [("fgsm", "fgsm"), ("cw", "cw"), ("fgsm", "cw")]
    write_json(
        home / "comparisons" / "strict.json",
        {"suite": "made", "protocol": "strict", "comparisons": [], "best": leaders(detectors, pairs, MEASURING)},
    )
    return folder


def many(folder: Path, count: int) -> Path:
    """A suite ``many`` with so many detectors, each with a file of scores of its own; every tenth is a control."""
    home = folder / "many"
    table = scores({"fgsm": 2.0, "cw": 1.0})
    first = entry("detector-0000", table, suite="many")
    path = write_entry(home, first, table)
    text, blob = path.read_text(encoding="utf-8"), (home / first["scores"]["file"]).read_bytes()
    for place in range(count):
        label = f"detector-{place:04}"
        one = json.loads(text.replace("detector-0000", label))
        one["detector"] |= {"control": place % 10 == 9, "year": 1950 + place % 70}
        path.with_name(f"{label}.json").write_text(json.dumps(one), encoding="utf-8")
        (home / one["scores"]["file"]).write_bytes(blob)
    return folder


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a JSON file in place; NaN is written as Python writes it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


#: What every entry of the localisation track states: the rest is a test's own.
MAPS: dict[str, Any] = {
    "schema": 1,
    "suite": {"name": "boxes"},
    "dataset": {
        "name": "tiny",
        "sha256": "d" * 64,
        "size": 64,
        "boxes_sha256": "b" * 64,
        "left_out": {"test": 0, "train": 0},
    },
    "seed": 0,
    "versions": {},
}
