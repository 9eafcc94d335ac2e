"""Runs a detection suite, from images to entries, comparisons and figure arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ...subnets.gates import GateOptions
from ..core import registry
from ..core.errors import UserError
from ..core.files import json_files, write_json
from ..core.store import Meta, NotStored, StoreError
from ..harness.context import Context
from ..harness.toml import fill
from ..models.weights import locate
from ..stats import inference
from .beside import comparisons, write_figures, write_gates, write_sensitivity
from .cells import Samples, empty_cell
from .describe import Describer
from .entry import Entry
from .estimate import plan
from .measured import measured_cells
from .protocol import Outcome
from .scoring import COLUMNS, Scoring
from .sensitivity import variants
from .suite import PROTOCOLS, AnyProtocol, DetectorPart, Pair, Suite


class Run:
    """The run of one suite: check everything, make entries one by one, then the files beside them."""

    def __init__(self, suite: Suite, context: Context) -> None:
        self.suite, self.context = suite, context
        self.scoring = Scoring(suite, context)
        self.describer = Describer(self.scoring)
        self.failures: list[str] = []
        self._samples: dict[str, dict[str, Samples]] = {protocol.name: {} for protocol in suite.protocols}
        self._values: dict[str, dict[str, dict[Pair, float]]] = {protocol.name: {} for protocol in suite.protocols}

    # -- before anything is computed ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Check everything that needs no computation: names, parameters, presets, recipe and gate options."""
        suite, scoring = self.suite, self.scoring
        registry.models.get(suite.model.name)
        if suite.model.weights is not None:
            locate(suite.model.weights)
        _ = scoring.setup.recipe, scoring.gates.options, scoring.attacked.attacks
        for _, variant in variants(suite):
            fill(GateOptions, variant.subnets or {}, "subnets with sensitivity")
        for protocol in suite.protocols:
            for detector in suite.detectors:
                scoring.build(detector, protocol)
            for attack in suite.attacks:
                protocol.sigma(attack.title, attack.name)
        if not suite.dataset.name.endswith(".npz"):
            registry.datasets.get(suite.dataset.name)
        self.describer.check()
        self._check_resamples()

    def _check_resamples(self) -> None:
        """Warn where there are too few resamples for any verdict."""
        options = self.suite.statistics
        claims = len(options.comparisons) * (2 * len(self.suite.attacks) - 1)
        least = inference.smallest_p(options.resamples, claims)
        if least > inference.ALPHA:
            self.context.report.warn(
                f"statistics: {claims} claims on {options.resamples} resamples have p-values of at "
                f"least {least:.2g}, so no verdict is possible; set resamples to "
                f"{math.ceil(2 * claims / inference.ALPHA)} or more, or compare fewer pairs."
            )

    def estimate(self) -> tuple[str, list[dict[str, Any]]]:
        """The grid: each stage with its passes and its approximate time on this machine."""
        return plan(self.scoring)

    # -- entries ------------------------------------------------------------------------------------------------------

    def made(self) -> Iterator[tuple[Entry, pd.DataFrame]]:
        """Run every detector under every protocol; a failure gives an entry without figures that states the reason."""
        suite, report = self.suite, self.context.report
        report.overall(2 + len(suite.attacks) + len(suite.detectors) * len(suite.protocols))
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
        scoring.gates.check()
        for _, variant in variants(suite):
            net.gated_paths(str((variant.subnets or {})["position"]))
        for attack in suite.attacks:
            report.step(f"{suite.name}: attack {attack.title}")
            scoring.attacked.strength(attack)
        report.step(f"{suite.name}: class gates")
        _ = scoring.gates.sets

    def _detector(self, part: DetectorPart, protocol: AnyProtocol) -> tuple[Entry, pd.DataFrame]:
        cost: Meta = {}
        outcome = Outcome(pd.DataFrame(columns=COLUMNS), [])
        try:
            outcome, cost = self.scoring.outcomes(part, protocol)
            cells, samples = measured_cells(self.suite, protocol, outcome, self.context.store)
        except Exception as error:
            reason = self._reason(part, error)
            self.failures.append(f"{protocol.name} / {part.title}: {reason}")
            self.context.report.warn(f"{part.title} ({protocol.name}) could not be run: {reason}")
            attacks = [attack.title for attack in self.suite.attacks]
            cells, samples = [empty_cell((a, b), reason) for a in attacks for b in attacks], {}
        if samples:
            self._samples[protocol.name][part.title] = samples
        values = {(c["fit_on"], c["test_on"]): c["auroc"] for c in cells if c["auroc"] is not None}
        self._values[protocol.name][part.title] = values
        return self.describer.entry(part, protocol, cells, cost), outcome.scores

    def _reason(self, part: DetectorPart, error: Exception) -> str:
        """Why a detector could not be run; errors of the store or of our own detectors are raised again."""
        store = self.context.store
        if isinstance(error, NotStored):
            if store.when == "cached":
                raise UserError(
                    f"The store {store.root} lacks {error} for {part.title!r}, and --when cached computes "
                    "nothing; run once with --when missing."
                ) from None
            return "not in the store (--when never)"
        if isinstance(error, StoreError):
            raise error  # a full disk is no detector's failure
        if isinstance(error, UserError):
            return str(error)
        if self.context.debug or registry.detectors.is_ours(part.name):
            raise error
        return f"raised {type(error).__name__}: {error}"

    # -- files beside the entries -------------------------------------------------------------------------------------

    def finish(self, folder: Path) -> None:
        """Write comparisons, gate reports, figure arrays and the sensitivity; nothing of an earlier run remains."""
        names = [protocol.name for protocol in self.suite.protocols]
        for name in names:
            content = comparisons(self.suite, name, self._samples[name], self._values[name])
            write_json(folder / "comparisons" / f"{name}.json", content)
        for path in json_files(folder / "comparisons"):
            if path.stem in PROTOCOLS and path.stem not in names:
                path.unlink(missing_ok=True)
        write_gates(self.scoring, folder)
        write_figures(self.scoring, folder)
        write_sensitivity(self.scoring, folder)
