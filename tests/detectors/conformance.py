"""What any detector must keep to, as one function that a plugin's own tests can call too."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from subnetbench.bench.types import DetectorInfo, UserError
from subnetbench.bench.views import View


class Check(NamedTuple):
    name: str
    passed: bool
    message: str


def fresh(view: View, index: Any = slice(None), batch_size: int | None = None) -> View:
    """The same images (or some of them) with nothing computed yet and no labels."""
    return View(view.classifier, view.images[index], key="fresh", gates=view.gates,
                parents=None if view.parents is None else fresh(view.parents, index, batch_size),
                batch_size=batch_size or view.batch_size)  # fmt: skip


def check_detector(
    factory: Callable[..., Any], train: View, test: View, *, coupled: bool = False, tolerance: float = 1e-4
) -> list[Check]:
    """Every claim of the contract as (name, passed, message); nothing is raised.

    ``factory`` makes a detector and carries ``info`` and ``candidates``; ``train`` has labels (and gates where the
    detector needs subnets); ``coupled`` leaves out the two checks that an image's score is its own business.
    """
    net = train.classifier
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    modes = [module.training for module in net.modules()]
    checks: list[Check] = []

    def check(name: str, claim: Callable[[], None]) -> None:
        try:
            claim()
        except Exception as error:  # a detector under test may fail in any way; all of them are findings
            where = traceback.extract_tb(error.__traceback__)[-1]
            checks.append(Check(name, False, f"{type(error).__name__}: {error} ({where.name}:{where.lineno})"))
        else:
            checks.append(Check(name, True, ""))

    def scores(view: View) -> Any:
        return factory().fit(train).characteristics(view)

    def info() -> None:
        assert isinstance(factory.info, DetectorInfo), "info is no DetectorInfo"  # type: ignore[attr-defined]
        for field in ("title", "formula", "year"):
            assert getattr(factory.info, field), f"info.{field} is empty"  # type: ignore[attr-defined]

    def candidates() -> None:
        for candidate in factory.candidates:  # type: ignore[attr-defined]
            factory(**candidate)

    def fit_returns_self() -> None:
        detector = factory()
        assert detector.fit(train) is detector, "fit did not return the detector"

    def unfitted() -> None:
        try:
            factory().characteristics(fresh(test))
        except UserError:
            return
        raise AssertionError("characteristics before fit raised no UserError")

    def shape() -> None:
        found = scores(fresh(test))
        assert isinstance(found, np.ndarray), f"characteristics are {type(found).__name__}, not an array"
        assert found.ndim == 2, f"shape {found.shape} is not (N, K)"
        assert len(found) == len(test), f"{len(found)} rows for {len(test)} images"
        assert np.isfinite(found).all(), "characteristics are not all finite"

    def deterministic() -> None:
        _equal(scores(fresh(test)), scores(fresh(test)), 0, "two fresh instances differ")

    def batches() -> None:
        _equal(scores(fresh(test)), scores(fresh(test, batch_size=7)), tolerance, "the batch size matters")

    def order() -> None:
        index = torch.from_numpy(np.random.default_rng(1).permutation(len(test)))
        moved = scores(fresh(test, index))
        _equal(scores(fresh(test))[index.numpy()], moved, tolerance, "the order of images matters")

    def alone() -> None:
        some = slice(0, max(1, len(test) // 3))
        _equal(scores(fresh(test))[some], scores(fresh(test, some)), tolerance, "the other images matter")

    def labels() -> None:
        unlabelled = fresh(test)
        wrong = fresh(test)
        wrong.labels = (test.predicted + 1) % net.classes
        _equal(scores(unlabelled), scores(wrong), 0, "the labels of scored images matter")

    def untouched() -> None:
        factory().fit(train).characteristics(fresh(test))
        after = net.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before), "the classifier's weights changed"
        assert modes == [module.training for module in net.modules()], "training or evaluation mode changed"
        for old, parameter in zip(gradients, net.parameters(), strict=True):
            same = parameter.grad is None if old is None else parameter.grad is not None and old.equal(parameter.grad)
            assert same, "gradients were left on the classifier"
        hooks = [m for m in net.modules() if m._forward_hooks or m._forward_pre_hooks]
        assert not hooks, f"hooks were left on {len(hooks)} modules"

    def any_mode() -> None:
        expected = scores(fresh(test))
        net.train()
        try:
            found = scores(fresh(test))
            assert net.training, "training mode was not given back"
        finally:
            for module, mode in zip(net.modules(), modes, strict=True):
                module.training = mode
            net.load_state_dict(before)
        _equal(expected, found, 0, "a classifier left in training mode scores otherwise")

    check("info says where it comes from", info)
    check("every candidate can be built", candidates)
    check("fit returns the detector", fit_returns_self)
    check("scoring before fit raises a UserError", unfitted)
    check("characteristics are finite and (N, K)", shape)
    check("two fresh instances agree", deterministic)
    check("labels are not used when scoring", labels)
    check("the classifier is left as it was", untouched)
    check("evaluation mode is the detector's business", any_mode)
    if not coupled:
        check("the batch size does not matter", batches)
        check("the order of images does not matter", order)
        check("the other images do not matter", alone)
    return checks


def _equal(one: Any, other: Any, tolerance: float, message: str) -> None:
    """Raise unless two score arrays agree within ``tolerance`` of each column's scale."""
    assert one.shape == other.shape, f"{message}: shapes {one.shape} and {other.shape}"
    scale = np.abs(one).max(0) if len(one) else 1.0
    largest = float((np.abs(one - other) / np.maximum(scale, 1e-300)).max(initial=0))
    assert largest <= tolerance, f"{message}: by {largest:.2g} of the column's scale"
