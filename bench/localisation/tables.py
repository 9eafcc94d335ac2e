"""Tables of the localisation track, made of its entries and of nothing else: Table 1's shape, controls, claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.errors import UserError
from ..core.files import csv_text, read_json
from ..harness.tables import compare_files, percent, published_table
from .entry import FOLDER, Entry, read_frame, read_localisation
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


def write_wsol_tables(folder: Path, check: bool = False) -> list[Path]:
    """Write every table of a localisation folder; with ``check``, only compare with what is there."""
    return compare_files(folder, render(folder), check)


def render(folder: Path) -> dict[str, str]:
    """File name -> text of every table."""
    entries = read_localisation(folder)
    if not entries:
        raise UserError(f"There are no localisation entries under {folder}; run a wsol suite first.")
    said = read_json(folder / FOLDER / "claims.json")
    sections: list[tuple[str, str, Callable[[], pd.DataFrame], str]] = [
        ("table1", "Localisation error, whole net and subnet", lambda: table1(entries), TABLE1_NOTE),
        ("controls", "Beside the controls", lambda: controls(entries), CONTROLS_NOTE),
        ("claims", "Does the subnet localise better?", lambda: claimed(said["claims"]), CLAIMS_NOTE),
        ("metrics", "By other metrics", lambda: other_metrics(entries), METRICS_NOTE),
        ("subnets", "The subnets", lambda: subnets(folder), SUBNETS_NOTE),
        ("cost", "Cost of a map", lambda: cost(entries), COST_NOTE),
    ]
    made: dict[str, str] = {}
    report = [f"# {entries[0]['suite']['name']}", "", *_preamble(entries, said)]
    for name, title, make, note in sections:
        frame = make()
        if frame.empty:
            continue
        text = f"{frame.to_markdown(index=False, disable_numparse=True)}\n"
        made[f"{name}.csv"], made[f"{name}.md"] = csv_text(frame), text
        report += [f"## {title}", "", note, "", text]
        if name == "claims":
            report += [*_counted(said["claims"]), ""]
    reasons = sorted({(e["model"]["label"], e["method"]["label"], e["reason"]) for e in entries if "reason" in e})
    if reasons:
        report += ["## What could not be run", "", *(f"- {net}, {method}: {why}" for net, method, why in reasons), ""]
    made["report.md"] = "\n".join(report)
    return made


def recomputed(folder: Path, entry: Entry) -> dict[str, dict[str, float]]:
    """An entry's metrics anew from what happened to every image."""
    options = entry["statistics"]
    frame = read_frame(folder, entry)
    return measured_metrics(frame, drawn_counts(len(frame), options["resamples"], entry["seed"]), options["level"])


def _preamble(entries: Sequence[Entry], said: dict[str, Any]) -> list[str]:
    first = next((e for e in entries if e.get("metrics")), entries[0])
    data = first["dataset"]
    note = f" ({data['note']})" if data["note"] else ""
    lines = [
        f"- **data**: {data['name']}{note}, {said['images']} test images with boxes at {data['size']} pixels; alpha "
        f"chosen on {first.get('heldout_images', 0)} training images; left out for want of a usable box: "
        f"{said['left_out']['test']} test and {said['left_out']['train']} training images or lines",
    ]
    nets = {e["model"]["label"]: e["model"] for e in entries if e["model"]["accuracy"] is not None}
    lines += [
        f"- **{label}**: {model['name']}, {model['accuracy']:.2%} of the test images named right"
        for label, model in nets.items()
    ]
    lines.append(
        f"- seed {first['seed']}; subnetbench {first['versions']['subnetbench']}, torch "
        f"{first['versions']['torch']}, captum {first['versions']['captum']}"
    )
    return [*lines, ""]


def _metric(entry: Entry | None, name: str = "error") -> str:
    found = ((entry or {}).get("metrics") or {}).get(name)
    if not found:
        return "–"
    return f"{percent(found['value'])} [{percent(found['low'])}, {percent(found['high'])}]"


def _nets(entries: Iterable[Entry]) -> list[str]:
    return list(dict.fromkeys(e["model"]["label"] for e in entries if e["model"]["accuracy"] is not None))


def _methods(entries: Iterable[Entry]) -> list[str]:
    return list(dict.fromkeys(e["method"]["label"] for e in entries if e["variant"] != "control"))


def _by(entries: Iterable[Entry]) -> dict[tuple[str, str, str], Entry]:
    return {(e["model"]["label"], e["method"]["label"], e["variant"]): e for e in entries}


TABLE1_NOTE = (
    "Localisation error in percent, GT-known class: share of test images whose tightest box of heat > alpha x mean "
    "overlaps no true box by half, with its 95% interval over images; alpha is chosen on training images, for each "
    "cell. Published, where net and data are the published ones: Wang, Hu, Su, Table 1. Whether the "
    "two can be told apart stands in table `claims`."
)


def table1(entries: Sequence[Entry]) -> pd.DataFrame:
    reference = {tuple(key): value for *key, _, value in published_table(TABLE1).itertuples(index=False)}
    found = _by(entries)
    rows = []
    for method in _methods(entries):
        row: dict[str, Any] = {"method": method}
        for net in _nets(entries):
            for variant in ("normal", "subnet"):
                entry = found.get((net, method, variant))
                if entry is None:
                    continue
                row[f"{net} {variant} alpha"] = f"{entry['alpha']:g}" if entry.get("metrics") else "–"
                row[f"{net} {variant} error"] = _metric(entry)
                names = PUBLISHED_METHODS.get(entry["method"]["name"]), PUBLISHED_NETS.get(entry["model"]["name"])
                theirs = reference.get((*names, variant))
                if entry["dataset"]["name"] == PUBLISHED_DATASET and theirs is not None:
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
    found = _by(entries)
    variants = list(dict.fromkeys(e["variant"] for e in entries if e["variant"] != "control"))
    rows = []
    for net in _nets(entries):
        for method in _methods(entries):
            cells = {variant: found.get((net, method, variant)) for variant in variants}
            unusable = sum((cell or {}).get("unusable_maps", 0) for cell in cells.values())
            rows.append(
                {
                    "net": net,
                    "method": method,
                    **{v: _metric(cell) for v, cell in cells.items()},
                    "unusable": str(unusable),
                }
            )
    for entry in (e for e in entries if e["variant"] == "control"):
        rows.append(
            {
                "net": "no net",
                "method": entry["method"]["label"],
                **dict.fromkeys(variants, ""),
                variants[0]: _metric(entry),
                "unusable": str(entry["unusable_maps"]),
            }
        )
    return pd.DataFrame(rows)


CLAIMS_NOTE = (
    "Error of the first minus the second in points, on the same images and resamples, with the paired 95% interval "
    "(each at its own alpha, which is taken as given); p after Holm's correction over all rows. `better`: the first "
    "errs less. One set of gates: the interval does not cover another training of them."
)


def claimed(claims: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "net": c["model"],
                "method": c["method"],
                "first": c["first"],
                "second": c["second"],
                "difference": f"{100 * c['difference']:+.1f} [{100 * c['low']:+.1f}, {100 * c['high']:+.1f}]",
                "p (Holm)": f"{c['p_holm']:.4f}",
                "verdict": c["verdict"],
            }
            for c in claims
        ]
    )


def _counted(claims: Sequence[dict[str, Any]]) -> list[str]:
    """The claims in a sentence each: counts, so that nobody has to."""
    lines = []
    for first, second in dict.fromkeys((c["first"], c["second"]) for c in claims):
        verdicts = [c["verdict"] for c in claims if (c["first"], c["second"]) == (first, second)]
        words = ", ".join(f"{name} in {verdicts.count(name)}" for name in ("better", "worse", "not separable"))
        lines.append(f"- {first} against {second}: {words} of {len(verdicts)} cells")
    return lines


METRICS_NOTE = (
    "In percent with 95% intervals. Top-1: the whole net must name the class right, too. MaxBoxAcc (Choe et al. 2020) "
    "takes the largest contour of a thresholded map at the threshold that is best on these very test images (V2: any "
    "contour, the mean over IoU .3, .5, .7), quirks of wsolevaluation included. Pointing game: the map's maximum lies "
    "in a true box. Higher is better in the last three."
)


def other_metrics(entries: Sequence[Entry]) -> pd.DataFrame:
    rows = []
    for entry in entries:
        if not entry.get("metrics"):
            continue
        row = {
            "net": entry["model"]["label"],
            "method": entry["method"]["label"],
            "variant": entry["variant"],
            "alpha": f"{entry['alpha']:g}",
        }
        row |= {title: _metric(entry, name) for name, title in METRICS.items()}
        if entry["variant"] == "control":
            row[METRICS["top1_error"]] = "–"  # nobody names a class
        rows.append(row)
    return pd.DataFrame(rows)


SUBNETS_NOTE = (
    "Means over classes: share of active channels in percent, balanced accuracy of whole net and subnet, one class "
    "against the rest on held-out training images, and subnets whose share was at most tau."
)


def subnets(folder: Path) -> pd.DataFrame:
    path = folder / FOLDER / "subnets.json"
    rows = []
    for net, meta in (read_json(path)["nets"] if path.is_file() else {}).items():
        report = meta["report"]
        mean = {
            name: sum(row[name] for row in report) / len(report)
            for name in ("active_total", "full_balanced_accuracy", "subnet_balanced_accuracy")
        }
        rows.append(
            {
                "net": net,
                "classes": str(len(report)),
                "active": percent(mean["active_total"]),
                "balanced accuracy full": f"{mean['full_balanced_accuracy']:.3f}",
                "balanced accuracy subnet": f"{mean['subnet_balanced_accuracy']:.3f}",
                "tau met": f"{sum(row['tau_met'] for row in report)} of {len(report)}",
                "seconds": f"{meta['seconds']:.0f}",
            }
        )
    return pd.DataFrame(rows)


COST_NOTE = "Milliseconds an image, map and no more, as this run took them; other work on the machine counts in."


def cost(entries: Sequence[Entry]) -> pd.DataFrame:
    found = _by(entries)
    variants = list(dict.fromkeys(e["variant"] for e in entries if e["variant"] != "control"))
    rows = []
    for net in _nets(entries):
        for method in _methods(entries):
            row = {"net": net, "method": method}
            for variant in variants:
                seconds = (found.get((net, method, variant)) or {}).get("seconds_per_image")
                row[variant] = "–" if seconds is None else f"{1000 * seconds:.2f}"
            rows.append(row)
    return pd.DataFrame(rows)
