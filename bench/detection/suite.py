"""A detection suite: attacks, detectors, protocols and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, TypeAlias, cast

from pydantic import Field, TypeAdapter, field_validator, model_validator

from ..core.text import counted
from ..harness.suite import Name, NetSuite, Part, differing_labels
from .adaptive import Adaptive
from .attack_part import AttackPart as AttackPart
from .attack_part import expanded
from .fits import ALL_ATTACKS
from .lee2018 import Lee2018
from .shift import Shift
from .strict import Strict


class DetectorPart(Part):
    name: Name
    label: Name | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    candidates: list[dict[str, Any]] | None = Field(None, description="instead of the detector's published candidates")
    gate_seeds: int | None = Field(None, ge=1, description="at most this many of the sets of gates; none: all of them")

    @property
    def title(self) -> str:
        return self.label or self.name


#: A cell: the attack that was fitted on, the attack that is tested.
Pair: TypeAlias = tuple[str, str]

#: Gate-set index of a detector that uses no gates.
NO_GATES = -1


def columns_of(attacks: Sequence[str]) -> list[Pair]:
    """Cells of the paper's Table 2: every attack seen, then fitted on the first attack and tested on each other one."""
    return [(attack, attack) for attack in attacks] + [(attacks[0], attack) for attack in attacks[1:]]


#: A suite's protocol: its options, and its rules as methods.
AnyProtocol: TypeAlias = Strict | Lee2018
ProtocolPart = Annotated[AnyProtocol, Field(discriminator="name")]
PROTOCOLS = ("strict", "lee2018")


def protocol_place(protocol: str) -> tuple[int, str]:
    """Where a protocol stands among others: strict first, one of a third party last."""
    return PROTOCOLS.index(protocol) if protocol in PROTOCOLS else len(PROTOCOLS), protocol


PROTOCOL: TypeAdapter[AnyProtocol] = TypeAdapter(ProtocolPart)


class Statistics(Part):
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
    adaptive: Adaptive | None = None
    shift: Shift | None = None

    _budgets = field_validator("attacks")(expanded)
    _labels = field_validator("attacks", "detectors", "protocols")(differing_labels)

    @model_validator(mode="after")
    def _pairs_exist(self) -> Suite:
        labels = [detector.title for detector in self.detectors]
        if self.sensitivity is not None:
            for key in ("detector", "control", "baseline"):
                if getattr(self.sensitivity, key) not in labels:
                    raise ValueError(
                        f"sensitivity.{key} is {getattr(self.sensitivity, key)!r}, which is not a detector label of "
                        "this suite"
                    )
        self._check_part("adaptive", self.adaptive, labels)
        self._check_part("shift", self.shift, labels)
        for pair in self.statistics.comparisons:
            for label in pair:
                if label not in labels:
                    raise ValueError(
                        f"statistics.comparisons names {label!r}, which is not a detector label of this suite"
                    )
        return self

    def _check_part(self, name: str, part: Adaptive | Shift | None, labels: Sequence[str]) -> None:
        """A part that rests on one fit of each detector under the protocol `strict`."""
        if part is None:
            return
        for label in part.detectors:
            if label not in labels:
                raise ValueError(f"{name}.detectors names {label!r}, which is not a detector label of this suite")
        attacks = [attack.title for attack in self.attacks]
        if part.fit_on not in (*attacks, ALL_ATTACKS):
            raise ValueError(
                f"{name}.fit_on is {part.fit_on!r}; give {ALL_ATTACKS!r} or one of the suite's attacks "
                f"({', '.join(attacks)})"
            )
        if all(protocol.name != "strict" for protocol in self.protocols):
            raise ValueError(f"{name} rests on the protocol strict, which this suite lacks; add it to protocols")

    def overridden(
        self,
        *,
        limit: int | None = None,
        seed: int | None = None,
        classes: str | Sequence[str] | None = None,
        detectors: Sequence[str] = (),
    ) -> Self:
        from .override import choose_classes, with_detectors  # imports nets and data sets, which tables do without

        suite = choose_classes(with_detectors(self._limited(limit, seed), detectors), classes)
        return cast(Self, suite)

    def added_by(self, earlier: Self) -> list[str]:
        """Detectors that --detector had added, if nothing else in the suite has changed since."""
        if earlier._but_for_choices() != self._but_for_choices():
            return []
        own = [part.title for part in self.detectors]
        return [
            part.name for part in earlier.detectors if part.title not in own and part == DetectorPart(name=part.name)
        ]

    def _but_for_choices(self) -> Self:
        """The suite without its detectors and what is compared: an added detector changes no more than these."""
        statistics = self.statistics.model_copy(update={"comparisons": []})
        return self.model_copy(update={"detectors": [], "statistics": statistics})

    def with_added(self, names: Sequence[str]) -> Self:
        more = [DetectorPart(name=name) for name in names]
        return self.model_copy(update={"detectors": [*self.detectors, *more]})

    def nets(self) -> dict[str, NetSuite]:
        return {self.model.name: self}

    def size(self) -> str:
        cells = len(self.detectors) * len(self.attacks) ** 2 * len(self.protocols)
        parts = [
            counted(len(self.detectors), "detector"),
            counted(len(self.attacks), "attack"),
            counted(len(self.protocols), "protocol"),
        ]
        return f"{' x '.join(parts)} = {counted(cells, 'cell')}"
