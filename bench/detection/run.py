"""Runs a detection suite, from images to entries, comparisons and figure arrays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ...subnets.gates import GateOptions
from ..core.errors import UserError
from ..core.files import json_files, write_json
from ..core.places import placed
from ..core.store import Meta
from ..data.load import check_name
from ..harness.context import Context
from ..harness.factory import refuse_untrained
from ..harness.plugins import PluginFailed
from ..harness.ready import check_setup
from ..harness.task import SCORED, Task
from ..harness.toml import fill
from ..models.dry import refuse_further_logits
from .beside import comparisons, write_figures, write_gates, write_sensitivity
from .cells import Columns, empty_cell
from .describe import Describer
from .entry import Entry
from .estimate import plan, prices, steps, undownloaded
from .failing import failed_attack, why
from .frames import COLUMNS
from .measured import measured_cells, stored_scores
from .parameters import check_parts
from .protocol import Outcome
from .scoring import Scoring, detector_source, for_attacks
from .sensitivity import variants
from .strength import remarks
from .suite import PROTOCOLS, AnyProtocol, DetectorPart, Suite
from .tasks import is_stored, listed, make_ready, score


class Run:
    """The run of one suite: check everything, make entries one by one, then the files beside them."""

    def __init__(self, suite: Suite, context: Context) -> None:
        self.suite, self.context = suite, context
        self.scoring = Scoring(suite, context)
        self.describer = Describer(self.scoring)
        self.failures: list[str] = []
        self._attacked = False
        self._columns: dict[str, dict[str, Columns]] = {protocol.name: {} for protocol in suite.protocols}

    # -- before anything is computed ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Check everything that needs no computation: names, parameters, presets, recipe and gate options."""
        suite, scoring = self.suite, self.scoring
        check_setup(scoring.setup)
        check_parts(suite)
        refuse_untrained(suite.model, "model")
        # The code is read now: files may be edited while the run goes on, and what runs is what they are now.
        _ = scoring.setup.recipe, scoring.gates.options, scoring.attacked.sources
        _ = [detector_source(detector) for detector in suite.detectors]
        for _, variant in variants(suite):
            fill(GateOptions, variant.subnets or {}, "subnets with sensitivity")
        self.describer.check()
        for protocol in suite.protocols:
            for number, detector in enumerate(suite.detectors):
                with placed(("detectors", number), detector.model_dump()):
                    self._check_made(detector, protocol)
            for attack in suite.attacks:
                protocol.sigma(attack.title, attack.name)
        check_name(suite.dataset.name, self.context.data_root)

    def _check_made(self, part: DetectorPart, protocol: AnyProtocol) -> None:
        """Warn where a plug-in cannot be made: its rows will state the reason, and all others are made."""
        try:
            self.scoring.build(part, protocol)
        except PluginFailed as failed:
            if self.context.debug and failed.__cause__ is not None:
                raise failed.__cause__ from None
            self.context.report.warn(f"{part.title} cannot be run: {failed}")

    def estimate(self) -> tuple[str, list[dict[str, Any]]]:
        """The grid: each stage with its passes and its approximate time on this machine; nothing is downloaded."""
        return plan(self.scoring)

    def steps(self) -> list[float]:
        """About how many seconds each step of `made` and `finish` takes."""
        return steps(self.scoring)

    # -- what processes of their own can do ---------------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        return listed(undownloaded(self.scoring)[0])

    def prices(self) -> dict[str, float]:
        return prices(undownloaded(self.scoring)[0])

    def stored(self, task: Task) -> bool:
        return is_stored(self.scoring, task)

    def compute(self, task: Task) -> str:
        if task.wave < SCORED:
            return make_ready(self.scoring, task)
        if not self._attacked:
            self._attack()
        return score(self.scoring, task, self.suite)

    # -- entries ------------------------------------------------------------------------------------------------------

    def made(self) -> Iterator[tuple[Entry, pd.DataFrame]]:
        """Run every detector under every protocol; a failure gives an entry without figures that states the reason."""
        suite, report = self.suite, self.context.report
        self._prepare()
        for protocol in suite.protocols:
            for part in suite.detectors:
                report.step(f"{suite.name}: {protocol.name} {part.title}")
                yield self._detector(part, protocol)

    def _prepare(self) -> None:
        """Prepare net, attacks and gates, so that a mistake in the suite ends the run before a detector is scored."""
        suite, scoring, report = self.suite, self.scoring, self.context.report
        report.step(f"{suite.name}: classifier")
        net = scoring.setup.trained.net
        refuse_further_logits(net, suite.model.name)
        scoring.gates.check()
        for _, variant in variants(suite):
            net.gated_paths(str((variant.subnets or {})["position"]))
        self._attack()
        report.step(f"{suite.name}: class gates")
        _ = scoring.gates.sets

    def _attack(self) -> None:
        """Attack the test images; what an attack that fails has no images for are cells with its reason."""
        suite, report, failed = self.suite, self.context.report, self.describer.failed
        for attack in suite.attacks:
            report.step(f"{suite.name}: attack {attack.title}")
            reason = failed_attack(self.scoring.attacked, attack, debug=self.context.debug)
            if reason is not None:
                failed[attack.title] = reason
                self.failures.append(reason)
                report.warn(reason)
        able = [attack for attack in suite.attacks if attack.title not in failed]
        if not able:
            raise UserError(self.failures[0])  # nothing is left to score
        for title, remark in remarks(self.scoring.attacked, able).items():
            report.warn(f"The attack {title}: {remark}.")
        if failed:
            self.scoring = for_attacks(self.scoring, able)
        self._attacked = True

    def _detector(self, part: DetectorPart, protocol: AnyProtocol) -> tuple[Entry, pd.DataFrame]:
        cost: Meta = {}
        failed = self.describer.failed
        outcome = Outcome(pd.DataFrame(columns=COLUMNS), [])
        try:
            outcome, cost = self.scoring.outcomes(part, protocol)
            cells, columns = measured_cells(self.suite, protocol, outcome, self.context.store)
            said = cost.get("remarks", [])
            for remark in said:
                self.context.report.warn(f"The detector {part.title} {remark}.")
            for cell in cells:
                without = [failed[attack] for attack in (cell["fit_on"], cell["test_on"]) if attack in failed]
                cell["remark"] = without[0] if without else "; ".join(filter(None, [cell["remark"], *said]))
        except Exception as error:
            reason = why(part, error, self.context)
            self.failures.append(f"{protocol.name} / {part.title}: {reason}")
            if not isinstance(error, PluginFailed):  # that was said before anything ran
                self.context.report.warn(f"{part.title} ({protocol.name}) could not be run: {reason}")
            attacks = [attack.title for attack in self.suite.attacks]
            cells, columns = [empty_cell((a, b), reason) for a in attacks for b in attacks], {}
        if columns:
            self._columns[protocol.name][part.title] = columns
        entry = self.describer.entry(part, protocol, cells, cost, outcome)
        return entry, stored_scores(outcome.scores, protocol, [attack.title for attack in self.suite.attacks])

    # -- files beside the entries -------------------------------------------------------------------------------------

    def finish(self, folder: Path) -> None:
        """Write comparisons, gate reports, figure arrays and the sensitivity; nothing of an earlier run remains."""
        names = [protocol.name for protocol in self.suite.protocols]
        for protocol in self.suite.protocols:
            content = comparisons(self.suite, protocol, self._columns[protocol.name])
            write_json(folder / "comparisons" / f"{protocol.name}.json", content)
        for path in json_files(folder / "comparisons"):
            if path.stem in PROTOCOLS and path.stem not in names:
                path.unlink(missing_ok=True)
        write_gates(self.scoring, folder)
        write_figures(self.scoring, folder)
        write_sensitivity(self.scoring, folder)
