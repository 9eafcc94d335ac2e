"""Classifiers: a sequential net with its normalisation inside, named taps and places for channel gates."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..core.arrays import UserError
from ..core.registry import register_model

Stats = Sequence[float]


class Classifier(nn.Module):
    """Logits of images in ``[0, 1]``, with access to what happens inside.

    ``net`` is a sequence of named stages, so that a computation may start in the middle. ``taps`` are module paths in
    ``net`` whose outputs detectors read; ``gate_positions`` names sets of module paths whose output channels may be
    gated. A module path is the dotted name that ``net.named_modules()`` gives.
    """

    def __init__(
        self,
        net: nn.Sequential,
        *,
        mean: Stats,
        std: Stats,
        taps: Sequence[str],
        gate_positions: Mapping[str, Sequence[str]],
        classes: int,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        self.net = net
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))
        self.taps = tuple(taps)
        self.gate_positions = {name: tuple(paths) for name, paths in gate_positions.items()}
        self.classes, self.shape = classes, shape
        for path in {*self.taps, *(p for paths in self.gate_positions.values() for p in paths)}:
            self.module_at(path)

    def module_at(self, path: str) -> nn.Module:
        try:
            return self.net.get_submodule(path)
        except AttributeError:
            known = ", ".join(name for name, _ in self.net.named_children())
            raise UserError(f"The net has no module {path!r} to tap or gate; its stages are {known}.") from None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, classes)`` of images ``(N, C, H, W)`` in ``[0, 1]``."""
        return self.advance(images)

    def advance(self, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Run stages ``start`` up to ``stop``; ``x`` are images where ``start`` is 0, else what ``start - 1`` gave."""
        if start == 0:
            x = (x - self.mean) / self.std
        for stage in list(self.net)[start:stop]:
            x = stage(x)
        return x

    def stage_of(self, path: str) -> int:
        """Index of the stage that holds the module ``path``."""
        return [name for name, _ in self.net.named_children()].index(path.split(".")[0])

    def observe(
        self,
        x: torch.Tensor,
        paths: Sequence[str] = (),
        gates: Mapping[str, torch.Tensor] | None = None,
        start: int = 0,
        stop: int | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Run like `advance`, multiply channels by ``gates`` (path -> ``(N or 1, channels)``), and return the last
        output with the (gated) outputs of the modules ``paths``. Differentiable in ``x`` and ``gates``."""
        seen: dict[str, torch.Tensor] = {}
        with self._hooks(paths, gates or {}, seen):
            out = self.advance(x, start, stop)
        return out, seen

    @contextmanager
    def _hooks(
        self, paths: Sequence[str], gates: Mapping[str, torch.Tensor], seen: dict[str, torch.Tensor]
    ) -> Iterator[None]:
        def hook_for(path: str) -> Any:
            def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
                if path in gates:
                    gate = gates[path]
                    output = output * gate.view(*gate.shape, *(1,) * (output.ndim - 2))
                if path in wanted:
                    seen[path] = output
                return output

            return hook

        wanted = set(paths)
        handles = [self.module_at(path).register_forward_hook(hook_for(path)) for path in {*paths, *gates}]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @cached_property
    def head(self) -> nn.Linear:
        """The last linear layer, which maps penultimate features to logits."""
        linears = [module for module in self.net.modules() if isinstance(module, nn.Linear)]
        if not linears or linears[-1].out_features != self.classes:
            raise UserError(
                f"The net's last linear layer does not give its {self.classes} logits; "
                "a detector that reads penultimate features needs one that does."
            )
        return linears[-1]

    def channels(self, paths: Sequence[str]) -> dict[str, int]:
        """Number of channels of each module's output."""
        device = self.mean.device
        with torch.no_grad(), evaluating(self):
            _, seen = self.observe(torch.zeros(1, *self.shape, device=device, dtype=self.mean.dtype), paths)
        return {path: seen[path].shape[1] for path in paths}

    def gated_paths(self, position: str) -> tuple[str, ...]:
        if position not in self.gate_positions:
            raise UserError(
                f"The net has no gate position {position!r}; it has {', '.join(sorted(self.gate_positions)) or 'none'}."
            )
        return self.gate_positions[position]

    def content_hash(self) -> str:
        """sha256 over every parameter and buffer: two classifiers with the same hash compute the same function."""
        digest = hashlib.sha256(repr((self.taps, sorted(self.gate_positions.items()), str(self.net))).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (fixed BatchNorm, no dropout) inside, the earlier mode again after."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def pool(activation: torch.Tensor) -> torch.Tensor:
    """Spatial mean of ``(N, C, ...)`` as ``(N, C)``; a matrix stays as it is (Lee et al. 2018, section 2.1)."""
    return activation.flatten(2).mean(2) if activation.ndim > 2 else activation


def save_weights(classifier: Classifier, path: Path, metadata: Mapping[str, str], *, half: bool = False) -> None:
    """Write all parameters and buffers, with ``half`` those of floating point as float16."""
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in classifier.state_dict().items()
    }
    save_file(tensors, path, metadata=dict(metadata))


def load_weights(classifier: Classifier, path: Path) -> dict[str, str]:
    """Fill the classifier from a safetensors file and return the file's metadata.

    Raises UserError where the file is missing, is no safetensors (a pickle, say) or does not fit the net.
    """
    if not path.is_file():
        raise UserError(f"There is no weights file {path}; give the path of a .safetensors file.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a safetensors file ({error}); pickled weights are never loaded: "
            "convert them with safetensors.torch.save_file(state_dict, path)."
        ) from None
    own = classifier.state_dict()
    wrong = [n for n in {*own, *tensors} if n not in own or n not in tensors or own[n].shape != tensors[n].shape]
    if wrong:
        raise UserError(
            f"The weights in {path} do not fit the net: {len(wrong)} of {len(own)} tensors differ in name or shape "
            f"(first: {sorted(wrong)[0]!r}). Give the model that these weights were trained for."
        )
    classifier.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in tensors.items()})
    return metadata


def conv_unit(inputs: int, outputs: int, *, downsample: bool = False) -> nn.Sequential:
    """3x3 convolution, optional 2x2 max-pool, BatchNorm, ReLU: the unit a gate sits behind."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
    if downsample:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU())


CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # Lee et al. 2018, for all three data sets


@register_model("digits-cnn")
def digits_cnn(*, classes: int = 10, shape: tuple[int, int, int] = (1, 8, 8), width: int = 32) -> Classifier:
    """Four 3x3 convolutions for 8x8 digits: 0.1 M parameters, seconds to train."""
    units = [conv_unit(shape[0], width), conv_unit(width, width), conv_unit(width, 2 * width, downsample=True)]
    units.append(conv_unit(2 * width, 2 * width, downsample=True))
    names = ("conv1", "conv2", "conv3", "conv4")
    net = nn.Sequential(OrderedDict(zip(names, units, strict=True)))
    net.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.Linear(2 * width, classes))
    positions = {"units": names, "stages": ("conv2", "conv3", "conv4"), "late": ("conv3", "conv4")}
    return Classifier(
        net, mean=(0.3,) * shape[0], std=(0.35,) * shape[0], taps=names, gate_positions=positions, classes=classes,
        shape=shape,
    )  # fmt: skip


class Scale(nn.Module):
    """A constant factor: before a linear layer it makes the layer learn more slowly than the rest of the net."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"


@register_model("wide7")
def wide7(
    *, classes: int = 10, shape: tuple[int, int, int] = (3, 32, 32), widths: tuple[int, int, int] = (64, 128, 256)
) -> Classifier:
    """A fast wide net for CPUs: 2x2 stem and three blocks of two 3x3 convolutions (after Jordan 2024, "airbench").

    Wide enough to keep a class when a third of its channels is gated away, and 65 M multiply-adds an image.
    """
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = nn.Sequential(nn.Conv2d(shape[0], 24, 2), nn.BatchNorm2d(24), nn.ReLU())
    inputs = 24
    for index, width in enumerate(widths, start=1):
        stages[f"conv{index}a"] = conv_unit(inputs, width, downsample=True)
        stages[f"conv{index}b"] = conv_unit(width, width)
        inputs = width
    stages["pool"] = nn.AdaptiveMaxPool2d(1)
    stages["flatten"] = nn.Flatten()
    stages["scale"] = Scale(1 / 9)  # maximum-pooled features are large: without it the head drowns the rest in noise
    stages["head"] = nn.Linear(inputs, classes)
    units = tuple(name for name in stages if name.startswith("conv"))
    blocks = tuple(name for name in units if name.endswith("b"))
    return Classifier(
        nn.Sequential(stages), mean=CIFAR_MEAN, std=CIFAR_STD, taps=("stem", *blocks),
        gate_positions={"units": units, "stages": blocks, "late": units[2:]}, classes=classes, shape=shape,
    )  # fmt: skip


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))`` (He et al. 2016); the shortcut is a 1x1 convolution where shapes differ."""

    def __init__(self, body: nn.Sequential, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = body
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.relu(self.body(x) + self.shortcut(x))
        return out


class BasicBlock(Residual):
    """Two 3x3 convolutions with a shortcut, post-ReLU output."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        super().__init__(body, inputs, outputs, stride)


def cifar_resnet(
    depths: tuple[int, int, int, int], classes: int, shape: tuple[int, int, int], width: int
) -> Classifier:
    """ResNet with a 3x3 stem and four stages; taps as in Lee et al. 2018: the post-ReLU stem and the stages' ends."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stages["stem"] = nn.Sequential(nn.Conv2d(shape[0], width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    inputs = width
    for index, depth in enumerate(depths, start=1):
        outputs = width * 2 ** (index - 1)
        blocks = [BasicBlock(inputs if i == 0 else outputs, outputs, 2 if i == 0 and index > 1 else 1)
                  for i in range(depth)]  # fmt: skip
        stages[f"layer{index}"] = nn.Sequential(*blocks)
        inputs = outputs
    stages["pool"] = nn.AdaptiveAvgPool2d(1)
    stages["flatten"] = nn.Flatten()
    stages["head"] = nn.Linear(inputs, classes)
    layers = tuple(name for name in stages if name.startswith("layer"))
    units = tuple(f"{name}.{i}" for name, depth in zip(layers, depths, strict=True) for i in range(depth))
    positions = {"units": ("stem", *units), "stages": layers, "late": layers[2:]}
    return Classifier(
        nn.Sequential(stages), mean=CIFAR_MEAN, std=CIFAR_STD, taps=("stem", *layers), gate_positions=positions,
        classes=classes, shape=shape,
    )  # fmt: skip


@register_model("resnet18")
def resnet18(*, classes: int = 10, shape: tuple[int, int, int] = (3, 32, 32), width: int = 64) -> Classifier:
    """CIFAR ResNet-18."""
    return cifar_resnet((2, 2, 2, 2), classes, shape, width)


@register_model("resnet34")
def resnet34(*, classes: int = 10, shape: tuple[int, int, int] = (3, 32, 32), width: int = 64) -> Classifier:
    """CIFAR ResNet-34, the net of Lee et al. 2018 and of Table 2."""
    return cifar_resnet((3, 4, 6, 3), classes, shape, width)
