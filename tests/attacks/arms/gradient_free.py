"""Problems for arms that get no gradient of the detector: linear ones with a known radius, and masked ones on a net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from subnetbench.attacks.arms.best import margin_of
from subnetbench.attacks.arms.contract import Score
from subnetbench.bench.models.classifier import Classifier, pool
from torch import nn

from ..conftest import Digits

Scored = Callable[[torch.Tensor], torch.Tensor]


class Heads(nn.Module):
    """A net with a head for each place of the batch, as a proof of strength has; it takes whole batches alone."""

    def __init__(self, net: Classifier, count: int) -> None:
        super().__init__()
        self.net, self.taps = net, net.taps
        self.count, self.calls = count, 0
        self.eval()  # as the net is: leaving an attack restores the mode, which is that of all parts
        self.register_buffer("shift", torch.randn(count, net.classes, generator=torch.Generator().manual_seed(1)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.observe(images)[0]

    def observe(self, x: torch.Tensor, paths: Sequence[str] = ()) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        assert len(x) == self.count, f"{len(x)} images of a batch of {self.count}"
        self.calls += 1
        logits, seen = self.net.observe(x, paths)
        return logits + 0.01 * self.shift, seen


class Linear(nn.Module):
    """Two classes: the second wins where ``<toward, x - 1/2> > needed``."""

    taps: Sequence[str] = ()

    def __init__(self, toward: torch.Tensor, needed: float) -> None:
        super().__init__()
        self.toward, self.needed = toward, needed

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        second = (images - 0.5).flatten(1) @ self.toward.flatten() - self.needed
        return torch.stack([torch.zeros_like(second), second], 1)

    def observe(self, x: torch.Tensor, paths: Sequence[str] = ()) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        return self(x), {}


def linear_problem(radius: float, count: int = 8) -> tuple[Linear, Score, torch.Tensor, torch.Tensor]:
    """Grey images of 4x4 that fool net and detector together just beyond ``radius`` in L-infinity, and not before.

    The net looks at one half of the pixels and the detector at the other, so the radius is the larger of
    ``needed / |weights|_1`` of both: here they are equal.
    """
    weights = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(3))
    toward, down = weights.clone(), weights.clone()
    toward[:, :, 2:] = 0
    down[:, :, :2] = 0
    net = Linear(toward, radius * float(toward.abs().sum()))

    def exact(images: torch.Tensor) -> torch.Tensor:
        return radius * float(down.abs().sum()) - (images - 0.5).flatten(1) @ down.flatten()

    guides = (torch.full((4, 1, 4, 4), 0.5), torch.zeros(4, dtype=torch.long))
    images, labels = torch.full((count, 1, 4, 4), 0.5), torch.zeros(count, dtype=torch.long)
    return net, Score(exact, None, 1.0, 1.0, guides), images, labels


def distance(digits: Digits, guides: tuple[torch.Tensor, torch.Tensor]) -> Scored:
    """Log distance at all taps to the means of the predicted class, standardised: Mahalanobis in miniature."""
    net = digits.classifier

    def seen(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            logits, outputs = net.observe(x, net.taps)
        return logits, torch.cat([pool(outputs[tap]) for tap in net.taps], 1)

    _, features = seen(guides[0])
    means = torch.stack([features[guides[1] == label].mean(0) for label in range(10)])
    deviation = (features - means[guides[1]]).std(0) + 1e-6

    def score(x: torch.Tensor) -> torch.Tensor:
        logits, places = seen(x)
        return ((places - means[logits.argmax(1)]) / deviation).square().mean(1).log()

    return score


def of_the_net_alone(digits: Digits, epsilon: float, steps: int = 20) -> torch.Tensor:
    """Images that fool the net as far as ``epsilon`` allows: sign steps on its margin, by one who knows no detector."""
    clean, x = digits.images, digits.images
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(margin_of(digits.classifier(x), digits.labels).sum(), x)
        x = (clean + (x.detach() + epsilon / 8 * gradient.sign() - clean).clamp(-epsilon, epsilon)).clamp(0, 1)
    return x


def votes(digits: Digits, guides: tuple[torch.Tensor, torch.Tensor]) -> Scored:
    """How many of the 10 nearest guides at the first two taps are not of the predicted class: a count, no gradient."""
    net, taps = digits.classifier, digits.classifier.taps[:2]

    def seen(x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        with torch.no_grad():
            logits, outputs = net.observe(x, taps)
        return logits, [pool(outputs[tap]) for tap in taps]

    _, clouds = seen(guides[0])

    def score(x: torch.Tensor) -> torch.Tensor:
        logits, places = seen(x)
        counts = torch.zeros(len(x))
        for place, cloud in zip(places, clouds, strict=True):
            nearest = torch.cdist(place, cloud).topk(10, largest=False).indices
            counts += (guides[1][nearest] != logits.argmax(1, keepdim=True)).float().sum(1)
        return counts

    return score


def noise() -> Scored:
    """A score that nothing explains."""
    generator = torch.Generator().manual_seed(5)
    return lambda x: torch.randn(len(x), generator=generator)


def of_scores(
    exact: Scored, digits: Digits, guides: tuple[torch.Tensor, torch.Tensor], share: float = 0.05
) -> tuple[Score, float]:
    """A score as arms get it, and the threshold that a ``share`` of the guides exceed."""
    with torch.no_grad():
        values, margins = exact(guides[0]), margin_of(digits.classifier(guides[0]), guides[1])
    tau = float(values.sort().values[int((1 - share) * len(values))])
    return Score(exact, None, float(values.std()), float(margins.std()), guides), tau


def rounded(exact: Scored, step: float) -> Scored:
    """The score in stairs: its gradient is 0 wherever there is one."""
    return lambda x: (exact(x) / step).round() * step


def guides_of(trained: Any, count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    return trained.dataset.train.tensor()[:count], torch.from_numpy(trained.dataset.train.labels)[:count].long()
