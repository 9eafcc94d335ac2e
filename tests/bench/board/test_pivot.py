"""The localisation track as methods by whole net, subnet and best control."""

from __future__ import annotations

from types import SimpleNamespace

from subnetbench.bench.board.maps import Maps
from subnetbench.bench.board.pivot import pivots
from subnetbench.bench.localisation.entry import Claim, Entry

from ..made_board import MAPS


def localised(error: float, method: str, variant: str, net: str = "alexnet"):
    model = {"name": net, "label": net or "no-net"}
    metrics = {"error": {"value": error, "low": error - 0.1, "high": error + 0.1}}
    content = MAPS | {"model": model, "method": {"label": method}, "variant": variant, "metrics": metrics, "alpha": 1.0}
    return SimpleNamespace(entry=Entry.model_validate(content))


def test_a_row_holds_whole_net_subnet_and_the_control_that_errs_least_of_all_kinds():
    claim = Claim(
        model="alexnet",
        method="saliency",
        first="subnet",
        second="normal",
        difference=-0.1,
        low=-0.2,
        high=0.0,
        p_holm=0.2,
        verdict="not separable",
    )
    rows = [
        localised(0.5, "saliency", "normal"),
        localised(0.4, "saliency", "subnet"),
        localised(0.45, "saliency", "random-gates"),
        localised(0.6, "deconv", "normal"),
        localised(0.3, "edges", "control", net=""),
    ]
    (pivot,) = pivots(Maps(rows, [("boxes", [claim])]))
    first, second = pivot.lines
    assert (first.method, first.whole.value, first.subnet.value) == ("saliency", 0.5, 0.4)
    assert (first.control.value, first.control_name, first.verdict) == (0.3, "edges", "not separable")
    assert first.least == 0.3
    assert (second.method, second.subnet, second.verdict) == ("deconv", None, "")
