"""Whether a suite's attacks are as strong as they claim: what a reader should know of each, in one place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ...attacks.contract import Attack
from ..core.store import Arrays
from .aim import TOO_FAR, seeks_least_norm, stated_aim
from .attacked import Attacked
from .effort import good_of
from .suite import AttackPart

#: A median norm this much above another attack's is remarked on; below it, two attacks are as good as each other.
MARGIN = 1.1

#: Images that both attacks have to fool before their medians are compared.
LEAST = 10


def remarks(attacked: Attacked, parts: Sequence[AttackPart]) -> dict[str, str]:
    """Remarks on the attacks that have any, by label."""
    facts = {part.title: attacked.strength(part) for part in parts}
    infos = {part.title: attacked.attacks[part.title].info for part in parts}
    norms = {title: info.norm for title, info in infos.items() if info.threat == "minimum-norm"}
    judged = [title for title in norms if _minimises(attacked.attacks[title])]
    further = weaker({title: facts[title] for title in norms}, norms, judged)
    found = {
        part.title: [*attacked.remarks(part), *below_floor(facts[part.title], part.floor), *further.get(part.title, [])]
        for part in parts
    }
    return {title: "; ".join(texts) for title, texts in found.items() if texts}


def below_floor(facts: Arrays, floor: float | None) -> list[str]:
    """A remark where the attack fools a smaller share of the correctly classified images than its suite asks for."""
    correct, good = facts["clean_correct"].astype(bool), good_of(facts)
    if floor is None or not correct.any() or good.sum() >= floor * correct.sum():
        return []
    return [
        f"it is too weak: it fools {100 * good.sum() / correct.sum():.1f}% of the images, and its floor is "
        f"{100 * floor:.1f}%"
    ]


def _minimises(attack: Attack) -> bool:
    return seeks_least_norm(attack.info.threat, attack.parameters, stated_aim(attack))


def weaker(
    facts: Mapping[str, Arrays], norms: Mapping[str, str], judged: Collection[str] | None = None
) -> dict[str, list[str]]:
    """For each minimum-norm attack that another one of its norm beats, the one that does so most.

    ``judged``: those that look for the least norm; default: all. The others may still beat one of them. ``facts`` are
    of `verify`. Medians are over the images that both fool: each attack's own would compare other images.
    """
    good = {title: good_of(of_attack) for title, of_attack in facts.items()}
    found: dict[str, list[str]] = {}
    for title, norm in norms.items():
        if judged is not None and title not in judged:
            continue
        worst, text = MARGIN, ""
        for other in norms:
            both = good[title] & good[other]
            if other == title or norms[other] != norm or both.sum() < LEAST:
                continue
            own, least = (float(np.median(facts[name][norm.lower()][both])) for name in (title, other))
            if own > worst * least > 0:
                worst = own / least
                text = (
                    f"its median {norm} is {own:.3g} on the {int(both.sum())} images that {other} fools too, with "
                    f"{least:.3g} ({100 * (worst - 1):.0f}% more): {TOO_FAR}"
                )
        if text:
            found[title] = [text]
    return found
