"""Checking localisation entries and claims from what happened to every image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ..core.errors import UserError
from ..harness.audit import Audit, Line, own_words, place, without_traceback
from ..harness.entry import one_json
from .checked import checked_claims, checked_map, is_claims
from .entry import read_frame, read_localisation
from .metrics import METRICS, claims, drawn_counts, measured_metrics
from .suite import Localisation, WsolSuite

#: Hits are summed in float32, on another machine in another order.
TOLERANCE = 1e-5


def audited_map(path: Path, file: str) -> Audit:
    """Everything that can be said of one net, method and variant, or of a suite's claims, from what lies beside it.

    Neither maps nor nets are made again: that is a run of the suite.
    """
    audit = Audit(file, path)
    with without_traceback(audit):
        content = one_json(path)
        suite = _suite(audit.root)
        look = _claims if is_claims(path) else _entry
        for line in look(audit, content, suite):
            audit.lines.append(line)
    return audit


def _suite(root: Path) -> WsolSuite:
    try:
        return WsolSuite.model_validate(json.loads((root / "suite.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:  # ValidationError is a ValueError
        what = "is no localisation suite" if isinstance(error, ValidationError) else "cannot be read"
        raise UserError(
            f"suite.json beside {root.name}/localisation {what}; bring the one that the run wrote."
        ) from None


def _entry(audit: Audit, content: Any, suite: WsolSuite) -> Iterator[Line]:
    stated = checked_map(audit.path, content)
    yield Line("form", "match", f"schema {content['schema']}")
    yield place(audit, f"{stated.model.label}/{stated.method.label}.{stated.variant}.json")
    yield _settings(content, suite)
    if stated.metrics is None:
        yield Line("figures", "match", f"none: {stated.reason}")
        return
    frame = read_frame(audit.root, content | {"path": audit.path})
    yield Line("scores", "match", f"sha256 {content['scores']['sha256'][:12]}, {len(frame)} images")
    yield _images(content, frame, suite.localisation)
    yield _figures(content, frame, suite)
    yield from own_words(content)
    yield Line("maps", "not checked", "nets and maps are not made again; run the suite for that")


def _settings(content: Mapping[str, Any], suite: WsolSuite) -> Line:
    """What the entry says of its run, where the suite beside it says it too."""
    options = suite.localisation
    known: dict[str, tuple[Any, Any]] = {
        "suite.name": (content["suite"]["name"], suite.name),
        "seed": (content["seed"], suite.seed),
        "dataset.name": (content["dataset"]["name"], suite.dataset.name),
    }
    if content["model"]["name"]:  # controls have no net
        nets = {part.title: (part.name, part.parameters) for part in suite.models}
        methods = {part.title: part.name for part in suite.saliency}
        model, method = content["model"], content["method"]
        known |= {
            "model": ((model["name"], model["parameters"]), nets.get(model["label"])),
            "method": (method["name"], methods.get(method["label"])),
            "variant": (content["variant"] in options.variants, True),
        }
    if content.get("metrics"):
        own = {"resamples": options.resamples, "level": options.level, "iou": options.iou}
        known["statistics"] = (content["statistics"], own)
    wrong = [name for name, (stated, own) in known.items() if stated != own]
    if wrong:
        return Line("suite", "mismatch", f"{', '.join(wrong)} differ from suite.json beside the entries")
    return Line("suite", "match", f"{suite.name}, {len(known)} settings as in suite.json")


def _images(content: Mapping[str, Any], frame: pd.DataFrame, options: Localisation) -> Line:
    """Hits follow from the overlaps, alpha from the held-out errors, and no image counts twice."""
    if frame["image"].duplicated().any():
        return Line("images", "mismatch", "an image is counted twice")
    if content["images"] != len(frame) or content["unusable_maps"] != int((~frame["usable"]).sum()):
        said = f"{content['images']} images and {content['unusable_maps']} unusable maps stated, the scores hold others"
        return Line("images", "mismatch", said)
    hits = frame["hit"].to_numpy(bool)
    if not np.array_equal(hits, frame["iou"].to_numpy() >= np.float32(options.iou)):
        return Line("images", "mismatch", f"hits are not the images whose overlap is {options.iou:g} or more")
    errors = [float(error) for error in content["heldout_errors"]]
    least = content["alphas"][errors.index(min(errors))]
    if content["alpha"] != least:
        return Line("images", "mismatch", f"alpha is {content['alpha']:g}, and {least:g} errs least on held-out images")
    return Line("images", "match", f"{len(frame)}, none twice, alpha {least:g} of least held-out error")


def _figures(content: Mapping[str, Any], frame: pd.DataFrame, suite: WsolSuite) -> Line:
    options = suite.localisation
    found = measured_metrics(frame, _counts(len(frame), options.resamples, suite.seed), options.level)
    if found.keys() != content["metrics"].keys():
        return Line(
            "figures", "mismatch", f"{', '.join(content['metrics'])} are stated, the scores give {', '.join(found)}"
        )
    for name, own in found.items():
        for part, value in own.items():
            if not math.isclose(content["metrics"][name][part], value, rel_tol=0, abs_tol=TOLERANCE):
                return Line(
                    "figures",
                    "mismatch",
                    f"{METRICS[name]}, {part}: {content['metrics'][name][part]:.6f} is "
                    f"stated, the scores give {value:.6f}",
                )
    return Line("figures", "match", f"{len(found)} metrics, intervals included")


@lru_cache(maxsize=2)
def _counts(images: int, resamples: int, seed: int) -> Any:
    return drawn_counts(images, resamples, seed)


def _claims(audit: Audit, content: Any, suite: WsolSuite) -> Iterator[Line]:
    """All paired differences anew, from the images of the entries beside them."""
    checked_claims(content)
    yield Line("form", "match", f"{len(content['claims'])} claims")
    options = suite.localisation
    frames = {
        (e["model"]["label"], e["method"]["label"], e["variant"]): read_frame(audit.root, e)
        for e in read_localisation(audit.root)
        if e["metrics"] and e["model"]["name"]
    }
    images = {len(frame) for frame in frames.values()}
    if len(images) != 1:
        raise UserError(f"The entries beside it are of {sorted(images)} images, and pairs need the same ones.")
    found = claims(frames, _counts(images.pop(), options.resamples, suite.seed), options.level)
    if len(found) != len(content["claims"]):
        yield Line("claims", "mismatch", f"{len(content['claims'])} are stated, the entries give {len(found)}")
        return
    for stated, own in zip(content["claims"], found, strict=True):
        for name, value in own.items():
            near = isinstance(value, float) and math.isclose(stated[name], value, rel_tol=0, abs_tol=TOLERANCE)
            if not near and stated[name] != value:
                title = f"{own['model']}, {own['method']}, {own['first']} minus {own['second']}"
                yield Line("claims", "mismatch", f"{title}: {name} {stated[name]} is stated, the images give {value}")
                return
    yield Line("claims", "match", f"{len(found)} paired differences, intervals and verdicts included")
