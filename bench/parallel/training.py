"""The nets of a suite as tasks, for `train`: each is trained even where the suite names weights."""

from __future__ import annotations

from ..core.errors import UserError
from ..harness.context import Context
from ..harness.setup import Setup
from ..harness.suite import AnySuite, NetSuite
from ..harness.task import NET, Task


def to_train(suite: NetSuite) -> NetSuite:
    """The suite of one net without weights. UserError where it states no recipe."""
    if suite.model.train is None:
        raise UserError(
            f"{suite.name}: the model {suite.model.name!r} has no [model.train] table, so there is nothing to train; "
            "add one."
        )
    return suite.model_copy(update={"model": suite.model.model_copy(update={"weights": None})})


class Training:
    """A suite's nets, each a task; ``net``: only the one of this label."""

    def __init__(self, suite: AnySuite, context: Context, net: str | None = None) -> None:
        self.context = context
        self.nets = {label: each for label, each in suite.nets().items() if net in (None, label)}

    def tasks(self) -> list[Task]:
        return [Task("net", label, NET) for label in self.nets]

    def prices(self) -> dict[str, float]:
        return {}

    def stored(self, task: Task) -> bool:
        return self.context.store.has("weights", self._setup(task).weights_inputs)

    def compute(self, task: Task) -> str:
        _ = self._setup(task).trained
        return ""

    def _setup(self, task: Task) -> Setup:
        return Setup(to_train(self.nets[task.cell]), self.context)
