"""From a classifier and its training images to one subnet per class, with a report on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..bench.core.arrays import ClassGates, Ints
from ..bench.core.errors import UserError
from ..bench.data.dataset import Split
from ..bench.models.classifier import Classifier
from .calibration import Calibration, fit_calibration
from .frozen import BATCH, GatedNet, Images
from .gates import GateOptions, active_fraction, binarise, total_active_fraction
from .learn import choose_epoch, draw, learn

Progress = Callable[[int, int, str], None]

#: Held-out balanced accuracy up to which a subnet tells its class from the others no better than chance.
CHANCE = 0.55
#: Minimum number of held-out images of other classes, if there are as many: a rare class's accuracy would be noise.
MIN_OTHERS = 200


@dataclass(frozen=True)
class Extraction:
    """Gates of all classes, path -> ``(classes, channels)`` float32 on the CPU, and a report on their quality.

    ``report`` has one row per class:
    ``class``; ``images`` (trained on); ``epoch`` (from 1), ``tau_met``; ``losses`` and ``active_by_epoch``; ``active``
    (path -> share of active channels) and ``active_total``; ``held_out`` (own and other images); balanced accuracy and
    BCE (own and other images weighted equally) of the full net and the subnet, one-vs-rest on held-out training
    images, calibrated and ``raw_``; ``collapsed``.
    """

    gates: ClassGates
    report: list[dict[str, Any]]
    calibration: Calibration


def extract(
    classifier: Classifier, images: Split, options: GateOptions, *, progress: Progress | None = None
) -> Extraction:
    """Learn one channel-gated subnet per class from training images (uint8 NHWC with labels).

    Raises UserError if the net has no such gate position, a class has too few images, labels and net do not match,
    or a subnet is collapsed and ``options.allow_collapsed`` is False.
    """
    paths = classifier.gated_paths(options.position)
    train, held_out = split_classes(images.labels, classifier.classes, options)
    # From here on, images are identified by their position among those in use.
    used = np.sort(np.concatenate([*train, *held_out]))
    train = [np.searchsorted(used, index) for index in train]
    held_out = [np.searchsorted(used, index) for index in held_out]
    net = GatedNet(classifier, paths)
    seen = Images(net, images.select(used), options.prefix_mib)
    fitting = torch.from_numpy(np.concatenate(train)).to(net.device)
    labels = torch.from_numpy(images.labels[used]).to(net.device)
    calibration = Calibration.none(classifier.classes)
    if options.calibrate:
        calibration = fit_calibration(seen.logits[fitting], labels[fitting])

    gates, report = _learn_all(net, seen, train, calibration, options, progress)
    by_path, overall = active_fraction(gates), total_active_fraction(gates)
    for label, row in enumerate(report):
        row["active"] = {path: float(share[label]) for path, share in by_path.items()}
        row["active_total"] = float(overall[label])
        row |= held_out_scores(net, seen, held_out, label, gates, calibration, options.seed)
        at_chance = row["subnet_balanced_accuracy"] <= CHANCE < row["full_balanced_accuracy"]
        row["collapsed"] = bool(at_chance or min(row["active"].values()) == 0)
    if not options.allow_collapsed:
        refuse_collapsed(report, options)
    return Extraction(gates, report, calibration)


def _learn_all(
    net: GatedNet,
    images: Images,
    train: Sequence[Ints],
    calibration: Calibration,
    options: GateOptions,
    progress: Progress | None,
) -> tuple[ClassGates, list[dict[str, Any]]]:
    """The final gates, and a row per class on how they were learned and which epoch was chosen."""
    classes, images_used = len(train), sum(map(len, train))
    done, total = 0, options.epochs * sum(len(own) + min(len(own), images_used - len(own)) for own in train)
    rows: list[dict[str, Any]] = []
    parts: dict[str, list[torch.Tensor]] = {path: [] for path in net.paths}
    for begin in range(0, classes, options.chunk):
        chunk = range(begin, min(begin + options.chunk, classes))

        def tick(count: int, chunk: range = chunk) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, total, f"gates of classes {chunk[0]} to {chunk[-1]}")

        epochs = learn(net, images, train, chunk, calibration, options, tick)
        for row, label in enumerate(chunk):
            losses, active = [e.loss[row] for e in epochs], [e.active[row] for e in epochs]
            epoch, met = choose_epoch(losses, active, options.tau, options.fallback)
            for path in net.paths:
                parts[path].append(epochs[epoch].gates[path][row].float())
            rows.append(
                {
                    "class": label,
                    "images": len(train[label]),
                    "epoch": epoch + 1,
                    "tau_met": met,
                    "losses": losses,
                    "active_by_epoch": active,
                }
            )
    gates: ClassGates = {path: torch.stack(stack) for path, stack in parts.items()}
    alive = binarise(gates, options.threshold)
    # A dead gate becomes exactly 0 in continuous gates as well; otherwise "dead" channels would leak a little.
    return (alive if options.binary else {path: gate * alive[path] for path, gate in gates.items()}), rows


def split_classes(labels: Ints, classes: int, options: GateOptions) -> tuple[list[Ints], list[Ints]]:
    """Positions of each class's images for training and of those held out, drawn with the seed.

    Both are at most ``images_per_class``. Raises UserError if a class has fewer than two images.
    """
    if len(labels) and labels.max() >= classes:
        raise UserError(
            f"An image has label {labels.max()} and the net has {classes} classes (from 0); "
            "give the training images that the net was made for."
        )
    train, held_out = [], []
    for label in range(classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise UserError(
                f"Class {label} has {len(members)} training images, and a subnet needs at least 2 (one is held "
                "out); give more images of it."
            )
        members = draw(options.seed, "split", label).permutation(members)
        cut = max(1, round(len(members) * options.holdout))
        cut = min(cut, len(members) - 1)
        held_out.append(np.sort(members[:cut][: options.images_per_class]))
        train.append(np.sort(members[cut:][: options.images_per_class]))
    return train, held_out


def held_out_scores(
    net: GatedNet,
    images: Images,
    held_out: Sequence[Ints],
    label: int,
    gates: ClassGates,
    calibration: Calibration,
    seed: int,
) -> dict[str, Any]:
    """One-vs-rest balanced accuracy and BCE of class ``label`` for the full net and its subnet."""
    own = held_out[label]
    others = np.concatenate([index for other, index in enumerate(held_out) if other != label])
    count = min(len(others), max(len(own), MIN_OTHERS))
    others = draw(seed, "report", label).choice(others, count, replace=False)
    index = np.concatenate([own, others])
    row = {path: gate[label : label + 1].to(net.device, net.dtype) for path, gate in gates.items()}
    with torch.no_grad():
        gated = torch.cat(
            [
                net.logits(images.hidden(index[begin : begin + BATCH]), row)[:, label]
                for begin in range(0, len(index), BATCH)
            ]
        )
    full = images.logits[torch.from_numpy(index).to(net.device), label]
    chosen = torch.full_like(full, label, dtype=torch.int64)
    result: dict[str, Any] = {"held_out": [len(own), len(others)]}
    for name, logits in (("full", full), ("subnet", gated)):
        for prefix, values in (("", calibration(logits, chosen)), ("raw_", logits)):
            accuracy, entropy = balanced_scores(values[: len(own)], values[len(own) :])
            result[f"{prefix}{name}_balanced_accuracy"] = accuracy
            result[f"{prefix}{name}_bce"] = entropy
    return result


def balanced_scores(own: torch.Tensor, others: torch.Tensor) -> tuple[float, float]:
    """Balanced accuracy and BCE of one-vs-rest logits, with equal weight for the class's own and the other images."""
    accuracy = ((own > 0).double().mean() + (others <= 0).double().mean()) / 2
    entropy = (F.softplus(-own).double().mean() + F.softplus(others).double().mean()) / 2
    return float(accuracy), float(entropy)


def refuse_collapsed(report: Sequence[Mapping[str, Any]], options: GateOptions) -> None:
    """Raise UserError if a class's subnet in an `Extraction`'s report is collapsed."""
    names = [str(row["class"]) for row in report if row["collapsed"]]
    if names:
        some = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        alternative = "" if options.l1 == "layersum" else ' or set l1 = "layersum"'
        raise UserError(
            f"The subnets of {len(names)} of {len(report)} classes are collapsed (class {some}): a gated layer has no "
            f"active channel, or the subnet tells its class from others no better than chance. Lower gamma (now "
            f"{options.gamma:g}){alternative}, or set allow_collapsed."
        )
