"""Names on pages: of files, addresses, attacks, and of nets and boards, no two of which share one."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..detection.cells import column_title
from ..detection.entry import Entry, ModelNote
from ..detection.published import PUBLISHED_ATTACKS
from ..detection.suite import Pair
from ..harness.suite import DEVICE

#: The field's own names of attacks, by the first word of a label.
_ATTACKS = PUBLISHED_ATTACKS | {"pgd": "PGD", "apgd": "APGD", "square": "Square", "ddn": "DDN", "fmn": "FMN"}

#: Norms and losses as they are written beside them.
_VARIANTS = {"l0": "L0", "l1": "L1", "l2": "L2", "linf": "Linf", "ce": "CE", "dlr": "DLR"}

#: Words for what a recipe switches on or off, where two nets differ by it; others are named by their key.
_SWITCHES = {"whiten": ("whitened", "unwhitened")}


def slug(text: str) -> str:
    """A file name for any text: two texts never share one, even if the file system ignores case."""
    safe = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")[:80]
    if safe and safe == text and not DEVICE.fullmatch(safe):
        return safe
    return f"{safe or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def web_address(url: str) -> str | None:
    """The address if it is a web address; other schemes (javascript:, file:) are not linked."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    good = parts.scheme in ("http", "https") and parts.netloc and not re.search(r"[\s\x00-\x1f\x7f]", url)
    return url if good else None


def attack_name(label: str) -> str:
    """The field's own name of an attack: FGSM for fgsm, "CW, once" for a variant cw-once; other labels as they are."""
    stem, _, variant = label.partition("-")
    name = _ATTACKS.get(stem)
    if name is None:
        return label
    return f"{name}, {_VARIANTS.get(variant, variant)}" if variant else name


def pair_name(pair: Pair) -> str:
    """`column_title` with the field's own names of attacks."""
    return column_title((attack_name(pair[0]), attack_name(pair[1])))


def net_names(entries: Sequence[Entry]) -> dict[tuple[str, str], str]:
    """(data set, sha256 of the net) -> a name that no other net of the data set has.

    Nets of one name are told apart by what their recipes differ in, "wide7, unwhitened"; by their hash if by nothing.
    """
    nets: dict[tuple[str, str], dict[str, ModelNote]] = {}
    for entry in entries:
        nets.setdefault((entry.dataset.name, entry.net), {})[entry.model.sha256] = entry.model
    names: dict[tuple[str, str], str] = {}
    for (dataset, name), models in nets.items():
        for digest, words in _apart(models).items():
            names[dataset, digest] = f"{name}, {words}" if words else name
    return names


def board_names(parts: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    """Names from (data set, net, protocol, suite, id): the first three, and more where two would share a name."""
    names = [" · ".join(part[:3]) for part in parts]
    for more in (3, 4):
        count = Counter(names)
        names = [f"{name} · {part[more]}" if count[name] > 1 else name for name, part in zip(names, parts, strict=True)]
    return names


def _apart(models: Mapping[str, ModelNote]) -> dict[str, str]:
    """Words by hash that tell nets of one name apart; empty where there is but one."""
    if len(models) == 1:
        return dict.fromkeys(models, "")
    recipes = {digest: _recipe(model) for digest, model in models.items()}
    keys = sorted({key for recipe in recipes.values() for key in recipe} - {"seed"})
    differing = [key for key in keys if len({json.dumps(recipe.get(key)) for recipe in recipes.values()}) > 1]
    words = {digest: ", ".join(_word(key, recipe.get(key)) for key in differing) for digest, recipe in recipes.items()}
    count = Counter(words.values())
    return {digest: text if text and count[text] == 1 else digest[:8] for digest, text in words.items()}


def _recipe(model: ModelNote) -> dict[str, Any]:
    """How a net was trained, by its note; empty where that does not say."""
    stated = (model.weights or {}).get("recipe")
    try:
        recipe = json.loads(stated) if isinstance(stated, str) else {}
    except ValueError:
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _word(key: str, value: Any) -> str:
    if key in _SWITCHES:
        return _SWITCHES[key][0 if value else 1]
    if isinstance(value, bool) or value is None:
        return key if value else f"no {key}"
    return f"{key} {value}"
