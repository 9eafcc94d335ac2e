"""Checks of localisation entries and claims against the results of every image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from ..core.errors import UserError
from ..harness.audit import Audit, Line, settings
from ..harness.scores import known_columns, open_scores, read_columns
from .entry import Entry, claims_file, read_claims, read_entries, read_images
from .hits import are_hits, spread
from .metrics import METRICS, claims, drawn_counts, measured_metrics, samples
from .suite import Localisation, Suite

#: Hits are summed in float32, in an order that depends on the machine.
TOLERANCE = 1e-5

_COLUMNS = ("hit", "correct", "pointing")


def examine(root: Path, entry: Entry) -> int | None:
    """The number of images of an entry, None if it has no metrics. UserError if its images give other metrics."""
    if not entry.metrics:
        return None
    images, measured = _measured(root, entry)
    for name, metric in entry.metrics.items():
        if name in METRICS and (name not in measured or abs(measured[name] - metric.value) > TOLERANCE):
            computed = f"{measured[name]:.6f}" if name in measured else "none"
            raise UserError(
                f"The entry {entry.file} states {METRICS[name]} {metric.value:.6f}, but its images give {computed}; "
                "run its suite again."
            )
    if entry.images != images:
        raise UserError(f"The entry {entry.file} states {entry.images} images and has {images}; run its suite again.")
    return images


def _measured(root: Path, entry: Entry) -> tuple[int, dict[str, float]]:
    """The number of images and the metrics that they give."""
    file = open_scores(root, entry)
    known = known_columns(entry, file)
    names = [name for name in known if name in _COLUMNS] + are_hits(known)
    if not file.metadata.num_rows:
        raise UserError(f"The scores of the entry {entry.file} hold no images with hits; run its suite again.")
    table = read_columns(file, names)
    try:
        hits = spread({name: table[name].to_numpy() for name in names})
        values = {name: column.astype(np.float64).astype(bool) for name, column in hits.items()}
        metrics = samples(values, np.ones((1, len(table)), np.float32))
    except (pa.ArrowException, ValueError, TypeError, KeyError):
        raise UserError(
            f"The scores of the entry {entry.file} hold values other than hits; run its suite again."
        ) from None
    return len(table), {name: float(value[0]) for name, value in metrics.items()}


def look(entry: Entry, scores: pd.DataFrame | None, root: Path, suite: Suite | str) -> Iterator[Line]:
    """Settings, images and figures of one entry. Maps and nets are not made again: that takes a run of the suite."""
    suite = _needed(suite, root)
    yield _settings(entry, suite)
    if entry.metrics is None:
        yield Line("figures", "match", f"none: {entry.reason}")
        return
    examine(root, entry)
    assert scores is not None  # an entry with metrics and without scores does not pass
    yield _images(entry, scores, suite.localisation)
    yield _figures(entry, scores, suite)
    yield Line("maps", "not checked", "nets and maps are not made again; run the suite for that")


def beside(root: Path) -> list[Path]:
    """The claims, which are checked against the images of all entries."""
    path = claims_file(root).absolute()
    return [path] if path.is_file() else []


def look_beside(audit: Audit, suite: Suite | str) -> Iterator[Line]:
    """All paired differences, computed again from the images of the entries beside them."""
    suite = _needed(suite, audit.root)
    content, _ = read_claims(audit.root)
    stated = content["claims"]
    yield Line("form", "match", f"{len(stated)} claims")
    options = suite.localisation
    entries = [entry for entry in read_entries(audit.root) if entry.metrics and entry.has_net]
    frames = {entry.key: read_images(audit.root, entry) for entry in entries}
    images = {len(frame) for frame in frames.values()}
    if len(images) != 1:
        raise UserError(f"The entries beside it have {sorted(images)} images, but pairs need the same ones.")
    measured = claims(frames, _counts(images.pop(), options.resamples, suite.seed), options.level)
    yield _claims_line(stated, measured)


def _claims_line(stated: list[dict[str, Any]], measured: list[dict[str, Any]]) -> Line:
    if len(measured) != len(stated):
        return Line("claims", "mismatch", f"{len(stated)} are stated, the entries give {len(measured)}")
    for claim, again in zip(stated, measured, strict=True):
        for name, value in again.items():
            near = isinstance(value, float) and math.isclose(claim[name], value, rel_tol=0, abs_tol=TOLERANCE)
            if not near and claim[name] != value:
                title = f"{again['model']}, {again['method']}, {again['first']} minus {again['second']}"
                detail = f"{title}: {name} {claim[name]} is stated, the images give {value}"
                return Line("claims", "mismatch", detail)
    return Line("claims", "match", f"{len(measured)} paired differences, intervals and verdicts included")


def _needed(suite: Suite | str, root: Path) -> Suite:
    """The suite beside the entries, needed to draw their resamples again."""
    if isinstance(suite, str):
        raise UserError(f"In {root.name}, {suite}; bring the one that the run wrote.")
    return suite


def _settings(entry: Entry, suite: Suite) -> Line:
    """Whether the entry's statements about its run agree with the suite beside it."""
    options = suite.localisation
    known: dict[str, tuple[Any, Any]] = {
        "suite.name": (entry.suite.name, suite.name),
        "seed": (entry.seed, suite.seed),
        "dataset.name": (entry.dataset.name, suite.dataset.title),
    }
    if entry.has_net:
        nets = {part.title: (part.name, part.parameters) for part in suite.models}
        methods = {part.title: part.name for part in suite.saliency}
        known |= {
            "model": ((entry.model.name, entry.model.parameters), nets.get(entry.model.label)),
            "method": (entry.method.name, methods.get(entry.method.label)),
            "variant": (entry.variant in options.variants, True),
        }
    if entry.metrics and entry.statistics is not None:
        stated = entry.statistics
        known["statistics"] = (
            (stated.resamples, stated.level, stated.iou),
            (options.resamples, options.level, options.iou),
        )
    return settings(suite, known)


def _images(entry: Entry, frame: pd.DataFrame, options: Localisation) -> Line:
    """Whether hits follow from the overlaps and alpha from the held-out errors, and no image counts twice."""
    if frame["image"].duplicated().any():
        return Line("images", "mismatch", "an image is counted twice")
    if entry.images != len(frame) or entry.unusable_maps != int((~frame["usable"]).sum()):
        detail = f"{entry.images} images and {entry.unusable_maps} unusable maps stated, the scores hold others"
        return Line("images", "mismatch", detail)
    hits = frame["hit"].to_numpy(bool)
    if not np.array_equal(hits, frame["iou"].to_numpy() >= np.float32(options.iou)):
        return Line("images", "mismatch", f"hits are not the images whose overlap is {options.iou:g} or more")
    errors = entry.heldout_errors
    least = entry.alphas[errors.index(min(errors))]
    if entry.alpha != least:
        return Line("images", "mismatch", f"alpha is {entry.alpha:g}, and {least:g} errs least on held-out images")
    return Line("images", "match", f"{len(frame)}, none twice, alpha {least:g} of least held-out error")


def _figures(entry: Entry, frame: pd.DataFrame, suite: Suite) -> Line:
    options = suite.localisation
    measured = measured_metrics(frame, _counts(len(frame), options.resamples, suite.seed), options.level)
    stated = entry.metrics or {}
    if measured.keys() != stated.keys():
        return Line("figures", "mismatch", f"{', '.join(stated)} are stated, the scores give {', '.join(measured)}")
    for name, metric in measured.items():
        for part, value in metric.items():
            claimed = getattr(stated[name], part)
            if not math.isclose(claimed, value, rel_tol=0, abs_tol=TOLERANCE):
                detail = f"{METRICS[name]}, {part}: {claimed:.6f} is stated, the scores give {value:.6f}"
                return Line("figures", "mismatch", detail)
    return Line("figures", "match", f"{len(measured)} metrics, intervals included")


@lru_cache(maxsize=2)
def _counts(images: int, resamples: int, seed: int) -> Any:
    return drawn_counts(images, resamples, seed)
