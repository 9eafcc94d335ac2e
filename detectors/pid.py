"""Prediction inconsistency with a second net (Han et al. 2025)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch

from ..bench.core.arrays import Floats
from ..bench.core.parameters import seed_of, whole
from ..bench.core.registry import register_detector
from ..bench.models.classifier import Classifier, evaluating
from ..bench.models.passes import told
from ..bench.views import View
from .checks import fitted
from .contract import DetectorInfo
from .gradient import Differentiable, seen_by
from .second_net import Second


@register_detector("pid")
class Pid:
    """1 - softmax_t(z'(x)), t = argmax z(x): how little a second net z' believes what the first one says. One column.

    Han et al. 2025, for a first net that tells its class alone. The paper's second net is trained by itself on the same
    task, with another architecture or in another way. Which one it is here, parameters say:

    - ``weights``: the name of weights that ship (``subnetbench ls weights``), which know their net; or the path of a
      safetensors file, for the registered ``model`` with ``parameters``.
    - ``model`` alone, with ``parameters``: as its factory gives it where that brings weights (torchvision's do, by
      ``parameters = { weights = ... }``); else it is trained in `fit` on the training view.
    - neither: a narrow ResNet-18 is trained in `fit`, for ``epochs`` on the training view, from ``seed``. That suits
      small images; elsewhere name a net that is better trained.

    Shapes cannot tell CIFAR-10 from SVHN, so no weights are chosen by themselves; those that get fewer than half of the
    training images right are refused.
    """

    info: ClassVar[DetectorInfo] = DetectorInfo(
        title="Prediction Inconsistency Helps Achieve Generalizable Detection of Adversarial Examples",
        formula="1 - softmax_t(z'(x)), t = argmax z(x), z' a second net's logits",
        year=2025,
        venue="arXiv",
        url="https://arxiv.org/abs/2506.03765",
    )
    candidates: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def __init__(
        self,
        *,
        weights: str = "",
        model: str = "",
        parameters: Mapping[str, Any] | None = None,
        epochs: int = 8,
        seed: int = 0,
    ) -> None:
        whole("pid", "epochs", epochs, 1, most=10_000)
        seed_of("pid", "seed", seed)
        self.second = Second.named(weights, model, parameters or {}, epochs, seed)
        self.notes = ""
        self._net: Classifier | None = None

    @staticmethod
    def depends_on(**parameters: Any) -> Mapping[str, Any]:
        """What scores depend on besides these parameters: the content of the second net's weights and its source."""
        return Pid(**parameters).second.content()

    def fit(self, train: View) -> Self:
        self._net, self.notes = train.memo(("pid", self.second.key), lambda: self.second.net_for(train))
        return self

    def characteristics(self, x: View) -> Floats:
        """``(N, 1)``, from 0 to 1."""
        net = fitted("pid", self._net).to(x.device)
        rows = []
        with torch.no_grad(), evaluating(net):
            for part in x.batches():
                images = x.images[part].to(x.device)
                predicted = torch.from_numpy(x.predicted[part]).to(x.device)
                rows.append(disbelief(net(images).double(), predicted).cpu().numpy())
                told(x.classifier, len(images))
        return np.concatenate(rows)

    def differentiable(self, classifier: Classifier) -> Differentiable:
        """`characteristics` in torch, exact; which class is predicted has no gradient."""
        of_first = next(classifier.parameters())
        net = copy.deepcopy(fitted("pid", self._net)).to(device=of_first.device, dtype=of_first.dtype)

        def column(images: torch.Tensor) -> torch.Tensor:
            predicted = seen_by(classifier, images)[0].argmax(1)
            return disbelief(seen_by(net, images)[0], predicted)

        return column


def disbelief(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """1 - softmax of ``classes`` ``(N,)``, ``(N, 1)``, as the sum of the others, which does not round to 0."""
    probabilities = logits.softmax(1)
    return probabilities.scatter(1, classes[:, None], 0.0).sum(1, keepdim=True)
