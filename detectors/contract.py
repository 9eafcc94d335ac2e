"""The contract of a detector: its description and its methods; higher characteristics mean more adversarial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from ..bench.core.arrays import Floats
from ..bench.core.keywords import named_fields

if TYPE_CHECKING:
    from ..bench.views import View

#: The things that a detector needs before it can score: clean training data, adversarial examples (for its combiner),
#: gradients of the classifier, dropout in the classifier, class-specific subnets.
Need = Literal["clean", "adversarial", "gradient", "dropout", "subnets"]

#: What a detector was proposed for: adversarial images, or images from outside the classes (out-of-distribution, OOD).
Group = Literal["proposal", "OOD baseline"]


@named_fields
@dataclass(frozen=True)
class DetectorInfo:
    """A detector's origin and needs, and the facts about its workings that the harness depends on.

    ``control`` marks a baseline, not a proposal; ``group`` tells proposals from methods that were made for images from
    outside the classes, and `kind` is one word for both. ``needs`` also decides which costs an estimate charges to it.
    ``draws_gates``: it draws its own class gates from a parameter ``gate_seed``, which the harness increments for each
    set of gates. ``coupled_by``: parameter values that make an image's scores depend on the other images of its view;
    the detector then gets whole batches of the images that a protocol keeps, with their clean versions as ``parents``.
    ``protocol_parameters``: parameters that a protocol fixes, by the protocol's name.
    """

    title: str
    formula: str
    year: int
    needs: tuple[Need, ...] = ("clean",)
    venue: str = ""
    url: str = ""
    control: bool = False
    draws_gates: bool = False
    coupled_by: Mapping[str, Any] = field(default_factory=dict)
    protocol_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    group: Group = "proposal"

    @property
    def kind(self) -> str:
        """``control``, or the group: the heading under which `ls detectors` lists it."""
        return "control" if self.control else self.group

    def is_coupled(self, parameters: Mapping[str, Any]) -> bool:
        """Whether these parameters make an image's scores depend on the other images of its view."""
        return bool(self.coupled_by) and all(parameters.get(name) == v for name, v in self.coupled_by.items())


@runtime_checkable
class Detector(Protocol):
    """A detector of adversarial images: fitted on clean training data, it gives K numbers per image.

    ``fit`` takes the clean training view (with labels) and returns the detector itself. ``characteristics`` maps a view
    without labels to ``(N, K)`` floats, higher = more adversarial; an image's row must not depend on the other images.
    ``candidates`` are parameter values from which the protocol may choose on its fitting part (k of LID, m of
    Mahalanobis, the bandwidth of KD); each is merged into the constructor's keywords, and an empty tuple means that
    there is nothing to choose. A fitted detector may have a string ``notes``, which tables show beside its costs.
    One whose work is more than passes through the net may have a method ``seconds(net, fitted, candidates)``: seconds
    per image for all candidates after ``fitted`` training images, which ``--dry-run`` adds to its estimate.

    One whose parameters name a file, or a net of its own, has a static method ``depends_on(**parameters)``: what its
    scores depend on behind these names (sha256 of files, say), as JSON, which becomes part of the key of stored scores.

    It may also offer its gradient, for attackers who know it: a method ``differentiable(classifier)`` of the fitted
    detector returns a function in torch from images ``(N, C, H, W)`` in [0, 1] to the same ``(N, K)`` numbers as
    ``characteristics``, differentiable in the images, or None where these parameters allow none. Row i is image i. The
    function calls the net (or its `observe`) with whole batches in their order, so that it also holds on a net that
    gives every image a last layer of its own; it computes in the images' precision or a higher one, since the gradient
    is checked in float64; and it draws nothing at random that ``characteristics`` does not. A choice, such as that of
    the nearest class, may have no gradient. `bench.adaptive.honest` lists what is checked. A detector that offers no
    gradient, or one that fails a check, is attacked through a surrogate.
    """

    info: ClassVar[DetectorInfo]
    candidates: ClassVar[Sequence[Mapping[str, Any]]]

    def fit(self, train: View) -> Self: ...

    def characteristics(self, x: View) -> Floats: ...
