"""Nets of others at a tiny size, as their own classes build them, and a few with habits of their own."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models import convnext, swin_transformer, vision_transformer

SHAPE = (3, 32, 32)


class Functional(nn.Module):
    """Functional ReLUs in place, a residual sum in place, `view`, and (features, logits) in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 12, 3, 2, 1)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(12 * 64, 10)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.relu(self.a(x), inplace=True)
        residual, x = x, self.norm(self.b(x))
        x += residual
        x = torch.relu_(self.c(x))
        features = x.view(len(x), -1)
        return features, self.head(features)


class Excited(nn.Module):
    """Squeeze-and-excitation by 1x1 convolutions, one ReLU for all, a 1x1 convolution as head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.relu = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU()
        self.second = nn.Conv2d(8, 8, 3, 2, 1)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.classes = nn.Conv2d(8, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.second(self.relu(self.norm(self.first(x)))))
        x = x * self.excite(self.relu(self.squeeze(x.mean((2, 3), keepdim=True)))).sigmoid()
        return self.classes(x).mean((2, 3))


def vit() -> nn.Module:
    return vision_transformer.VisionTransformer(32, 8, 5, 2, 16, 24, num_classes=10)


def timm_vit() -> nn.Module:
    import timm

    return timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=16, depth=3, num_heads=2, num_classes=10, mlp_ratio=2
    )


def swin() -> nn.Module:
    return swin_transformer.SwinTransformer([2, 2], 8, [1, 2], [2, 2], [4, 4], num_classes=10)


def conv_next() -> nn.Module:
    return convnext.ConvNeXt([convnext.CNBlockConfig(8, 12, 1), convnext.CNBlockConfig(12, None, 2)], num_classes=10)


def dense() -> nn.Module:
    return torchvision.models.DenseNet(4, (2, 2), 8, num_classes=10)


def mobile() -> nn.Module:
    return torchvision.models.mobilenet_v3_small(num_classes=10, width_mult=0.25)


def resnet() -> nn.Module:
    return torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(3072, 16),
        nn.ReLU(),
        nn.Linear(16, 12),
        nn.BatchNorm1d(12),
        nn.Tanh(),
        nn.Linear(12, 10),
    )


NETS: dict[str, Callable[[], nn.Module]] = {
    "resnet": resnet,
    "mobile": mobile,
    "dense": dense,
    "functional": Functional,
    "excited": Excited,
    "vit": vit,
    "timm-vit": timm_vit,
    "swin": swin,
    "convnext": conv_next,
    "mlp": perceptron,
}


def made(name: str) -> nn.Module:
    """The net in evaluation mode, all weights and statistics drawn: some classes begin with layers of zeros."""
    net = NETS[name]().eval()
    generator = torch.Generator().manual_seed(0)
    for key, tensor in net.state_dict(keep_vars=True).items():
        if not tensor.is_floating_point():
            continue
        drawn = torch.randn(tensor.shape, generator=generator)
        fan = tensor[0].numel() if tensor.ndim > 1 else 1
        positive = key.endswith("running_var") or (tensor.ndim == 1 and key.endswith("weight"))
        tensor.data = 0.5 + drawn.abs() if positive else drawn * (fan**-0.5 if tensor.ndim > 1 else 0.2)
    return net
