"""A localisation suite: nets, saliency methods, boxes and controls, in TOML."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from ..core.text import counted
from ..harness.suite import AnySuite, ModelPart, Name, NetSuite, Part, differing_labels

#: The net that a map explains. ``subnet``: that of the image's class; ``random-gates``: as sparse, other channels;
#: ``wrong-class``: another class's subnet; ``random-weights``: the whole net with random weights, untrained.
Variant = Literal["normal", "subnet", "random-gates", "wrong-class", "random-weights"]

#: The claims to test: does the first localise better than the second?
CLAIMS: tuple[tuple[Variant, Variant], ...] = (
    ("subnet", "normal"),
    ("subnet", "random-gates"),
    ("subnet", "wrong-class"),
    ("normal", "random-weights"),
)


#: IoUs at which MaxBoxAcc V2 counts a hit; V1 uses the second.
V2_IOUS = (0.3, 0.5, 0.7)


class BoxesPart(Part):
    source: str = Field("boxes.csv", description="a CSV or a folder of XML, relative to the data set's folder")
    heldout_per_class: int = Field(20, ge=1, description="training images per class on which alpha is chosen")


class NetPart(ModelPart):
    label: Name | None = None
    gradcam_layer: str | None = Field(None, description="module path; none: the last spatial stage")

    @property
    def title(self) -> str:
        return self.label or self.name


class SaliencyPart(Part):
    name: Name
    label: Name | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        return self.label or self.name


class Localisation(Part):
    iou: float = Field(0.5, gt=0, le=1, description="a box is correct if its IoU with a true one is at least this")
    alphas: int = Field(21, ge=1, le=101, description="number of alphas, from 0 in steps of .5")
    tolerance: float = Field(0.0, ge=0, description="pixels that the pointing game forgives")
    maxbox_interval: float = Field(0.05, gt=0, lt=1, description="step of MaxBoxAcc's thresholds; the reference: .001")
    variants: list[Variant] = Field(default_factory=lambda: list(get_args(Variant)), min_length=1)
    batch_size: int = Field(50, ge=1)
    resamples: int = Field(10_000, ge=100, le=100_000)
    level: float = Field(0.95, gt=0.5, lt=1)
    pictures: int = Field(4, ge=0, description="images in the grid of maps, drawn with the suite's seed")


class Suite(AnySuite):
    """Everything that determines the numbers of a localisation run."""

    boxes: BoxesPart = BoxesPart()
    models: list[NetPart] = Field(min_length=1)
    saliency: list[SaliencyPart] = Field(min_length=1)
    localisation: Localisation = Localisation()

    _labels = field_validator("models", "saliency")(differing_labels)

    @model_validator(mode="after")
    def _gates_given(self) -> Suite:
        gated = [name for name in self.localisation.variants if name in ("subnet", "random-gates", "wrong-class")]
        if gated and self.subnets is None:
            raise ValueError(f"localisation.variants has {gated[0]!r}, but the suite has no [subnets] table; add one")
        return self

    def of(self, net: NetPart) -> NetSuite:
        """The suite of one net alone, for its data, weights and gates."""
        model = ModelPart.model_validate(net.model_dump(exclude={"label", "gradcam_layer"}))
        shared = {name: getattr(self, name) for name in AnySuite.model_fields}
        return NetSuite(model=model, **shared)

    def nets(self) -> dict[str, NetSuite]:
        return {part.title: self.of(part) for part in self.models}

    def size(self) -> str:
        variants = len(self.localisation.variants)
        maps = len(self.models) * len(self.saliency) * variants
        parts = [
            counted(len(self.models), "net"),
            counted(len(self.saliency), "method"),
            counted(variants, "variant"),
        ]
        return f"{' x '.join(parts)} = {counted(maps, 'kind of maps', 'kinds of maps')}"
