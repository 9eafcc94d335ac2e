"""A detection suite: attacks, detectors, protocols and statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ..core.errors import UserError
from ..harness.extends import read_suite
from ..harness.suite import Name, NetSuite, Part
from ..harness.toml import checked_suite


class AttackPart(Part):
    name: Name
    label: Name | None = None
    library: Name = "foolbox"
    preset: Name = "standard"
    parameters: dict[str, Any] = Field(default_factory=dict)
    batch_size: int = Field(250, ge=1, description="images an attack gets at once; also the unit that a kill can lose")

    @property
    def title(self) -> str:
        return self.label or self.name


class DetectorPart(Part):
    name: Name
    label: Name | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    candidates: list[dict[str, Any]] | None = Field(None, description="instead of the detector's published candidates")
    gate_seeds: int | None = Field(None, ge=1, description="at most so many of the sets of gates; none: all of them")

    @property
    def title(self) -> str:
        return self.label or self.name


class Strict(Part):
    """Free of the reference code's leaks: fitting and evaluation share no image, one common index set over attacks."""

    name: Literal["strict"] = "strict"
    splits: int = Field(5, ge=1, description="seeds of the stratified split into fitting and evaluation images")
    fit_share: float = Field(0.4, gt=0, lt=1)
    folds: int = Field(3, ge=2, description="cross-validation on the fitting part chooses among candidates")
    negatives: Literal["clean", "clean+noise"] = "clean"
    minimum_fit: int = Field(500, ge=2, description="cells fitted on fewer successful adversarials are marked")
    minimum_success: int = Field(20, ge=2, description="attacks with fewer successes leave the common index set")
    ties: Literal["half", "pessimistic"] = "half"


class Lee2018(Part):
    """As the code of Lee et al. 2018 does it, unshuffled, leaks included; see the protocol's documentation."""

    name: Literal["lee2018"] = "lee2018"
    fit_share: float = Field(0.1, gt=0, lt=1)
    batch_size: int = Field(100, ge=2, description="the last incomplete batch of kept images is dropped")
    noise_sigma: dict[str, float] = Field(
        {"fgsm": 0.25 / 4, "bim": 0.13 / 2, "deepfool": 0.25 / 4, "cw": 0.05 / 2},
        description="standard deviation of the noise in normalised units; default: ResNet-34 on CIFAR-10",
    )
    folds: int = Field(3, ge=2)
    minimum_fit: int = Field(500, ge=2)
    ties: Literal["half", "pessimistic"] = "pessimistic"


ProtocolPart = Annotated[Strict | Lee2018, Field(discriminator="name")]


class Statistics(Part):
    resamples: int = Field(2000, ge=100, le=100_000)
    level: float = Field(0.95, gt=0.5, lt=1)
    comparisons: list[tuple[Name, Name]] = Field(
        [], description="pairs of detector labels: does the first beat the second?"
    )


class Sensitivity(Part):
    """Choices of gate training that are tried one by one: every position with every norm and that norm's gammas."""

    position: list[str] = Field(min_length=1)
    gamma: dict[Literal["sum", "mean", "layersum"], Annotated[list[float], Field(min_length=1)]] = Field(
        min_length=1, description="for each form of ||lambda||_1 the weights tried with it"
    )
    detector: Name = Field("subnet-mahalanobis", description="label of the detector that is run with each choice")
    control: Name = Field("subnet-mahalanobis-random", description="label of its control, run likewise")
    baseline: Name = Field("mahalanobis", description="label of the detector that both are compared with")


class Suite(NetSuite):
    """Everything that determines a run's numbers."""

    attacks: list[AttackPart] = Field(min_length=1)
    detectors: list[DetectorPart] = Field(min_length=1)
    protocols: list[ProtocolPart] = Field(min_length=1)
    statistics: Statistics = Statistics()
    sensitivity: Sensitivity | None = None

    @field_validator("attacks", "detectors", "protocols")
    @classmethod
    def _labels_differ(cls, parts: list[Any]) -> list[Any]:
        titles = [getattr(part, "title", part.name) for part in parts]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise ValueError(f"two entries are labelled {twice[0]!r}; give one of them a label of its own")
        return parts

    @model_validator(mode="after")
    def _pairs_exist(self) -> Suite:
        labels = [detector.title for detector in self.detectors]
        if self.sensitivity is not None:
            for key in ("detector", "control", "baseline"):
                if getattr(self.sensitivity, key) not in labels:
                    raise ValueError(
                        f"sensitivity.{key} is {getattr(self.sensitivity, key)!r}, which is no detector label of this "
                        "suite"
                    )
        for pair in self.statistics.comparisons:
            for label in pair:
                if label not in labels:
                    raise ValueError(
                        f"statistics.comparisons names {label!r}, which is no detector label of this suite"
                    )
        return self


def load_suite(source: str | Path) -> Suite:
    """The built-in suite of that name, or the suite in that file. Raises UserError with file, line and key."""
    read = read_suite(source)
    if "saliency" in read.content:
        raise UserError(f"{read.path} is a localisation suite, and this takes a suite of detectors; give one of those.")
    return checked_suite(Suite, read.content, read.where)


Protocol = Strict | Lee2018
