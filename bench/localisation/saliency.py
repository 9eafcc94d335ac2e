"""Saliency methods, all from captum: given a net, images and a class for each, one map per image.

A method's constructor takes its parameters; the call takes the problem:

    method(net, images, targets, ids=ids, seed=seed) -> (N, H, W) float32, >= 0

``net`` is an `AttributionNet`; ``images`` are ``(N, C, H, W)`` in ``[0, 1]``; ``targets`` are the classes ``(N,)``
whose logits are explained; ``ids`` ``(N,)`` identify the images, so that a random draw depends on the image and a seed
and not on the position in a batch: a map does not depend on its neighbours. Attributions are to the *normalised* image,
and a map is the largest absolute value over channels: heat = max_c |A_c|. Parameters default to those of the code that
the paper probably used (yulongwang12/visual-attribution). NaN is passed on. Global generators are not used.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from captum import attr
from torch import nn

from ..core.errors import UserError
from ..core.registry import register_saliency
from .attribution import Attribution, drawn, pieces
from .contract import SaliencyInfo
from .gradcam import gradcam_layer, map_of
from .net import AttributionNet


@register_saliency("saliency")
class Saliency(Attribution):
    """A_c = d logit_t / d x_c."""

    info: ClassVar[SaliencyInfo] = SaliencyInfo(
        title="Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
        year=2014,
        formula="max_c |d logit_t / d x_c|",
        venue="ICLR workshop",
        url="https://arxiv.org/abs/1312.6034",
    )

    def attributions(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, ids: torch.Tensor, seed: int
    ) -> torch.Tensor:
        # Input x Gradient needs the same gradient for the same batch.
        kind = ("gradient", self.bf16, self.inner(net))
        gradient: torch.Tensor = net.remembered(
            kind, (images, targets), lambda: super(Saliency, self).attributions(net, images, targets, ids, seed)
        )
        return gradient

    def of_batch(self, net: AttributionNet, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.gradient(net, x, targets)


@register_saliency("input-x-gradient")
class InputXGradient(Saliency):
    """A_c = x_c * d logit_t / d x_c, x the normalised image; the gradient is that of `Saliency`, computed once."""

    info: ClassVar[SaliencyInfo] = SaliencyInfo(
        title="Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
        year=2016,
        formula="max_c |x_c d logit_t / d x_c|",
        venue="arXiv",
        url="https://arxiv.org/abs/1605.01713",
    )

    def attributions(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, ids: torch.Tensor, seed: int
    ) -> torch.Tensor:
        with torch.no_grad():
            return net.normalise(images) * super().attributions(net, images, targets, ids, seed)


class ReluRule(Attribution):
    """Methods that change the gradient that a ReLU passes back. They apply to `nn.ReLU`: a net that rectifies in any
    other way, or not at all, is refused, since its maps would partly be plain gradients. Sigmoid, tanh and softmax are
    left unchanged."""

    method: ClassVar[Any]

    def attributions(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, ids: torch.Tensor, seed: int
    ) -> torch.Tensor:
        self._check(net)
        return super().attributions(net, images, targets, ids, seed)

    def _check(self, net: AttributionNet) -> None:
        rule = self.method.__name__
        for path in net.sketch.functional:
            raise UserError(
                f"{rule} only changes the gradient of nn.ReLU modules, but {_named(path)} of this net "
                "computes a ReLU without one; call nn.ReLU() there or leave the method out."
            )
        for path, name in net.sketch.others.items():
            remedy = "write it as nn.ReLU() and clamp(max=6)" if name == "ReLU6" else "leave the method out"
            raise UserError(f"{rule} is a rule for ReLUs, but {_named(path)} of this net is {name}; {remedy}.")
        if not any(isinstance(module, nn.ReLU) for module in net.modules()):
            raise UserError(
                f"{rule} is a rule for ReLUs, but this net has none, so that its map would be the plain "
                "gradient's; leave the method out."
            )

    def of_batch(self, net: AttributionNet, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with self.captum(net):
            attributions: torch.Tensor = self.method(net).attribute(x, target=targets)
        return attributions


def _named(path: str) -> str:
    return f"the module {path!r}" if path else "the forward function"


@register_saliency("deconv")
class Deconvolution(ReluRule):
    """The gradient, with each ReLU passing back relu(g) of the incoming g, whatever its input was."""

    method: ClassVar[Any] = attr.Deconvolution
    info: ClassVar[SaliencyInfo] = SaliencyInfo(
        title="Visualizing and Understanding Convolutional Networks",
        year=2014,
        formula="max_c |d logit_t / d x_c|, every ReLU passing back [g > 0] g",
        venue="ECCV",
        url="https://arxiv.org/abs/1311.2901",
    )


@register_saliency("guided-bp")
class GuidedBackprop(ReluRule):
    """The gradient, with each ReLU passing back positive values alone, and only for positive inputs."""

    method: ClassVar[Any] = attr.GuidedBackprop
    info: ClassVar[SaliencyInfo] = SaliencyInfo(
        title="Striving for Simplicity: The All Convolutional Net",
        year=2015,
        formula="max_c |d logit_t / d x_c|, every ReLU passing back [a > 0] [g > 0] g",
        venue="ICLR workshop",
        url="https://arxiv.org/abs/1412.6806",
    )


@register_saliency("grad-cam")
class GradCam(Attribution):
    """relu(sum_k w_k A_k), w_k the mean gradient of channel k; ``layer``: a module path, else from `gradcam_layer`."""

    info: ClassVar[SaliencyInfo] = SaliencyInfo(
        title="Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
        year=2017,
        formula="upsample(relu(sum_k mean_ij(d logit_t / d A_kij) A_k))",
        venue="ICCV",
        url="https://arxiv.org/abs/1610.02391",
        notes="Bilinear, align_corners off. The author sums gradients instead of taking their mean: the same map up to "
        "a constant factor.",
        takes_layer=True,
    )

    def __init__(self, *, layer: str | None = None, inner_batch: int = 64, bf16: bool = False) -> None:
        super().__init__(inner_batch=inner_batch, bf16=bf16)
        self.layer = layer
        self._parameters = {"layer": layer, **self._parameters}

    def attributions(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, ids: torch.Tensor, seed: int
    ) -> torch.Tensor:
        if gradcam_layer(net, self.layer) in net.folded:  # it outputs the result of the BatchNorm behind it
            net = net.unfolded()
        return super().attributions(net, images, targets, ids, seed)

    def of_batch(self, net: AttributionNet, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        path = gradcam_layer(net, self.layer)
        with map_of(net, path) as layer, self.captum(net):  # x takes no gradient: modules below the layer need none
            maps = attr.LayerGradCam(net, layer).attribute(x.detach(), target=targets, relu_attributions=True)
        return F.interpolate(maps.detach().float(), x.shape[2:], mode="bilinear", align_corners=False)


@register_saliency("int-grad")
class IntegratedGradients(Attribution):
    """x * mean_k d logit_t(alpha_k x) / dx: the path from 0, the mean image, to the normalised image in ``steps``."""

    info: ClassVar[SaliencyInfo] = SaliencyInfo(
        title="Axiomatic Attribution for Deep Networks",
        year=2017,
        formula="max_c |x_c mean_k d logit_t(k x / n) / d x_c|, k = 1..n",
        venue="ICML",
        url="https://arxiv.org/abs/1703.01365",
        notes="captum's riemann_right: alphas 1/n, 2/n .. 1. The author's run from .01 and end below 1.",
    )

    def __init__(self, *, steps: int = 100, inner_batch: int = 64, bf16: bool = False) -> None:
        super().__init__(inner_batch=inner_batch, bf16=bf16)
        self.steps = self._count("steps", steps, 2)
        self._parameters = {"steps": steps, **self._parameters}

    def of_batch(self, net: AttributionNet, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with self.captum(net):
            attributions: torch.Tensor = attr.IntegratedGradients(net).attribute(
                x.detach(),
                target=targets,
                n_steps=self.steps,
                method="riemann_right",
                internal_batch_size=max(len(x), self.inner(net)),
            )
        return attributions


@register_saliency("smooth-grad")
class SmoothGrad(Attribution):
    """mean_k g(x + e_k)^2, or with ``magnitude`` off mean_k g(x + e_k); g the gradient, ``samples`` draws of e.

    e is normal with a deviation of ``sigma`` times (max - min) of the normalised image, drawn for each image from its
    own generator, seeded by the seed and the image's id. captum's NoiseTunnel draws for a whole batch from the global
    generator, so that a map would depend on its neighbours.
    """

    info: ClassVar[SaliencyInfo] = SaliencyInfo(
        title="SmoothGrad: removing noise by adding noise",
        year=2017,
        formula="max_c mean_k (d logit_t / d x_c at x + e_k)^2, e_k ~ N(0, (sigma (max x - min x))^2)",
        venue="ICML workshop",
        url="https://arxiv.org/abs/1706.03825",
        notes="Squares, as in the author's code (MAGNITUDE); the paper's mean of plain gradients is magnitude=False.",
    )

    def __init__(
        self,
        *,
        samples: int = 25,
        sigma: float = 0.15,
        magnitude: bool = True,
        inner_batch: int = 64,
        bf16: bool = False,
    ) -> None:
        super().__init__(inner_batch=inner_batch, bf16=bf16)
        self.samples, self.sigma, self.magnitude = self._count("samples", samples, 1), float(sigma), magnitude
        if not 0 <= self.sigma < np.inf:
            raise UserError(f"{self.info.title}: sigma is {sigma!r}; it must be at least 0.")
        self._parameters = {"samples": samples, "sigma": self.sigma, "magnitude": magnitude, **self._parameters}

    def attributions(
        self, net: AttributionNet, images: torch.Tensor, targets: torch.Tensor, ids: torch.Tensor, seed: int
    ) -> torch.Tensor:
        with torch.no_grad():
            x = net.normalise(images)
        inner = self.inner(net)
        parts = [
            self._smooth(net, x[piece], targets[piece], ids[piece].tolist(), seed)
            for piece in pieces(len(x), max(1, inner // self.samples))
        ]
        return torch.cat(parts)

    def _smooth(
        self, net: AttributionNet, x: torch.Tensor, targets: torch.Tensor, ids: list[int], seed: int
    ) -> torch.Tensor:
        deviation = self.sigma * (x.flatten(1).amax(1) - x.flatten(1).amin(1)).view(-1, 1, 1, 1, 1)
        noise = torch.stack([drawn(seed, image, (self.samples, *x.shape[1:])) for image in ids]).to(x)
        noisy = (x.unsqueeze(1) + deviation * noise).detach()
        total = torch.zeros_like(x)
        for piece in pieces(self.samples, max(1, self.inner(net) // len(x))):
            part = noisy[:, piece].flatten(0, 1).requires_grad_()
            repeated = targets.repeat_interleave(piece.stop - piece.start)
            gradients = self.gradient(net, part, repeated).reshape(len(x), -1, *x.shape[1:])
            total += (gradients.square() if self.magnitude else gradients).sum(1)
        return total / self.samples
