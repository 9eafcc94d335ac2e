"""The four attacks as in the released code of Lee et al. 2018, oddities included; written from its behaviour.

Lee et al. work on normalised images and clamp with one minimum and maximum for all channels, which admits images
outside [0, 1]. Here each result is clamped to the legal box [0, 1] wherever theirs is clamped to that range; all else
follows their code. Lengths below are in pixel units ([0, 1]) or in normalised units (pixel / std), as stated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..bench.core.registry import register_attack
from ..bench.models.classifier import Classifier
from .base import BIMProblem, CWProblem, DeepFoolProblem, FGSMProblem, Problem, deepfool_passes, number, whole

#: DeepFool's step size for each net and data set, hard-coded in the released code.
STEP_SIZES = {
    "resnet": {"cifar10": 0.18, "cifar100": 0.03, "svhn": 0.1},
    "densenet": {"cifar10": 0.6, "cifar100": 0.1, "svhn": 0.5},
}


class _Lee2018(Problem):
    library = "subnetbench"
    distribution = "subnetbench"


@register_attack("lee2018/fgsm")
@dataclass(frozen=True, kw_only=True)
class FGSM(_Lee2018, FGSMProblem):
    """``epsilon`` is in pixel units; a pixel whose gradient is zero moves up, since the sign comes from ``>= 0``."""

    epsilon: float = 0.05

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        up = _loss_gradient(classifier, images, labels) >= 0
        return (images + self.epsilon * torch.where(up, 1.0, -1.0)).clamp(0, 1)


@register_attack("lee2018/bim")
@dataclass(frozen=True, kw_only=True)
class BIM(_Lee2018):
    """``steps`` sign steps, clamped to the box after each and never projected onto a ball around the image.

    The first is ``step_size`` in normalised units (its gradient is not divided by std), the others in pixel units:
    a pixel moves by at most ``step_size (steps - 1 + std)``. The sign of zero is zero here, unlike in FGSM.
    """

    title, year, url = BIMProblem.title, BIMProblem.year, BIMProblem.url
    threat = "budget"
    norm = "Linf"

    step_size: float = 0.01
    steps: int = 6

    def __post_init__(self) -> None:
        number(self, "step_size", above=0, most=1)
        whole(self, "steps", least=1)

    @property
    def _reach(self) -> float:
        return self.steps * self.step_size  # a bound: std is at most 1 for pixels in [0, 1]

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        x, scale = images, _std(classifier)
        for _ in range(self.steps):
            x = (x + self.step_size * scale * _loss_gradient(classifier, x, labels).sign()).clamp(0, 1)
            scale = torch.ones_like(scale)
        return x


@register_attack("lee2018/deepfool")
@dataclass(frozen=True, kw_only=True)
class DeepFool(_Lee2018):
    """At most ``steps`` steps over all classes, in normalised units, until the prediction is not the label.

    The released code averages the loss over one row per class, so its gradients are too small and its steps too long,
    both by a factor of ``classes``: a step is ``step_size * classes`` linear distances (1.8 for ResNet on CIFAR-10,
    where the DeepFool paper has 1.02). `STEP_SIZES` has its values. An image misclassified from the start moves once.
    """

    title, year, url = DeepFoolProblem.title, DeepFoolProblem.year, DeepFoolProblem.url
    threat = "minimum-norm"
    norm = "L2"

    step_size: float = 0.18
    steps: int = 5

    def __post_init__(self) -> None:
        number(self, "step_size", above=0)
        whole(self, "steps", least=1)

    def passes(self, classes: int) -> float:
        return deepfool_passes(self.steps, classes)

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        adversarial = images.clone()
        active = torch.arange(len(images), device=images.device)
        for _ in range(self.steps):
            adversarial[active] += self._step(classifier, adversarial[active], labels[active])
            with torch.no_grad():
                active = active[classifier(adversarial[active]).argmax(1) == labels[active]]
            if len(active) == 0:
                break
        return adversarial.clamp(0, 1)  # only here: the iterates themselves may leave the box

    def _step(self, classifier: Classifier, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """``step_size classes |f| w / |w|^2`` towards the nearest class, returned in pixel units."""
        x = x.requires_grad_()
        logits: torch.Tensor = classifier(x)
        gradients = [torch.autograd.grad(logits[:, c].sum(), x, retain_graph=True)[0] for c in range(logits.shape[1])]
        rows, std = torch.arange(len(x), device=x.device), _std(classifier)
        slopes = torch.stack(gradients, 1) * std.unsqueeze(1)  # d/d(normalised image)
        slopes = slopes - slopes[rows, labels].unsqueeze(1)
        gaps = (logits - logits[rows, labels].unsqueeze(1)).detach().abs()
        lengths = slopes.flatten(2).norm(dim=2)
        distances = gaps / lengths
        # A class with the same gradient as the label's has no boundary; 0/0 must not win either.
        distances = torch.where(lengths > 0, distances, torch.inf).scatter(1, labels.unsqueeze(1), torch.inf)
        nearest = distances.argmin(1)
        squared = lengths[rows, nearest].clamp_min(1e-12).square()
        factor = self.step_size * logits.shape[1] * gaps[rows, nearest] / squared
        step: torch.Tensor = factor.view(-1, 1, 1, 1) * slopes[rows, nearest] * std
        return step


@register_attack("lee2018/cw")
@dataclass(frozen=True, kw_only=True)
class CW(_Lee2018):
    """Adam on the normalised image against ``norm_weight |d|^2 + constant max(Z_true - Z_other, 0)``, summed over the
    batch: no search for the constant, no tanh, and the other class stays the clean image's likeliest wrong one.

    One iterate serves the whole batch: the one after the step from the least batch total. Batches have 200 images.

    ``norm_weight`` is 0 because that is the effect of the released code: the image and the variable whose difference it
    takes are two `Variable`s of one tensor, which share memory (also in today's torch), so that the norm it means to
    penalise is always zero. Set 1 for the formula as written.
    """

    title, year, url = CWProblem.title, CWProblem.year, CWProblem.url
    threat = "minimum-norm"
    norm = "L2"
    batch_coupled = True
    batch_size = 200

    steps: int = 100
    step_size: float = 0.01
    constant: float = 1.0
    norm_weight: float = 0.0

    def __post_init__(self) -> None:
        whole(self, "steps", least=1)
        number(self, "step_size", above=0)
        number(self, "constant", above=0)
        number(self, "norm_weight", least=0)

    def _run(self, classifier: Classifier, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        std = _std(classifier)
        rows = torch.arange(len(images), device=images.device)
        with torch.no_grad():
            others = classifier(images).scatter(1, labels.unsqueeze(1), -torch.inf).argmax(1)
        delta = torch.zeros_like(images, requires_grad=True)  # normalised units
        optimizer = torch.optim.Adam([delta], lr=self.step_size)
        best, least = images, torch.full((), torch.inf, device=images.device)
        for _ in range(self.steps):
            logits: torch.Tensor = classifier(images + delta * std)
            gap = (logits[rows, labels] - logits[rows, others]).clamp_min(0)
            loss = self.norm_weight * delta.square().sum() + self.constant * gap.sum()
            (delta.grad,) = torch.autograd.grad(loss, delta)
            optimizer.step()
            if loss < least:
                least, best = loss.detach(), images + delta.detach() * std
        return best.clamp(0, 1)


def _std(classifier: Classifier) -> torch.Tensor:
    std = classifier.std
    assert isinstance(std, torch.Tensor)
    return std


def _loss_gradient(classifier: Classifier, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """d(cross-entropy)/d(pixel). Only its sign is used, so the batch's sum does as well as Lee et al.'s mean."""
    x = x.detach().requires_grad_()
    loss = F.cross_entropy(classifier(x), labels, reduction="sum")
    return torch.autograd.grad(loss, x)[0]
