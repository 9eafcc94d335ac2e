"""A suite with what somebody hands over to `run`: lent to the registries for the length of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ..core import registry
from ..core.errors import UserError
from ..core.hashing import source_hash
from ..core.registry import Lent, Registry
from ..data.dataset import Dataset
from ..data.load import load
from ..detection.override import against_controls
from ..detection.suite import AttackPart, DetectorPart, Suite
from ..harness.context import Context
from ..harness.objects import ATTACK, DETECTOR, Given, Kind, given, kebab, registered_as
from ..harness.suite import DEVICE, AnySuite, DatasetPart, ModelPart
from ..harness.toml import explain
from . import data, net
from .fitting import fitted, named, trimmed


@dataclass(frozen=True)
class Objects:
    """What `run` is given beside a suite; ``only``: without its detectors, and its attacks if some are given."""

    detectors: Sequence[Any] = ()
    attacks: Sequence[Any] = ()
    model: Any = None
    dataset: Any = None
    only: bool = False

    def __bool__(self) -> bool:
        return bool(self.detectors or self.attacks or self.only) or not (self.model is None and self.dataset is None)

    @property
    def any_object(self) -> bool:
        """Whether any of them is more than a registered name."""
        things = (*self.detectors, *self.attacks, self.model, self.dataset)
        return not all(thing is None or isinstance(thing, str) for thing in things)


@contextmanager
def lent(suite: AnySuite, objects: Objects, context: Context) -> Iterator[AnySuite]:
    """The suite with these objects as parts of it, for as long as the body runs.

    Detectors and attacks are added, with ``only`` they replace the suite's; a net and data take the place of its own.
    A suite with other images or another net, or with ``only``, has a name of its own, so that its results overwrite
    nothing. Raises UserError, one sentence, for whatever cannot be a part.
    """
    if not objects:
        yield suite
        return
    if not isinstance(suite, Suite):
        raise UserError(
            f"detectors, attacks, model, dataset and only go with suites of detectors; {suite.name!r} is not one."
        )
    with ExitStack() as stack:
        try:
            ready = _Lending(suite, objects, context, stack).suite()
        except ValidationError as error:  # a registered name that no suite can hold
            raise UserError(explain(error, lambda _: "run")) from None
        yield ready


@dataclass
class _Lending:
    """One suite being changed; ``stack`` holds what is lent."""

    base: Suite
    objects: Objects
    context: Context
    stack: ExitStack
    added: list[str] = field(default_factory=list)

    def suite(self) -> Suite:
        objects = self.objects
        if objects.only and not objects.detectors:
            raise UserError("only=True leaves out the suite's own detectors, and none are given; give detectors=[...].")
        suite = self._with_dataset(self.base)
        suite = self._with_model(suite)
        suite = self._with_attacks(suite)
        suite = self._with_detectors(suite)
        if not suite.detectors:
            raise UserError(f"No detector of {suite.name!r} can be run on this net; give some with detectors=[...].")
        return named(trimmed(suite, self.base, self.context.report), self.added)

    # -- data and net -------------------------------------------------------------------------------------------------

    def _with_dataset(self, suite: Suite) -> Suite:
        thing = self.objects.dataset
        if thing is None:
            return suite
        if isinstance(thing, str):
            self.added.append(kebab(DatasetPart(name=thing).title))
            part = DatasetPart(name=thing, train_limit=suite.dataset.train_limit)
        else:
            if self.context.data_root is not None:
                raise UserError("dataset= hands over the images, and data_root= names others; give one of them.")
            dataset = data.dataset_of(thing)
            name = self._free(registry.datasets, kebab(dataset.name))
            kind = "a Dataset" if isinstance(thing, Dataset) else "arrays"
            origin = Lent(f"an object of this session: {kind}", dataset.content_hash)
            self.stack.enter_context(registry.datasets.lend(name, data.Given(dataset), origin))
            self.added.append(name)
            part = DatasetPart(name=name, train_limit=suite.dataset.train_limit)
        # The suite's weights are of a net for its own data.
        model = suite.model.model_copy(update={"floor": 0.0, "weights": None})
        return suite.model_copy(update={"dataset": part, "model": model})

    def _with_model(self, suite: Suite) -> Suite:
        thing = self.objects.model
        if thing is None:
            return suite
        if isinstance(thing, str):
            registry.models.get(thing)
            self.added.append(kebab(thing))
            return suite.model_copy(update={"model": ModelPart(name=thing, train=suite.model.train)})
        if isinstance(thing, Mapping):
            model = net.part_of(thing)
            self.added.append(kebab(model.name))
            return suite.model_copy(update={"model": model})
        part = suite.dataset
        classifier = net.classifier_of(thing, lambda: load(part.name, self.context.data_root, **part.parameters))
        kind = type(thing).__name__
        title = "my-net" if kind in ("Classifier", "Sequential") else kebab(kind)
        name = self._free(registry.models, title)
        origin = Lent(f"an object of this session: the net {kind}", classifier.content_hash())
        self.stack.enter_context(registry.models.lend(name, net.Given(classifier), origin))
        self.added.append(name)
        suite = suite.model_copy(update={"model": ModelPart(name=name)})
        return fitted(suite, classifier, self.context.report)

    # -- attacks and detectors ----------------------------------------------------------------------------------------

    def _with_attacks(self, suite: Suite) -> Suite:
        own = {part.title: part for part in suite.attacks}
        parts: list[Any] = []
        for thing in self.objects.attacks:
            part = self._attack(thing, own)
            _refuse_twice(part.title, [p.title for p in parts], "attack")
            parts.append(part)
        if not parts:
            return suite
        kept = [] if self.objects.only else suite.attacks
        more = _beside(kept, parts, suite.name, "attack")
        self.added += [part.title for part in more]
        return suite.model_copy(update={"attacks": [*kept, *more]})

    def _attack(self, thing: Any, own: dict[str, AttackPart]) -> AttackPart:
        if isinstance(thing, str):
            if thing in own:
                return own[thing]
            library, _, name = thing.rpartition("/")
            part = AttackPart(name=name, library=library) if library else AttackPart(name=name)
            registry.attacks.get(_full(part))
            if name not in own:
                return part
            theirs = (own[name].name, own[name].library) == (name, part.library)
            return own[name] if theirs else part.model_copy(update={"label": f"{part.library}-{name}"})
        made = given(thing, ATTACK)
        known = registered_as(registry.attacks, made.maker)
        library, _, name = (known or self._name(registry.attacks, made, ATTACK)).rpartition("/")
        title = made.title(name)
        label = None if title == name else title
        preset = library if library == "lee2018" else "standard"  # whose names are those of no other preset
        parameters = dict(made.parameters)
        return AttackPart(name=name, label=label, library=library or "foolbox", preset=preset, parameters=parameters)

    def _with_detectors(self, suite: Suite) -> Suite:
        own = {part.title: part for part in suite.detectors}
        parts: list[Any] = []
        for thing in self.objects.detectors:
            part = self._detector(thing, own)
            _refuse_twice(part.title, [p.title for p in parts], "detector")
            parts.append(part)
        if self.objects.only:
            self.added += [part.title for part in parts]
            more, kept = parts, []
        else:
            more, kept = _beside(suite.detectors, parts, suite.name, "detector"), suite.detectors
        suite = suite.model_copy(update={"detectors": [*kept, *more]})
        return against_controls(suite, [part.title for part in more])

    def _detector(self, thing: Any, own: dict[str, DetectorPart]) -> DetectorPart:
        if isinstance(thing, str):
            if thing in own:
                return own[thing]
            registry.detectors.get(thing)
            return DetectorPart(name=thing)
        made = given(thing, DETECTOR)
        name = registered_as(registry.detectors, made.maker) or self._name(registry.detectors, made, DETECTOR)
        title = made.title(name)
        if not made.fixed:
            return DetectorPart(name=name)
        label = None if title == name else title
        return DetectorPart(name=name, label=label, parameters=dict(made.parameters), candidates=[{}])

    def _name(self, known: Registry[Any], made: Given, kind: Kind) -> str:
        """The name under which an object's class is lent; a second object of the class has the same."""
        source = source_hash(made.maker)
        for name in known:
            lent = known.lent(name)
            if lent is not None and known.get(name) is made.maker:
                return name
        name = self._free(known, made.name)
        self.stack.enter_context(known.lend(name, made.maker, Lent(made.what, source)))
        return name

    def _free(self, known: Registry[Any], name: str) -> str:
        """The name, or with ``my-`` in front where a package has it, in which case it would mean that package's."""
        taken = {full.rpartition("/")[2] for full in known} | set(known)
        names = [name, f"my-{name}", *(f"my-{name}-{number}" for number in range(2, 1000))]
        return next(each[:64] for each in names if each[:64] not in taken and not DEVICE.fullmatch(each))


def _beside(theirs: Sequence[Any], parts: Sequence[Any], suite: str, word: str) -> list[Any]:
    """The parts that a suite lacks. UserError for one of the same name that is another."""
    more = [part for part in parts if part not in theirs]
    titles = {part.title.casefold() for part in theirs}
    for part in more:
        if part.title.casefold() in titles:
            raise UserError(
                f"The suite {suite!r} has {'an' if word == 'attack' else 'a'} {word} {part.title!r} already, with "
                "other settings; leave it out, name it as a text, or give an object with other parameters."
            )
    return more


def _full(part: AttackPart) -> str:
    from ...attacks.presets import full_name

    return full_name(part.name, part.library)


def _refuse_twice(title: str, titles: Sequence[str], word: str) -> None:
    if title.casefold() in {each.casefold() for each in titles}:
        raise UserError(
            f"Two {word}s are called {title!r}: they have the same name and the same parameters; leave one out, or "
            "rename its class."
        )
