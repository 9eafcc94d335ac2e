"""The claims of the attack contract, each a function that returns an outcome and what it measured, or raises `Broken`.

`attacks.conduct` looks for two of these faults while a run makes its images; what counts as a fault is written there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch

from ...attacks.conduct import COUPLED, FEW, UNSTEADY, differ
from ...attacks.contract import AttackInfo
from ..core.hashing import canonical
from ..harness.plugins import info_fault
from .attack_material import AttackMaterial
from .checks import Outcome
from .material import Broken

#: What a check says: its outcome and its message.
Finding = tuple[Outcome, str]
AttackClaim = Callable[[AttackMaterial], Finding]

#: Sizes of batches that any attack has to take, and the most by which a pixel may differ between them: sums are made
#: in another order, and iterations amplify that.
SIZES, ROUNDING = (1, 3, 7), 2e-3

#: Shares of images above which a fault is certain, and above which it is worth a look.
CERTAIN, DOUBT = 0.25, 0.1

#: Attributes that are not read off an attack: its info declares them.
UNDECLARED = ("batch_coupled", "batch_size")


def built(material: AttackMaterial) -> Finding:
    material.factory()
    return "passes", ""


def info(material: AttackMaterial) -> Finding:
    fault = info_fault(material.attack, AttackInfo)
    if fault is not None:
        raise Broken(fault)
    stated = material.info
    for field in ("title", "year", "library", "version"):
        if not getattr(stated, field):
            raise Broken(f"info.{field} is empty")
    if stated.threat == "budget" and not (stated.epsilon or 0) > 0:
        raise Broken(f"info.threat is 'budget' and info.epsilon is {stated.epsilon}; state the budget in pixel units")
    if stated.threat != "budget" and stated.epsilon is not None:
        raise Broken(f"info.epsilon is {stated.epsilon}, which only an attack with threat='budget' keeps to")
    if stated.batch_size is not None and stated.batch_size < 1:
        raise Broken(f"info.batch_size is {stated.batch_size}; give a number of images, or None")
    for name in UNDECLARED:
        if getattr(material.attack, name, None) and not getattr(stated, name):
            raise Broken(f"the attribute {name} is not read; declare it as info.{name}")
    reach = "" if stated.epsilon is None else f" of {stated.epsilon:.4g}"
    return "passes", f"{stated.title} ({stated.year}), {stated.threat}{reach} in {stated.norm}"


def legal(material: AttackMaterial) -> Finding:
    images = material.adversarial
    return "passes", f"{len(images)} images, values from {images.min():.3g} to {images.max():.3g}"


def same(material: AttackMaterial) -> Finding:
    part = slice(0, min(material.size, material.count))
    again = material.legal(material.images[part], material.again.result)
    difference = float((material.adversarial[part] - again).abs().max())
    if difference:
        raise Broken(f"{UNSTEADY}, by up to {difference:.2g}; draw from the generator that is handed in")
    return "passes", "no difference at all" + ("" if material.first.drew else "; it draws nothing at random")


def parameters(material: AttackMaterial) -> Finding:
    stated = material.attack.parameters
    if not isinstance(stated, Mapping):
        raise Broken(f"parameters is a {type(stated).__name__}; return a dict of the constructor's arguments")
    try:
        canonical(dict(stated))
    except (TypeError, ValueError):
        raise Broken("parameters cannot be stated in an entry; return numbers, texts, lists and dicts alone") from None
    try:
        again = material.factory(**stated).parameters
    except TypeError as error:
        raise Broken(f"the constructor does not take its own parameters ({error})") from None
    if canonical(dict(again)) != canonical(dict(stated)):
        raise Broken(f"made again from its parameters {dict(stated)}, it has {dict(again)}")
    return "passes", ", ".join(f"{key}={value}" for key, value in stated.items()) or "none"


def inputs(material: AttackMaterial) -> Finding:
    if material.first.inputs:
        raise Broken(f"the {' and '.join(material.first.inputs)} handed in changed; work on a copy")
    return "passes", ""


def classifier(material: AttackMaterial) -> Finding:
    if material.first.classifier:
        raise Broken(material.first.classifier)
    return "passes", "weights, gradients, requires_grad, modes and hooks"


def mode(material: AttackMaterial) -> Finding:
    part = slice(0, min(FEW, material.size))
    changed = material.call(material.images[part], material.labels[part], training=True).modes
    if changed:
        raise Broken(f"of a net in training mode, {changed}; restore it")
    return "passes", ""


def world(material: AttackMaterial) -> Finding:
    if material.first.world:
        raise Broken(f"{material.first.world} changed; draw from the generator that is handed in, and set nothing")
    return "passes", ""


def before(material: AttackMaterial) -> Finding:
    few = min(FEW, material.size)
    images, labels = material.images, material.labels
    expected = material.made(images[:few], labels[:few])
    attack = material.factory()
    material.call(images[few : 2 * few], labels[few : 2 * few], attack=attack)
    if differ(expected, material.made(images[:few], labels[:few], attack=attack)):
        raise Broken("images that the same instance attacked before matter; keep nothing between calls")
    return "passes", ""


def neighbours(material: AttackMaterial) -> Finding:
    size = material.info.batch_size or 2 * FEW
    half = size // 2
    if not half:
        return "measured", "it declares batches of a single image"
    images, labels = material.images[:size], material.labels[:size]
    alone = material.made(images, labels)[:half]
    for others, rest, truth in _others(material, half, len(images) - half):
        beside = material.made(torch.cat([images[:half], rest]), torch.cat([labels[:half], truth]))[:half]
        if differ(alone, beside):
            if material.info.batch_coupled:
                return "measured", f"it declares batch_coupled, and so it is beside {others}"
            raise Broken(f"beside {others}, {COUPLED} (by up to {float((alone - beside).abs().max()):.2g})")
    declared = "; it declares batch_coupled, of which nothing is seen" if material.info.batch_coupled else ""
    return ("measured" if declared else "passes"), f"{half} images beside three sets of neighbours{declared}"


def _others(material: AttackMaterial, half: int, count: int) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """Neighbours: other images, copies of one, and images that the net calls something else from the start."""
    images, labels = material.images, material.labels
    yield "other images", images[-count:], labels[-count:]
    yield "copies of one image", images[:1].repeat(count, 1, 1, 1), labels[:1].repeat(count)
    some = slice(half, half + count)
    yield "images that are misclassified", images[some], second(material, images[some])


def second(material: AttackMaterial, images: torch.Tensor) -> torch.Tensor:
    """The class that the net names second for each image."""
    with torch.no_grad():
        logits: torch.Tensor = material.net(images)
    return logits.topk(2, dim=1).indices[:, 1]


def sizes(material: AttackMaterial) -> Finding:
    stated = material.info.batch_size
    wanted = SIZES if stated is None else tuple(sorted({1, max(1, stated - 1), stated}))
    apart: list[bool] = []
    for size in wanted:
        images = material.made(material.images[:size], material.labels[:size])
        change = (images - material.adversarial[:size]).abs().flatten(1).amax(1)
        apart += (change > ROUNDING).tolist()
    taken = f"batches of {', '.join(map(str, wanted))} are taken"
    if stated is not None:
        return "passes", f"{taken}; it declares {stated}, and the last batch of a run may be smaller"
    if material.first.drew or material.info.batch_coupled:
        why = "it is coupled" if material.info.batch_coupled else "what it draws for an image depends on the batch"
        return "passes", f"{taken}; results are not compared, since {why}"
    share = sum(apart) / len(apart)
    if share > CERTAIN:
        raise Broken(f"the batch size matters: {sum(apart)} of {len(apart)} images are others in other batches")
    return ("warning" if share > DOUBT else "passes"), f"{taken}; {sum(apart)} of {len(apart)} images differ"


def empty(material: AttackMaterial) -> Finding:
    none = material.images[:0]
    material.legal(none, material.call(none, material.labels[:0]).result)
    return "passes", ""


def labels(material: AttackMaterial) -> Finding:
    """Labels are classes to leave: with the net's second choice as the label, an image must not be moved there."""
    part = slice(0, min(material.size, material.count))
    images, wrong = material.images[part], second(material, material.images[part])
    made = material.made(images, wrong)
    with torch.no_grad():
        moved = (material.net(made).argmax(1) == wrong).float()
    told = f"{int(moved.sum())} of {len(moved)} images were moved into the class that they are labelled with"
    if float(moved.mean()) > CERTAIN:
        raise Broken(f"labelled with the net's second choice, {told}; a label is the class to leave")
    return ("warning" if float(moved.mean()) > DOUBT else "passes"), told


#: What every other claim rests on, from cause to effect.
ATTACK_ROOTS: Mapping[str, AttackClaim] = {
    "it can be made without parameters": built,
    "info says what it is": info,
    "it gives images: float32, of their shape, finite, in [0, 1]": legal,
    "the same images and generator give the same result": same,
}

#: By name, in reporting order.
ATTACK_CLAIMS: Mapping[str, AttackClaim] = {
    "it can be made again from its parameters": parameters,
    "images and labels are left as they were": inputs,
    "the classifier is left as it was": classifier,
    "train and evaluation mode are left as they were": mode,
    "global random state is left as it was": world,
    "what was attacked before does not matter": before,
    "an image does not depend on its neighbours": neighbours,
    "any batch size is taken": sizes,
    "an empty batch gives an empty batch": empty,
    "labels are classes to leave": labels,
}
