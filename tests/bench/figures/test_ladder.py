"""The figure of a ladder: no line over a step that was not run, and names of steps that can be read."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from typing import Any

import pytest
from subnetbench.bench.detection.ladder import Climb, Climbed, Ladder
from subnetbench.bench.figures.ladder import NOT_RUN, ladder_figures
from subnetbench.bench.figures.style import style

from ..detection.test_summary import entry

if importlib.util.find_spec("matplotlib") is None:
    pytest.skip("matplotlib is not installed (the extra `plots`)", allow_module_level=True)

STEPS = ("a", "b", "c", "d", "e", "e-sum", "e-mean", "f")


def figure_of(*not_run: str) -> Any:
    """The figure of a ladder of these steps, in a renderer that knows how large its texts are."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    steps = []
    for number, name in enumerate(STEPS):
        beside = "e" if name.startswith("e-") else None
        differs = "attacks" if number else None
        steps.append({"net": "n", "step": name, "change": "", "suite": "s", "differs": differs, "beside": beside})
    ladder = Ladder.model_validate({"title": "A ladder", "steps": steps})
    both = entry("mahalanobis"), entry("subnet-mahalanobis")
    climbed = [Climbed(step) if step.step in not_run else Climbed(step, *both) for step in ladder.steps]
    with style():
        ((_, figure),) = ladder_figures(Climb(ladder, climbed, [("seen", "fgsm"), ("seen", "cw"), ("unknown", "cw")]))
        FigureCanvasAgg(figure).draw()
    return figure


def stretches(figure: Any) -> list[list[str]]:
    """The steps of each line of the first panel; one that is drawn as points alone is none."""
    lines = [container[0] for container in figure.axes[0].containers]
    return [[STEPS[round(x)] for x in line.get_xdata()] for line in lines if line.get_linestyle() == "-"]


def test_a_line_leads_over_no_step_that_was_not_run() -> None:
    assert stretches(figure_of("c", "d"))[:2] == [["a", "b"], ["e", "f"]]
    assert stretches(figure_of())[0] == ["a", "b", "c", "d", "e", "f"]  # over those that stand in the place of e


def test_names_of_steps_stand_apart_and_under_their_ticks() -> None:
    figure = figure_of("e-sum")
    for axis in figure.axes[-2:]:
        labels = axis.get_xticklabels()
        boxes = [label.get_window_extent() for label in labels]
        assert all(one.x1 < two.x0 for one, two in pairwise(boxes))
        for box, place in zip(boxes, axis.get_xticks(), strict=True):
            tick, _ = axis.transData.transform((place, 0))
            assert abs((box.x0 + box.x1) / 2 - tick) < 2
        assert [label.get_text() for label in labels if label.get_color() == NOT_RUN] == ["e-sum"]
