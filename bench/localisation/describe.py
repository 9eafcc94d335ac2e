"""Entries of a localisation run, each with everything behind the figures of one net, method and variant."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..core import registry
from ..core.arrays import Bools, Floats
from ..core.hashing import canonical
from ..core.store import Arrays
from ..core.versions import LIBRARIES, versions
from ..harness.entry import SCHEMA, SuiteNote
from ..harness.plugins import plugin_info
from .boxes import choose_alpha
from .contract import SaliencyInfo
from .entry import BoxedNote, Entry, LeftOutNote, MethodNote, Metric, NetNote, StatisticsNote
from .images import Images
from .measure import Measured
from .metrics import drawn_counts, measured_metrics, scores_frame
from .suite import SaliencyPart, Suite


class Describer:
    """Makes the entries of one suite, which all share the same resamples."""

    def __init__(self, suite: Suite, images: Images) -> None:
        self.suite, self.images = suite, images

    @cached_property
    def counts(self) -> npt.NDArray[np.float32]:
        """How often each test image occurs in each resample."""
        return drawn_counts(len(self.images.test.split), self.suite.localisation.resamples, self.suite.seed)

    def head(self, model: NetNote, method: MethodNote, variant: str) -> Entry:
        """An entry without figures."""
        data = self.images.dataset
        return Entry(
            schema_=SCHEMA,
            suite=SuiteNote(name=self.suite.name),
            dataset=BoxedNote(
                name=self.suite.dataset.name,
                note=data.note,
                sha256=data.content_hash,
                size=data.shape[1],
                boxes_sha256=self.images.test.annotations.content_hash,
                left_out=LeftOutNote(**self.images.left_out),
            ),
            model=model,
            method=method,
            variant=variant,
            target="GT-known",
            seed=self.suite.seed,
            versions=dict(versions((*LIBRARIES, "captum"))),
        )

    def failed(self, head: Entry, reason: str) -> Entry:
        return head.model_copy(update={"reason": reason, "metrics": None})

    def entry(
        self, head: Entry, heldout: Arrays, tested: Arrays, correct: Bools, alphas: Floats, seconds: float | None
    ) -> tuple[Entry, pd.DataFrame]:
        """The entry with its figures at the alpha of least held-out error, and its images, one per row."""
        options, split = self.suite.localisation, self.images.test.split
        index, errors = choose_alpha(heldout["iou"], alphas, options.iou)
        frame = scores_frame(split.ids, split.labels, correct, tested, index, options.iou)
        metrics = measured_metrics(frame, self.counts, options.level)
        figures = {
            "alpha": float(alphas[index]),
            "alphas": [float(alpha) for alpha in alphas],
            "heldout_errors": [float(error) for error in errors],
            "heldout_images": len(heldout["iou"]),
            "images": len(frame),
            "unusable_maps": int((~frame["usable"]).sum()),
            "metrics": {name: Metric(**metric) for name, metric in metrics.items()},
            "statistics": StatisticsNote(resamples=options.resamples, level=options.level, iou=options.iou),
            "seconds_per_image": seconds,
        }
        return head.model_copy(update=figures), frame


def describe_net(measured: Measured) -> NetNote:
    trained, part = measured.gates.setup.trained, measured.part
    return NetNote(
        label=part.title,
        name=part.name,
        parameters=part.parameters,
        sha256=trained.sha256,
        accuracy=trained.accuracy,
        weights=trained.weights,
    )


def check_method(part: SaliencyPart, method: Any = None) -> None:
    """The method, once it is made, says of itself what an entry can state. Raises UserError that names the part."""
    with plugin_info(f"saliency.{part.title}", registry.saliency.get(part.name), SaliencyInfo):
        canonical(describe_method(part, {} if method is None else dict(method.parameters)).model_dump())


def describe_method(part: SaliencyPart, parameters: dict[str, Any]) -> MethodNote:
    info = registry.saliency.get(part.name).info
    return MethodNote(
        label=part.title,
        name=part.name,
        title=info.title,
        year=info.year,
        url=info.url,
        formula=info.formula,
        parameters=parameters,
    )
