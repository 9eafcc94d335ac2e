"""The checks of one detector as a table, in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from .checks import Check


class Report(list[Check]):
    """A list of checks that is shown as `subnetbench validate-detector` prints it."""

    def __init__(self, name: str, checks: Iterable[Check]) -> None:
        super().__init__(checks)
        self.name = name

    @property
    def summary(self) -> str:
        passed, failed, warned = (sum(c.outcome == o for c in self) for o in ("passes", "fails", "warning"))
        return f"{self.name}: {passed} checks pass, {failed} fail, {warned} warnings"

    def __str__(self) -> str:
        return "\n".join([*map(line, self), "", f"{self.summary}."])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{check.outcome}</td><td style='text-align: left'>{escape(check.name)}</td>"
            f"<td style='text-align: left'>{escape(check.message)}</td></tr>"
            for check in self
        )
        return f"<table>{rows}</table><p>{escape(self.summary)}.</p>"


def line(check: Check) -> str:
    """A check as one line: its outcome, its name and what was measured."""
    return f"{check.outcome:<9}{check.name}{f': {check.message}' if check.message else ''}"
