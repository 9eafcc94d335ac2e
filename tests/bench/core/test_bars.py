"""Progress: on a terminal a bar that moves by the weight of each step, elsewhere lines with the time of day."""

from __future__ import annotations

import io
import re
from contextlib import ExitStack

import pytest
from rich.console import Console
from subnetbench.bench.core import bars as module
from subnetbench.bench.core.bars import Bars
from subnetbench.bench.core.progress import late_stage
from subnetbench.bench.core.text import span


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80)


def text_of(bars: Bars) -> str:
    assert isinstance(bars.console.file, io.StringIO)
    return bars.console.file.getvalue()


def share(bars: Bars) -> float:
    """What the bar of the whole run shows, in percent."""
    return bars._bars.tasks[0].percentage


def test_without_a_terminal_each_stage_is_a_line_with_the_time_and_no_control_characters() -> None:
    with Bars(console(terminal=False)) as bars:
        bars.overall(lambda: pytest.fail("nobody sees the weights"))
        bars.step("tiny: attack fgsm")
        with bars.stage("attack fgsm") as tick:
            tick(1, 2, "")
    assert re.fullmatch(r"  \d\d:\d\d:\d\d attack fgsm\n", text_of(bars))


def test_a_long_stage_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BETWEEN_LINES", 0.0)
    with Bars(console(terminal=False)) as bars, bars.stage("attack cw") as tick:
        tick(213, 450, "")
        tick(450, 450, "")
    assert re.findall(r"\d\d:\d\d:\d\d (.*)", text_of(bars)) == ["attack cw", "attack cw: 213 of 450"]


def test_the_whole_bar_moves_within_a_step_by_its_weight() -> None:
    with Bars(console(terminal=True)) as bars:
        bars.overall(lambda: [10.0, 80.0, 10.0])
        bars.step("classifier")
        with bars.stage("train") as tick:
            tick(1, 2, "")
            assert share(bars) == pytest.approx(10 * 0.5 * module.STAGES)
        bars.step("attack")
        with bars.stage("attack cw") as tick:
            assert share(bars) == pytest.approx(10)
            tick(225, 450, "")
            assert share(bars) == pytest.approx(10 + 80 * 0.5 * module.STAGES)
        bars.step("detector")
        assert share(bars) == pytest.approx(90)
        assert "attack cw" in text_of(bars)


def test_the_second_of_three_sets_goes_on_where_the_first_ended_and_nothing_goes_back() -> None:
    seen = []
    with Bars(console(terminal=True)) as bars:
        bars.overall(lambda: [1.0])
        bars.step("gates")
        for number in range(3):
            with bars.stage(f"learn class gates, set {number + 1} of 3", (number, 3)) as tick:
                tick(0, 4, "")
                tick(2, 4, "")
                seen.append(share(bars))
    assert seen == pytest.approx([100 * module.STAGES * done / 6 for done in (1, 3, 5)])


def test_weights_are_asked_for_only_where_something_is_computed() -> None:
    asked: list[bool] = []

    def weights() -> list[float]:
        asked.append(True)
        return [1.0]

    with Bars(console(terminal=True)) as bars:
        bars.overall(weights)
        bars.step("classifier")
        assert not asked
        with bars.stage("train"), bars.stage("wait"):
            assert asked == [True]


def test_quiet_prints_warnings_alone() -> None:
    with Bars(console(terminal=True), quiet=True) as bars, bars.stage("train"):
        bars.note("fine")
        bars.warn("beware")
    assert re.sub(r"\x1b\[[0-9;]*m", "", text_of(bars)) == "warning: beware\n"


def test_a_late_stage_is_shown_from_its_first_tick_on() -> None:
    with Bars(console(terminal=False)) as bars:
        with late_stage(bars, "attack lid with pgd"):
            pass
        assert text_of(bars) == ""
        with ExitStack() as stack:
            tick = stack.enter_context(late_stage(bars, "attack lid with pgd"))
            tick(0, 5, "")
            tick(1, 5, "")
    assert text_of(bars).count("attack lid with pgd") == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.44, "0.4 s"), (9.97, "10 s"), (50, "50 s"), (59.7, "1 min 0 s"), (290, "4 min 50 s"), (7500, "2 h 5 min")],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words
