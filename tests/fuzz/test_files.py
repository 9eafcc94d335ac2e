"""Any file that a command reads may be damaged or made by a stranger: the answer is a result or one sentence.

Every test changes a good file at random, the same way in every session; `--fuzz N` tries N other changes of each kind.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import shutil
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from subnetbench.bench.board.boards import read_results
from subnetbench.bench.board.build import site_files
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.data.npz import from_npz
from subnetbench.bench.detection.compare import compare_detectors
from subnetbench.bench.detection.entry import Entry
from subnetbench.bench.detection.tables import report
from subnetbench.bench.exchange.archive import Archive
from subnetbench.bench.exchange.manifest import read_manifest
from subnetbench.bench.exchange.verify import against_base, all_files
from subnetbench.bench.figures.sensitivity import read_points
from subnetbench.bench.harness.audit import audited
from subnetbench.bench.harness.tables import render
from subnetbench.bench.models.cifar import digits_cnn
from subnetbench.bench.models.weights import load_weights
from subnetbench.bench.tracks import TRACKS, load_suite

from ..bench.made_board import entry, made_results, scores, write_entry
from ..bench.made_suite import TINY

Explore = Callable[[int, st.SearchStrategy[Any], Callable[[Any], None]], None]


@pytest.fixture
def explore(request: pytest.FixtureRequest) -> Explore:
    """Tries so many changes, or as many as --fuzz says."""
    wanted = request.config.getoption("--fuzz")

    def run(count: int, changes: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
        quiet = settings(
            max_examples=wanted or count,
            derandomize=not wanted,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        quiet(given(changes)(lambda change: check(change)))()

    return run


DEEP: Any = 1
for _ in range(300):
    DEEP = [DEEP]

#: What stands in place of a value.
STRANGE = st.sampled_from(
    [
        *(None, "", "x", "../../../PWN", "\x1b[2J\n::error::", "=1+1", "y" * 5000, "/etc/hostname"),
        *(-1, 0, 2, 0.5, 1e308, -1e308, 10**400, float("nan"), True, [], {}, [None], {"x": {}}, DEEP),
    ]
)
PLACE = st.integers(0, 10**9)


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from places(value, (*above, key))


def changed(content: Any, place: int, what: str, value: Any) -> Any:
    """The content with one value lost, replaced or added."""
    content = copy.deepcopy(content)
    known = list(places(content))
    *above, last = known[place % len(known)]
    inner = content
    for key in above:
        inner = inner[key]
    if what == "lost":
        del inner[last]
    elif what == "added" and isinstance(inner, dict):
        inner[str(value)[:50]] = value
    else:
        inner[last] = value
    return content


def ends_well(work: Callable[[], Any]) -> bool:
    """Whether it ended without an error; if with one, then in one sentence."""
    try:
        work()
    except UserError as error:
        said = str(error)
    else:
        return True
    assert said
    assert "\n" not in said
    return False


def damaged(blob: bytes, place: int, what: str) -> bytes:
    """The bytes with one flipped, cut off, or doubled in the middle."""
    at = place % max(1, len(blob))
    if what == "cut":
        return blob[:at]
    if what == "doubled":
        return blob[:at] + blob[at // 2 :]
    return blob[:at] + bytes([blob[at] ^ (1 << place % 8)]) + blob[at + 1 :]


CONTENT = st.tuples(PLACE, st.sampled_from(["lost", "replaced", "replaced", "added"]), STRANGE)
BYTES = st.tuples(PLACE, st.sampled_from(["flipped", "flipped", "cut", "doubled"]))

REPORT = {
    "active": {"conv1": 0.5},
    "active_total": 0.5,
    "epoch": 3,
    "images": 60,
    "full_balanced_accuracy": 0.9,
    "subnet_balanced_accuracy": 0.9,
    "full_bce": 0.1,
    "subnet_bce": 0.2,
    "tau_met": True,
}
POINT = {
    **{"position": "units", "l1": "sum", "gamma": 0.1, "active": 0.5, "tau_met": 1, "collapsed": 0, "subnets": 2},
    **{"balanced_accuracy": 0.9, "attack": "fgsm", "difference": 0.1, "low": 0.0, "high": 0.2},
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with every kind of file; two detectors under one protocol."""
    folder = made_results(tmp_path_factory.mktemp("good"), {"good": (2.0, 1.0), "poor": (1.0, 0.5)}) / "made"
    table = scores({"fgsm": 2.0, "cw": 1.0}, splits=1, images=20)
    write_entry(folder, entry("third", table), table)
    beside = {
        "subnets.json": {"suite": "made", "sets": [{"report": [REPORT, REPORT], "seconds": 1.0}]},
        "sensitivity.json": {"suite": "made", "points": [POINT]},
        "suite.json": tomllib.loads(TINY),
    }
    for name, content in beside.items():
        (folder / name).write_text(json.dumps(content))
    claim = {"first": "good", "second": "poor", "fit_on": "fgsm", "test_on": "fgsm", "difference": 0.1}
    family = json.loads((folder / "comparisons" / "strict.json").read_text())
    family["comparisons"] = [claim | {"low": 0.0, "high": 0.2, "p": 0.01, "p_holm": 0.02, "verdict": "better"}]
    (folder / "comparisons" / "strict.json").write_text(json.dumps(family))
    return folder


def read_by_all(folder: Path, base: Path) -> None:
    """What `tables`, `plot`, `compare`, `leaderboard` and `verify` do with results: each ends well or in a sentence."""

    def tables() -> None:
        for text in render(report(folder)).values():
            assert " nan" not in text.lower()
            assert "\x1b" not in text

    def site() -> None:
        for name, blob in site_files(read_results(folder)):
            assert b"\x1b" not in blob or name.endswith((".html", ".parquet"))

    def audit() -> None:
        for path in all_files(folder):
            audited(TRACKS["detection"], path, path.name)
        against_base(folder, base)

    commands = (
        tables,
        site,
        audit,
        lambda: compare_detectors(folder, "good", "third"),
        lambda: read_points(folder / "sensitivity.json"),
    )
    for command in commands:
        ends_well(command)
    assert not list(folder.parent.parent.rglob("PWN*"))


@pytest.mark.parametrize(
    "name",
    ["entries/strict/third.json", "comparisons/strict.json", "subnets.json", "sensitivity.json", "suite.json"],
)
def test_json_of_any_content(name: str, good: Path, tmp_path: Path, explore: Explore) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "r" / "made"))
    content, blob = json.loads((good / name).read_text()), (good / name).read_bytes()

    def check(change: Any) -> None:
        how, details = change
        if how == "content":
            (folder / name).write_text(json.dumps(changed(content, *details)))
        else:
            (folder / name).write_bytes(damaged(blob, *details))
        read_by_all(folder, good)

    kinds = st.one_of(st.tuples(st.just("content"), CONTENT), st.tuples(st.just("bytes"), BYTES))
    explore(10 if name.startswith("entries") else 4, kinds, check)


def test_scores_of_any_content(good: Path, tmp_path: Path, explore: Explore) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "r" / "made"))
    parquet, file = folder / "scores" / "strict" / "third.parquet", folder / "entries" / "strict" / "third.json"
    blob, stated = parquet.read_bytes(), json.loads(file.read_text())
    frame = Entry.unpacked(pd.read_parquet(io.BytesIO(blob)))

    def check(change: Any) -> None:
        how, details = change
        if how == "bytes":
            new = damaged(blob, *details)
        else:
            column, values = details
            buffer = io.BytesIO()
            frame.assign(**{frame.columns[column % frame.shape[1]]: values}).to_parquet(buffer)
            new = buffer.getvalue()
        parquet.write_bytes(new)
        digest = hashlib.sha256(new).hexdigest()
        file.write_text(json.dumps(stated | {"scores": stated["scores"] | {"sha256": digest}}))
        read_by_all(folder, good)

    values = st.sampled_from([None, "x", "fgsm", -1, 0, 2**62, 0.5, float("nan"), float("inf"), True, b"x"])
    kinds = st.one_of(st.tuples(st.just("bytes"), BYTES), st.tuples(st.just("column"), st.tuples(PLACE, values)))
    explore(8, kinds, check)


def test_suites_of_any_content(tmp_path: Path, explore: Explore) -> None:
    lines = TINY.splitlines()
    given_lines = [number for number, line in enumerate(lines) if " = " in line]
    values = ["", "-1", "1e400", "nan", "[", "[]", "{}", "true", '"x"', '"../x"', '"\\u001b"', "9" * 4000, "1979-05-27"]

    def check(change: Any) -> None:
        how, place, value = change
        if how == "bytes":
            (tmp_path / "x.toml").write_bytes(damaged(TINY.encode(), place, value))
        else:
            number = given_lines[place % len(given_lines)]
            key = lines[number].split(" = ")[0]
            new = [*lines[:number], *([] if value is None else [f"{key} = {value}"]), *lines[number + 1 :]]
            (tmp_path / "x.toml").write_text("\n".join(new))
        ends_well(lambda: load_suite(tmp_path / "x.toml"))

    kinds = st.one_of(
        st.tuples(st.just("line"), PLACE, st.sampled_from([None, *values])),
        BYTES.map(lambda change: ("bytes", *change)),
    )
    explore(60, kinds, check)


def test_data_of_any_content(tmp_path: Path, explore: Explore) -> None:
    rng = np.random.default_rng(0)
    columns = {
        f"{split}_{what}": rng.integers(0, 255, (20, 8, 8, 1), np.uint8) if what == "images" else np.arange(20) % 2
        for split in ("train", "test")
        for what in ("images", "labels")
    }
    np.savez(tmp_path / "good.npz", **columns)
    blob = (tmp_path / "good.npz").read_bytes()

    def read() -> None:
        data = from_npz("x", tmp_path / "x.npz")
        assert data.train.images.dtype == np.uint8
        assert len(data.test) == len(data.test.labels) > 0

    def check(change: Any) -> None:
        how, details = change
        if how == "bytes":
            (tmp_path / "x.npz").write_bytes(damaged(blob, *details))
        else:
            name, array = list(columns)[details[0] % 4], details[1]
            np.savez(tmp_path / "x.npz", **(columns | {name: array}))
        ends_well(read)

    arrays = [np.zeros(0), np.array(1.0), np.zeros((20, 8, 8, 1)), np.zeros((20, 8, 8, 2), np.uint8), np.arange(20) - 1]
    arrays += [np.zeros((0, 8, 8, 1), np.uint8), np.full(20, 10**15), np.array(["x"] * 20), np.zeros(20, complex)]
    kinds = st.one_of(
        st.tuples(st.just("bytes"), BYTES), st.tuples(st.just("array"), st.tuples(PLACE, st.sampled_from(arrays)))
    )
    explore(80, kinds, check)


def test_weights_of_any_content(tmp_path: Path, explore: Explore) -> None:
    net = digits_cnn()
    tensors = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    blob = safetensors.numpy.save(tensors, metadata={"made": "by a test"})
    head = 8 + int.from_bytes(blob[:8], "little")

    def check(change: Any) -> None:
        place, what = change
        new = damaged(blob[:head], place, what) + blob[head:] if place % 2 else damaged(blob, place, what)
        (tmp_path / "x.safetensors").write_bytes(new)
        ends_well(lambda: load_weights(digits_cnn(), tmp_path / "x.safetensors"))

    explore(60, BYTES, check)


def test_archives_of_any_content(tmp_path: Path, explore: Explore) -> None:
    image = safetensors.numpy.save({"images": np.zeros((2, 1, 8, 8), np.float32)})
    digest = hashlib.sha256(image).hexdigest()
    chunk = {"file": "sets/000/00000000.safetensors", "sha256": digest, "bytes": len(image), "first": 0, "count": 2}
    attack = {
        "label": "fgsm",
        "attack": "x",
        "library": "x",
        "version": "1",
        "parameters": {},
        "source": "x",
        "seed": 0,
    }
    made = {"name": "x", "sha256": "0" * 64}
    manifest = {
        **{"format": 1, "suite": "tiny", "limit": None, "seed": 0, "versions": {}, "model": made},
        "dataset": {**made, "ids_sha256": "0" * 64, "count": 2, "shape": [1, 8, 8]},
        "sets": [{**attack, "images_sha256": "0" * 64, "chunks": [{**chunk, "seconds": 1.0}]}],
    }

    def packed(content: Any) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("manifest.json", json.dumps(content))
            file.writestr(chunk["file"], image)
        return buffer.getvalue()

    def read() -> None:
        with Archive(tmp_path / "x.zip") as archive:
            for chunk in (chunk for attacked in read_manifest(archive).sets for chunk in attacked.chunks):
                archive.read(chunk.file, chunk.bytes)
                assert chunk.seconds < 1e9

    def check(change: Any) -> None:
        how, details = change
        blob = damaged(packed(manifest), *details) if how == "bytes" else packed(changed(manifest, *details))
        (tmp_path / "x.zip").write_bytes(blob)
        ends_well(read)

    kinds = st.one_of(st.tuples(st.just("content"), CONTENT), st.tuples(st.just("bytes"), BYTES))
    explore(80, kinds, check)
