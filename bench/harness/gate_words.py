"""What a report says of its class gates: how they differ from the paper's, and how many are as sparse as it asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .reports import ClassReport

#: Values that the paper states, and how to name ours; None: all images of a class.
_STATED: dict[str, tuple[str, Any]] = {
    "learning_rate": ("Adam at {}", 0.1),
    "batch_size": ("batches of {}", 64),
    "epochs": ("{} epochs", 5),
    "images_per_class": ("{} images a class", None),
    "gamma": ("gamma {}", 0.05),
    "tau": ("tau {}", 0.5),
}

_FALLBACKS = {"sparsest": "their sparsest epoch", "loss": "their epoch of least loss"}


def gate_departures(options: Mapping[str, Any]) -> str:
    """Every option that is not the paper's, and the choices that it leaves open; options not given are not named."""
    differs = list(_differing(options))
    chosen = [
        f"{words} `{options[key]}`" for key, words in (("position", "position"), ("l1", "L1 norm")) if key in options
    ]
    text = f"Gates, with the paper's value in brackets: {'; '.join(differs)}." if differs else ""
    return text + (f" Left open by the paper: {', '.join(chosen)}." if chosen else "")


def _differing(options: Mapping[str, Any]) -> Iterator[str]:
    for key, (words, theirs) in _STATED.items():
        if key in options and options[key] != theirs:
            yield f"{words.format(options[key])} ({'all' if theirs is None else format(theirs, 'g')})"
    if options.get("binary"):
        yield "binary gates (factors of 0 and above)"
    if options.get("calibrate"):
        yield "logits calibrated before the sigmoid (as they are)"


def tau_met(reports: Sequence[ClassReport], options: Mapping[str, Any]) -> str:
    """How many subnets are as sparse as the paper asks every one to be, and what the others are."""
    met = sum(report.tau_met for report in reports)
    tau = f" (at most {options['tau']:g} of its channels active)" if "tau" in options else ""
    text = f"The paper asks every subnet to meet tau{tau}: here {met} of {len(reports)} do."
    instead = _FALLBACKS.get(options.get("fallback", ""))
    return text if met == len(reports) or instead is None else f"{text} The others are those of {instead}."
