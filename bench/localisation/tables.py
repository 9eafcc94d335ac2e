"""Tables of the localisation track, made from its entries alone: Table 1's shape, controls, claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..harness.gate_words import gate_departures, tau_met
from ..harness.stale import table_files
from ..harness.tables import Lines, Report, Section, percent, published_table, stated_versions
from .entry import CONTROL, Claim, Entry, read_claims, read_entries, read_images, read_net_reports
from .metrics import METRICS, drawn_counts, measured_metrics

#: Table 1's rows and networks by our names; they are comparable on ImageNet alone.
PUBLISHED_METHODS = {
    "saliency": "Saliency",
    "deconv": "Deconv",
    "guided-bp": "Guided-BP",
    "grad-cam": "GradCAM",
    "int-grad": "IntGrad",
    "smooth-grad": "SmoothGrad",
}
PUBLISHED_NETS = {"alexnet": "AlexNet", "vgg16": "VGG16", "resnet50": "ResNet50"}
PUBLISHED_DATASET = "imagenet"
TABLE1 = "table1_wsol_error.csv"


#: All that a report may write.
FILES = table_files("report", ("table1", "controls", "claims", "metrics", "subnets", "cost"))


def report(folder: Path) -> Report:
    """All tables of a localisation suite's results."""
    entries = read_entries(folder)
    content, claimed = read_claims(folder)
    sections = [
        Section("table1", "Localisation error, whole net and subnet", lambda: table1(entries), TABLE1_NOTE),
        Section("controls", "Beside the controls", lambda: controls(entries), CONTROLS_NOTE),
        Section(
            "claims", "Does the subnet localise better?", lambda: claims(claimed), CLAIMS_NOTE, after=_verdicts(claimed)
        ),
        Section("metrics", "By other metrics", lambda: other_metrics(entries), METRICS_NOTE),
        Section(
            "subnets", "The subnets", lambda: subnets(folder), SUBNETS_NOTE, before=lambda _: about_subnets(folder)
        ),
        Section("cost", "Cost of a map", lambda: cost(entries), COST_NOTE),
    ]
    return Report(entries[0].suite.name, _preamble(entries, content), sections, _failures(entries))


def frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """One row per entry and metric, in [0, 1]; errors are shares of misses."""
    rows = [
        {
            "suite": entry.suite.name,
            "dataset": entry.dataset.name,
            "net": entry.model.label,
            "method": entry.method.label,
            "variant": entry.variant,
            "alpha": entry.alpha,
            "images": entry.images,
            "metric": name,
            **metric.model_dump(),
        }
        for entry in entries
        for name in METRICS
        if (metric := entry.metric(name)) is not None
    ]
    return pd.DataFrame(rows)


def _failures(entries: Sequence[Entry]) -> list[str]:
    reasons = sorted({(entry.model.label, entry.method.label, entry.reason) for entry in entries if entry.reason})
    lines = [f"- {net}, {method}: {why}" for net, method, why in reasons]
    return ["## What could not be run", "", *lines, ""] if reasons else []


def recomputed(folder: Path, entry: Entry) -> dict[str, dict[str, float]]:
    """An entry's metrics, computed again from the results of every image."""
    options = entry.statistics
    assert options is not None  # an entry with metrics states how they were drawn
    images = read_images(folder, entry)
    return measured_metrics(images, drawn_counts(len(images), options.resamples, entry.seed), options.level)


def _preamble(entries: Sequence[Entry], content: dict[str, Any]) -> list[str]:
    first = next((entry for entry in entries if entry.metrics), entries[0])
    data = first.dataset
    note = f" ({data.note})" if data.note else ""
    lines = [
        f"- **data**: {data.name}{note}, {content['images']} test images with boxes at {data.size} pixels; alpha "
        f"chosen on {first.heldout_images} training images; left out for want of a usable box: "
        f"{content['left_out']['test']} test and {content['left_out']['train']} training images or lines",
    ]
    lines += [
        f"- **{label}**: {model.name}, {model.accuracy:.2%} of the test images correctly classified"
        for label, model in {entry.model.label: entry.model for entry in entries}.items()
        if model.accuracy is not None
    ]
    lines.append(f"- seed {first.seed}; {stated_versions(first.versions, ('subnetbench', 'torch', 'captum'))}")
    return [*lines, ""]


def _metric(entry: Entry | None, name: str = "error") -> str:
    metric = None if entry is None else entry.metric(name)
    return "–" if metric is None else f"{percent(metric.value)} [{percent(metric.low)}, {percent(metric.high)}]"


def _nets(entries: Iterable[Entry]) -> list[str]:
    return list(dict.fromkeys(e.model.label for e in entries if e.model.accuracy is not None))


def _methods(entries: Iterable[Entry]) -> list[str]:
    return list(dict.fromkeys(e.method.label for e in entries if e.variant != CONTROL))


def _by(entries: Iterable[Entry]) -> dict[tuple[str, str, str], Entry]:
    return {entry.key: entry for entry in entries}


TABLE1_NOTE = (
    "Localisation error in percent, GT-known class: share of test images whose tightest box of heat > alpha x mean "
    "overlaps no true box by half, with its 95% interval over images; alpha is chosen on training images, for each "
    "cell. Published, where net and data are the published ones: Wang, Hu, Su, Table 1. Whether the "
    "two can be told apart stands in table `claims`."
)


def table1(entries: Sequence[Entry]) -> pd.DataFrame:
    reference = {tuple(key): value for *key, _, value in published_table(TABLE1).itertuples(index=False)}
    by_key = _by(entries)
    rows = []
    for method in _methods(entries):
        row: dict[str, Any] = {"method": method}
        for net in _nets(entries):
            for variant in ("normal", "subnet"):
                entry = by_key.get((net, method, variant))
                if entry is None:
                    continue
                row[f"{net} {variant} alpha"] = f"{entry.alpha:g}" if entry.metrics else "–"
                row[f"{net} {variant} error"] = _metric(entry)
                names = PUBLISHED_METHODS.get(entry.method.name), PUBLISHED_NETS.get(entry.model.name)
                theirs = reference.get((*names, variant))
                if entry.dataset.name == PUBLISHED_DATASET and theirs is not None:
                    row[f"{net} {variant} published"] = f"{theirs:.2f}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


CONTROLS_NOTE = (
    "The same error. `random-gates`: as many channels of every layer, drawn at random; `wrong-class`: the subnet of "
    "another class; `random-weights`: the whole net untrained (Adebayo et al. 2018). Without a net: the image's edges "
    "(Sobel) as a map, and one constant box, the best of the held-out training images. A method that does not beat "
    "these says nothing about what the net has learned. `unusable`: constant or undefined maps, which count as misses."
)


def controls(entries: Sequence[Entry]) -> pd.DataFrame:
    by_key = _by(entries)
    variants = list(dict.fromkeys(e.variant for e in entries if e.variant != CONTROL))
    rows = []
    for net in _nets(entries):
        for method in _methods(entries):
            cells = {variant: by_key.get((net, method, variant)) for variant in variants}
            unusable = sum(cell.unusable_maps for cell in cells.values() if cell is not None)
            rows.append(
                {
                    "net": net,
                    "method": method,
                    **{v: _metric(cell) for v, cell in cells.items()},
                    "unusable": str(unusable),
                }
            )
    for entry in (e for e in entries if e.variant == CONTROL):
        rows.append(
            {
                "net": "no net",
                "method": entry.method.label,
                **dict.fromkeys(variants, ""),
                variants[0]: _metric(entry),
                "unusable": str(entry.unusable_maps),
            }
        )
    return pd.DataFrame(rows)


CLAIMS_NOTE = (
    "Error of the first minus the second in points, on the same images and resamples, with the paired 95% interval "
    "(each at its own alpha, which is taken as given); p after Holm's correction over all rows. `better`: the first "
    "errs less. One set of gates: the interval does not cover another training of them."
)


def claims(claimed: Sequence[Claim]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "net": claim.model,
                "method": claim.method,
                "first": claim.first,
                "second": claim.second,
                "difference": f"{100 * claim.difference:+.1f} [{100 * claim.low:+.1f}, {100 * claim.high:+.1f}]",
                "p (Holm)": f"{claim.p_holm:.4f}",
                "verdict": claim.verdict,
            }
            for claim in claimed
        ]
    )


def _verdicts(claimed: Sequence[Claim]) -> Lines:
    """One line per pair of variants, with the number of cells for each verdict."""
    lines = []
    for first, second in dict.fromkeys((claim.first, claim.second) for claim in claimed):
        verdicts = [claim.verdict for claim in claimed if (claim.first, claim.second) == (first, second)]
        words = ", ".join(f"{name} in {verdicts.count(name)}" for name in ("better", "worse", "not separable"))
        lines.append(f"- {first} against {second}: {words} of {len(verdicts)} cells")
    return lambda frame: [*lines, ""]


METRICS_NOTE = (
    "In percent with 95% intervals. Top-1: the whole net must classify the image correctly, too. MaxBoxAcc (Choe et "
    "al. 2020) takes the largest contour of a thresholded map at the threshold that is best on these very test images "
    "(V2: any contour, the mean over IoU .3, .5, .7), quirks of wsolevaluation included. Pointing game: the map's "
    "maximum lies in a true box. Higher is better in the last three."
)


def other_metrics(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        if not entry.metrics:
            continue
        row = {
            "net": entry.model.label,
            "method": entry.method.label,
            "variant": entry.variant,
            "alpha": f"{entry.alpha:g}",
        }
        row |= {title: _metric(entry, name) for name, title in METRICS.items()}
        rows.append(row)
    return pd.DataFrame(rows)


SUBNETS_NOTE = (
    "Means over classes: share of active channels in percent, balanced accuracy of whole net and subnet, one class "
    "against the rest on held-out training images, and subnets whose share was at most tau."
)


def about_subnets(folder: Path) -> list[str]:
    """Lines of Markdown beside the table: how many subnets meet tau, and what is not the paper's."""
    nets = read_net_reports(folder)
    options = next(iter(nets.values())).options.stated() if nets else {}
    texts = [tau_met([row for net in nets.values() for row in net.report], options), gate_departures(options)]
    return [*(f"- {text}" for text in texts if text), ""]


def subnets(folder: Path) -> pd.DataFrame:
    rows = []
    for net, meta in read_net_reports(folder).items():
        classes = meta.report
        mean = {
            name: sum(getattr(row, name) for row in classes) / len(classes)
            for name in ("active_total", "full_balanced_accuracy", "subnet_balanced_accuracy")
        }
        rows.append(
            {
                "net": net,
                "classes": str(len(classes)),
                "active": percent(mean["active_total"]),
                "balanced accuracy full": f"{mean['full_balanced_accuracy']:.3f}",
                "balanced accuracy subnet": f"{mean['subnet_balanced_accuracy']:.3f}",
                "tau met": f"{sum(row.tau_met for row in classes)} of {len(classes)}",
                "seconds": f"{meta.seconds:.0f}",
            }
        )
    return pd.DataFrame(rows)


COST_NOTE = "Milliseconds an image, map and no more, as this run took them; other work on the machine counts in."


def cost(entries: Sequence[Entry]) -> pd.DataFrame:
    by_key = _by(entries)
    variants = list(dict.fromkeys(e.variant for e in entries if e.variant != CONTROL))
    rows = []
    for net in _nets(entries):
        for method in _methods(entries):
            row = {"net": net, "method": method}
            for variant in variants:
                entry = by_key.get((net, method, variant))
                seconds = None if entry is None else entry.seconds_per_image
                row[variant] = "–" if seconds is None else f"{1000 * seconds:.2f}"
            rows.append(row)
    return pd.DataFrame(rows)
