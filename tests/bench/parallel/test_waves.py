"""What the driver does with answers, failures and deaths, and that it makes of them what one process makes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from subnetbench.bench import run
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.progress import Silent
from subnetbench.bench.core.store import Store
from subnetbench.bench.harness.context import Context
from subnetbench.bench.harness.task import Task
from subnetbench.bench.parallel import driver as drivers
from subnetbench.bench.parallel import worker
from subnetbench.bench.parallel.config import Config
from subnetbench.bench.parallel.driver import Driver
from subnetbench.bench.parallel.marks import DIED, Marks
from subnetbench.bench.parallel.pools import Pool, WorkersDied
from subnetbench.bench.parallel.request import Answer, Changes, Request, Source, Surrounds
from subnetbench.bench.tracks import load_suite

from ..cli.test_commands import call, written
from ..localisation.test_run import SUITE as WSOL
from ..localisation.test_run import draw
from ..made_suite import SMALL
from .conftest import Place
from .test_backends import page

#: Two sets of gates, a detector that uses them, and one choice of a sweep.
GATES = """
[subnets]
l1 = "mean"
gamma = 0.5
images_per_class = 20
batch_size = 4
epochs = 4
learning_rate = 0.05
seeds = 2
allow_collapsed = true

[[detectors]]
name = "subnet-mahalanobis"
parameters = { classes = "predicted" }
candidates = [{}]

[sensitivity]
position = ["units"]
gamma = { mean = [0.6] }
control = "subnet-mahalanobis"
"""

Killer = Callable[[str], bool]


class Here:
    """Workers that are this process; one ``dies`` of a task when asked to, after it has begun."""

    title = "here"

    def __init__(self, dies: Killer = lambda key: False) -> None:
        self.dies = dies
        self.asked: list[list[str]] = []

    def answers(self, work: Callable[[str], str], texts: Sequence[str]) -> Iterator[str]:
        requests = [Request.read(text) for text in texts]
        self.asked.append([request.key for request in requests])
        # As two workers do: when one is killed, another task has begun, too.
        for number, request in enumerate(requests):
            marks = Marks(Path(request.marks))
            if self.dies(request.key):
                for begun in requests[number : number + 2]:
                    marks.begin(begun.key)
                raise WorkersDied
            yield work(texts[number])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    """Every pool is this process."""
    made = Here()

    @contextmanager
    def opening(config: Config, store: Store) -> Iterator[Pool]:
        yield made

    monkeypatch.setattr(drivers, "opened", opening)
    monkeypatch.setattr(worker, "_LAST", {})
    return made


def test_workers_make_the_results_of_one_process_to_the_byte(plain: Place, fresh: Place, here: Here) -> None:
    said = fresh.run("-j", 2)
    assert said.code == 0, said.err
    assert len(here.asked) == 4  # net; attacks; scores; attackers and shift
    assert fresh.content() == plain.content()
    assert not (fresh.folder / "store" / "running").exists()
    again = fresh.run("-j", 2)
    assert "0 artifacts computed" in again.out
    assert len(here.asked) == 4  # nothing is asked for that is there


def test_the_matrix_of_the_documentation_makes_the_same_as_three_shards(plain: Place, fresh: Place) -> None:
    workflow = page("yaml", "matrix")
    commands = re.findall(r"- run: subnetbench run cifar10-table2 --store \S+ --output \S+ (.*)", workflow)
    shards = re.findall(r'"(\d/3)"', workflow)
    assert len(commands) == 2
    assert shards == ["0/3", "1/3", "2/3"]
    (fresh.folder / "store").mkdir(exist_ok=True)
    assert "lacks" in fresh.run("--collect").mistake
    for shard in reversed(shards):
        said = fresh.run(*commands[0].replace("${{ matrix.shard }}", shard).split())
        assert said.code == 0, said.err
    said = fresh.run(*commands[1].split())
    assert said.code == 0, said.err
    assert "0 artifacts computed" in said.out
    assert fresh.content() == plain.content()


def test_a_shard_of_another_suite_or_number_is_refused(fresh: Place) -> None:
    assert fresh.run("--shard", "0/40").code == 0
    assert "another form of the suite" in fresh.run("--shard", "1/40", "--seed", 5).mistake
    assert "one of 40 shards and this is one of 3" in fresh.run("--shard", "0/3").mistake


class Toy:
    """Tasks that only count."""

    def __init__(self, count: int, folder: Path, fails: str = "") -> None:
        self._count, self._folder, self._fails = count, folder, fails
        self._tasks = [Task("toy", str(number), number % 2) for number in range(count)]

    def tasks(self) -> list[Task]:
        return self._tasks

    def prices(self) -> dict[str, float]:
        return {}

    def stored(self, task: Task) -> bool:
        return (self._folder / task.cell).exists()

    def compute(self, task: Task) -> str:
        if task.cell == self._fails:
            return "it was asked to"
        (self._folder / task.cell).touch()
        return ""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Here) -> Callable[..., Context]:
    """Run toy tasks through a driver; the context afterwards."""
    suite = load_suite(written(tmp_path))
    (tmp_path / "done").mkdir()

    def runs(count: int, fails: str = "") -> Context:
        toy = Toy(count, tmp_path / "done", fails)
        monkeypatch.setattr(worker, "tracks_of", lambda _: [type("T", (), {"run": lambda *_: ToyRun(toy)})()])
        context = Context(Store(tmp_path / "store"), torch.device("cpu"), report=Silent())
        source = Source.of(written(tmp_path), suite, Changes())
        Driver(Config(n_jobs=2), source, context, "cpu").fill(suite, [toy])
        return context

    return runs


class ToyRun(Toy):
    def __init__(self, toy: Toy) -> None:
        self.__dict__ |= toy.__dict__

    def check(self) -> None: ...


def test_a_failed_task_is_told_and_the_others_go_on(toys: Callable[..., Context], tmp_path: Path) -> None:
    assert toys(9, fails="3").failed == {"toy 3": "it was asked to"}
    assert len(list((tmp_path / "done").iterdir())) == 8


def test_a_task_whose_worker_dies_once_is_done(toys: Callable[..., Context], here: Here, tmp_path: Path) -> None:
    deaths: list[str] = []
    here.dies = lambda key: not deaths and not deaths.append(key)  # type: ignore[func-returns-value]
    assert toys(9).failed == {}
    assert len(list((tmp_path / "done").iterdir())) == 9


def test_a_task_whose_worker_dies_twice_is_told_and_no_other(
    toys: Callable[..., Context], here: Here, tmp_path: Path
) -> None:
    deaths: list[str] = []

    def dies(key: str) -> bool:
        # Whenever the first task of the second wave is begun.
        if len(here.asked) >= 2 and not deaths:
            deaths.append(key)
        return key in deaths

    here.dies = dies
    assert toys(9).failed == {"toy 1": DIED}
    assert len(list((tmp_path / "done").iterdir())) == 8


def test_workers_that_never_begin_end_the_run(toys: Callable[..., Context], here: Here) -> None:
    here.answers = lambda work, texts: (_ for _ in ()).throw(WorkersDied)  # type: ignore[method-assign]
    with pytest.raises(UserError, match="end before they begin a task"):
        toys(3)


def test_a_thousand_tasks_cost_the_driver_little(toys: Callable[..., Context]) -> None:
    began = time.process_time()
    toys(1000)
    assert (time.process_time() - began) / 1000 < 0.05


def request(file: Path, folder: Path, **changes: Any) -> str:
    source = Source.of(file, load_suite(file), Changes()).model_copy(update=changes)
    marks = Marks.new(Store(folder / "store"))
    surrounds = Surrounds(source=source, store=str(folder / "store"), device="cpu")
    return Request(surrounds=surrounds, marks=str(marks.folder), key="0" * 12).text


def test_a_worker_with_another_suite_or_version_refuses_by_name(tmp_path: Path) -> None:
    file = written(tmp_path)
    mistake = Answer.read(worker.perform(request(file, tmp_path, fingerprint="0" * 16))).mistake
    assert "has another version of the suite 'small'" in mistake
    mistake = Answer.read(worker.perform(request(file, tmp_path, version="0.0"))).mistake
    assert "and the run has 0.0; install the same there" in mistake


def test_a_task_that_has_begun_twice_is_not_begun_again(tmp_path: Path) -> None:
    text = request(written(tmp_path), tmp_path)
    asked = Request.read(text)
    for _ in range(2):
        assert Marks(Path(asked.marks)).begin(asked.key)
    assert Answer.read(worker.perform(text)).reason == DIED


def test_objects_of_a_session_run_in_this_process_and_it_is_said(
    plain: Place, fresh: Place, here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    class Flat:
        from subnetbench.bench import DetectorInfo

        info = DetectorInfo(title="Flat", formula="-max logit", year=2026, needs=("clean",))
        candidates = ()

        def fit(self, train: Any) -> Any:
            return self

        def characteristics(self, x: Any) -> Any:
            return -x.logits.max(1, keepdims=True)

    words = {"store": fresh.folder / "store", "output": fresh.folder / "out", "device": "cpu"}
    frame = run(fresh.file, detectors=[Flat], n_jobs=2, **words)
    assert "flat" in set(frame["detector"])
    assert here.asked == []
    assert "Objects of this session are in no other process" in capsys.readouterr().err
    run(fresh.file, n_jobs=2, seed=3, **words)
    assert here.asked


def test_nets_are_trained_by_workers_and_by_shards(tmp_path: Path, here: Here) -> None:
    suite = written(tmp_path)
    said = call("train", suite, "--store", tmp_path / "store", "-j", 2)
    assert said.code == 0, said.err
    assert len(here.asked) == 1
    assert "images correctly classified" in said.out
    words = [call("train", suite, "--store", tmp_path / "store", "--shard", f"{index}/2").out for index in range(2)]
    assert sorted(bool(text) for text in words) == [False, True]


def test_a_localisation_suite_is_divided_likewise(tmp_path: Path, here: Here) -> None:
    draw(tmp_path / "data")
    (tmp_path / "wsol-digits.toml").write_text(WSOL.replace("resamples = 500", "resamples = 100"))
    place = Place(tmp_path / "wsol-digits.toml", tmp_path)
    root = ("--data-root", tmp_path / "data")
    assert place.run(*root, store="one", output="one").code == 0
    said = place.run(*root, "-j", 2, store="two", output="two")
    assert said.code == 0, said.err
    assert [len(asked) for asked in here.asked] == [1, 1, 5]  # the net, its gates, five variants
    collected = place.run(*root, "--collect", store="two", output="collected")
    assert collected.code == 0, collected.err
    assert "0 artifacts computed" in collected.out
    one, two, three = (place.content(output) for output in ("one", "two", "collected"))
    assert one.keys() == two.keys() == three.keys()
    assert two == three
    timed = {name for name in one if Path(name).stem in ("cost", "subnets") and "tables" in name}  # with seconds
    assert {name for name in one if one[name] != two[name]} <= timed


def test_gates_and_the_sweep_over_them_are_divided_likewise(tmp_path: Path, here: Here) -> None:
    (tmp_path / "small.toml").write_text(SMALL + GATES)
    place = Place(tmp_path / "small.toml", tmp_path)
    assert place.run(store="one", output="one").code == 0
    said = place.run("-j", 2, store="two", output="two")
    assert said.code == 0, said.err
    assert [len(asked) for asked in here.asked] == [1, 3 + 2, 2 + 2, 1 + 1]
    collected = place.run("--collect", store="two", output="collected")
    assert "0 artifacts computed" in collected.out, collected.err
    one, two, three = (place.content(output) for output in ("one", "two", "collected"))
    assert two == three
    timed = {name for name in one if Path(name).stem in ("subnets", "sensitivity") and "tables" in name}
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} <= timed


def test_a_worker_asks_that_freed_memory_is_kept_whoever_began_its_process(monkeypatch):
    asked: list[bool] = []
    monkeypatch.setattr(worker, "keep_freed_memory", lambda: asked.append(True))
    with pytest.raises(ValueError, match="validation error"):
        worker.perform("{}")  # no request: nothing else happens
    assert asked
