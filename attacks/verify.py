"""Run an attack batch by batch and check every example in float32, whatever the attack itself reports."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..bench.core.arrays import Ints
from ..bench.core.errors import UserError, reason_of
from ..bench.models.classifier import Classifier, evaluating
from .contract import Attack, AttackInfo

#: Distance outside [0, 1] that rounding may cause; anything further is the attack's mistake.
TOLERANCE = 1e-6

#: Share by which rounding may carry an image over its budget.
SLACK = 1e-4


class AttackFailed(UserError):  # noqa: N818 (a fact about an attack, which its cells state)
    """An attack raised, or gave what breaks its contract: there are no images of it to score."""


def craft(
    attack: Attack,
    classifier: Classifier,
    images: torch.Tensor,
    labels: torch.Tensor | Ints,
    *,
    seed: int,
    batch_size: int = 250,
    first: int = 0,
    name: str = "",
    progress: Callable[[int, int], None] | None = None,
    broken: list[int] | None = None,
) -> torch.Tensor:
    """The results of ``attack`` on ``images`` ``(N, C, H, W)``: legal images in [0, 1], on the images' device.

    Each batch has its own generator, seeded by ``seed`` and the batch's position. ``first`` is the position of
    ``images[0]`` in the whole set, so that any part can be computed alone. An attack's ``info.batch_size`` overrides
    ``batch_size``. Any exception of the attack, and a result of the wrong shape, dtype or range becomes `AttackFailed`
    with the attack's name; an image with NaN is replaced by the clean one, and so can only fail. Its position is added
    to ``broken``; without that list there is a warning.
    """
    name = name or type(attack).__name__
    targets = torch.as_tensor(labels)
    batch_size = attack.info.batch_size or batch_size
    device = next(classifier.parameters()).device
    made = []
    for begin in range(0, len(images), batch_size):
        clean = images[begin : begin + batch_size]
        try:
            with evaluating(classifier):
                adversarial = attack(
                    classifier,
                    clean.to(device, copy=True),
                    targets[begin : begin + batch_size].to(device),
                    generator=batch_generator(seed, first + begin),
                )
        except UserError:
            raise
        except Exception as error:
            raise AttackFailed(
                f"The attack {name} failed on images {first + begin} to {first + begin + len(clean) - 1}: "
                f"{reason_of(error, typed=True)}"
            ) from error
        legal, finite = legalise(clean, adversarial, name)
        if broken is not None:
            broken += (begin + np.flatnonzero(~finite.cpu().numpy())).tolist()
        elif not finite.all():
            warnings.warn(
                f"The attack {name} gave NaN or infinity for {int((~finite).sum())} images; they count as failures.",
                stacklevel=2,
            )
        made.append(legal)
        if progress:
            progress(begin + len(clean), len(images))
    return torch.cat(made) if made else images.clone()


def batch_generator(seed: int, begin: int) -> torch.Generator:
    """A CPU generator for the batch that starts at image ``begin``; different batches draw differently."""
    state = np.random.SeedSequence([seed, begin]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def legalise(clean: torch.Tensor, adversarial: Any, name: str = "given") -> tuple[torch.Tensor, torch.Tensor]:
    """The adversarial images on ``clean``'s device, within [0, 1], and which of them were finite ``(N,)``.

    Overshoots of up to 1e-6 are clipped; images with NaN or infinity are replaced by the clean ones. Anything else that
    breaks the contract is `AttackFailed`, which names the attack.
    """
    if not isinstance(adversarial, torch.Tensor):
        raise AttackFailed(f"The attack {name} returned {type(adversarial).__name__}; it must return a torch tensor.")
    if adversarial.shape != clean.shape or adversarial.dtype != torch.float32:
        raise AttackFailed(
            f"The attack {name} returned {adversarial.dtype} of shape {tuple(adversarial.shape)}; it must return "
            f"torch.float32 of the images' shape {tuple(clean.shape)}."
        )
    adversarial = adversarial.detach().to(clean.device)
    finite = torch.isfinite(adversarial.flatten(1)).all(1)
    adversarial = torch.where(finite.view(-1, 1, 1, 1), adversarial, clean)
    if adversarial.numel():
        low, high = float(adversarial.min()), float(adversarial.max())
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            raise AttackFailed(f"The attack {name} returned values in [{low:g}, {high:g}]; it must stay within [0, 1].")
    return adversarial.clamp(0, 1), finite


def check_budget(info: AttackInfo, facts: Mapping[str, npt.NDArray[Any]], name: str = "given") -> None:
    """Raise `AttackFailed` where an image is further from its clean one (``facts`` of `verify`) than the budget."""
    if info.epsilon is None or info.threat != "budget":
        return
    norms = facts[info.norm.lower()]
    over = int((norms > info.epsilon * (1 + SLACK) + TOLERANCE).sum())
    if over:
        raise AttackFailed(
            f"The attack {name} declares a budget of {info.epsilon:.4g} in {info.norm} and moved {over} of "
            f"{len(norms)} images further, by up to {norms.max():.4g}; it must stay within what it declares."
        )


def verify(
    classifier: Classifier,
    clean: torch.Tensor,
    adversarial: torch.Tensor,
    labels: torch.Tensor | Ints,
    *,
    batch_size: int = 250,
    name: str = "given",
) -> dict[str, npt.NDArray[Any]]:
    """Measurements of each adversarial image by a float32 pass in evaluation mode. Every array is ``(N,)``.

    - ``success``        the classifier predicts a class other than the label, whatever it predicts for the clean image
    - ``clean_correct``  the clean image is correctly classified; only these successes are the attack's
    - ``l0`` to ``linf``  norms of the change, in pixel units; ``l0`` counts values that differ by more than rounding
    - ``margin``         largest other logit minus the label's: above 0 exactly where ``success`` holds (a tie is none)
    - ``survives_8bit``  still a success after rounding to multiples of 1/255
    - ``finite``         the image had no NaN or infinity; one that did counts as the clean image and as a failure
    """
    device = next(classifier.parameters()).device
    targets = torch.as_tensor(labels)
    adversarial, finite = legalise(clean, adversarial, name)
    columns: dict[str, list[torch.Tensor]] = {
        key: [] for key in ("success", "clean_correct", "l0", "l1", "l2", "linf", "margin", "survives_8bit")
    }
    # TF32 convolutions, the default on recent GPUs, keep ten bits: coarse enough to undo a minimum-norm success.
    with torch.no_grad(), evaluating(classifier), torch.backends.cudnn.flags(allow_tf32=False):
        for begin in range(0, len(clean), batch_size):
            part = slice(begin, begin + batch_size)
            x, y, label = clean[part].to(device), adversarial[part].to(device), targets[part].to(device)
            change = (y - x).flatten(1)
            margin = _margin(classifier, y, label)
            columns["success"].append((margin > 0) & finite[part].to(device))
            columns["clean_correct"].append(_margin(classifier, x, label) < 0)
            columns["l0"].append((change.abs() > TOLERANCE).sum(1))
            columns["l1"].append(change.abs().sum(1))
            columns["l2"].append(change.norm(dim=1))
            columns["linf"].append(change.abs().amax(1))
            columns["margin"].append(margin)
            rounded = _margin(classifier, (y * 255).round() / 255, label) > 0
            columns["survives_8bit"].append(rounded & columns["success"][-1])
    results = {key: torch.cat(parts).cpu().numpy() if parts else np.empty(0) for key, parts in columns.items()}
    return {**results, "finite": finite.cpu().numpy()}


def _margin(classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = classifier(images)
    other = logits.scatter(1, labels.unsqueeze(1), -torch.inf).amax(1)
    return other - logits.gather(1, labels.unsqueeze(1)).squeeze(1)


def noise_of_norm(clean: torch.Tensor, l2: torch.Tensor | npt.NDArray[Any], generator: torch.Generator) -> torch.Tensor:
    """``clean`` with Gaussian noise whose norm, after clipping to [0, 1], is each image's ``l2`` ``(N,)``.

    Clipping shortens the noise, so its scale is raised by wanted / actual, 50 times. Measured on digits and on uniform
    pixels, this comes within 0.01% if the wanted norm is at most 80% of the largest that the noise's signs allow (every
    pixel at 0 or 1), and is 1.5% short at 95%; noise that would not fit in the box stays shorter than wanted.
    """
    wanted = torch.as_tensor(l2, dtype=torch.float32).to(clean.device).view(-1, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    scale: torch.Tensor = wanted / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    for _ in range(50):
        actual = ((clean + scale * noise).clamp(0, 1) - clean).flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        scale = torch.where(actual > 0, scale * wanted / actual, scale).clamp(max=1e6)
    return (clean + scale * noise).clamp(0, 1)
