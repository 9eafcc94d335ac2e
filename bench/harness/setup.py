"""A suite's data and its net, with which every track begins; each is an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from ..core import registry
from ..core.errors import UserError
from ..core.hashing import hash_arrays, key_of
from ..core.store import Arrays, Meta
from ..data.dataset import Dataset, Split, stratified
from ..data.load import load
from ..models.byname import architecture_only
from ..models.classifier import Classifier, layout
from ..models.dry import refuse_unfit
from ..models.torchvision import SMALLEST
from ..models.weights import load_weights, locate, refuse_unusable, weights_hash
from .context import Context
from .factory import brings_weights, factory_source, library_of, make, refuse_untrained, with_files
from .parameters import check_data, check_model
from .sanity import look
from .suite import NetSuite
from .toml import fill
from .train import Recipe, accuracy, train
from .unattacked import unattacked


@dataclass(frozen=True)
class Trained:
    """A net on its device, in evaluation mode and frozen, with its key facts.

    ``sha256`` is its content hash, ``accuracy`` the share of all test images that it classifies correctly, ``weights``
    the origin of its weights.
    """

    net: Classifier
    sha256: str
    accuracy: float
    weights: Meta


class Setup:
    """A suite's data and net, from the store or newly made; every property is computed once."""

    def __init__(self, suite: NetSuite, context: Context, dataset: Dataset | None = None) -> None:
        """``dataset``: the suite's, if it is already in memory."""
        self.suite, self.context = suite, context
        self._dataset = dataset
        self._calibration: dict[int, Split] = {}

    @cached_property
    def dataset(self) -> Dataset:
        if self._dataset is not None:
            return self._dataset
        part = self.suite.dataset
        check_data(part)
        dataset = load(part.name, self.context.data_root, **part.parameters)
        for sentence in dataset.warnings:
            self.context.report.warn(sentence)
        return dataset

    @cached_property
    def test(self) -> Split:
        """The test images that are attacked."""
        return stratified(self.dataset.test, self.suite.limit, self.suite.seed)

    def calibration(self, count: int) -> Split:
        """At most ``count`` test images, correctly classified and not attacked; stratified, drawn by the seed."""
        if count not in self._calibration:
            self._calibration[count] = unattacked(self, count)
        return self._calibration[count]

    @cached_property
    def train_split(self) -> Split:
        """The training images that detectors and gates are fitted on."""
        return stratified(self.dataset.train, self.suite.dataset.train_limit, self.suite.seed)

    @cached_property
    def recipe(self) -> Recipe:
        recipe: Recipe = fill(Recipe, {"seed": self.suite.seed, **(self.suite.model.train or {})}, "model.train")
        return recipe

    def split_key(self, split: Split) -> str:
        """The key that identifies some of the data set's images."""
        return key_of("images", {"dataset": self.dataset.content_hash, "ids": hash_arrays(split.ids)})

    def blank_net(self, *, pretrained: bool = True) -> Classifier:
        """The model from its factory; without ``pretrained``, a net of the same shape and no download."""
        part = self.suite.model
        name, parameters = part.name, part.parameters
        if not pretrained and (registry.models.in_family(name) or name in SMALLEST):
            name, parameters = architecture_only(name, parameters)
        check_model(part, dataset=self.dataset)
        debug, shape = self.context.debug, self.dataset.shape
        net = make(name, parameters, self.recipe.seed, debug=debug, classes=self.dataset.classes, shape=shape)
        refuse_unfit(net, part.name, self.dataset.classes, self.dataset.train.tensor(slice(0, 2)))
        return net

    @cached_property
    def _given(self) -> Classifier:
        """The net as a plug-in's factory gives it, which is part of the key of its weights."""
        return self.blank_net()

    @cached_property
    def weights_inputs(self) -> Meta:
        """The inputs that determine the net's weights."""
        part = self.suite.model
        refuse_untrained(part, "model")
        inputs: Meta = {
            "model": part.name,
            "parameters": with_files(part.parameters),
            "source": factory_source(part.name),
            "given": None if registry.models.is_ours(part.name) else self._given.content_hash(),
            "classes": self.dataset.classes,
            "shape": self.dataset.shape,
        }
        if part.weights is not None:
            return {"file": weights_hash(locate(part.weights)), **inputs}
        if not part.trains:
            return inputs
        return {**inputs, "dataset": self.dataset.content_hash, "recipe": self.recipe.model_dump()}

    @cached_property
    def trained(self) -> Trained:
        """The net, trained or loaded, with an accuracy not below the suite's floor."""
        store, inputs = self.context.store, self.weights_inputs
        ours = registry.models.is_ours(self.suite.model.name)
        net = self.blank_net(pretrained=not store.has("weights", inputs)) if ours else self._given
        # What training leaves in a module of others besides tensors is not stored: then another net is trained.
        again = not ours and self.suite.model.trains
        arrays, meta = store.get("weights", inputs, lambda: self._weights(self.blank_net() if again else net))
        meta = {**meta, **library_of(self.suite.model.name)}
        state = net.state_dict()
        net.load_state_dict({n: torch.from_numpy(arrays[n].copy()).to(state[n].dtype) for n in state})
        device = self.context.device
        net.to(device, memory_format=layout(net, device)).eval()  # type: ignore[call-overload]
        for parameter in net.parameters():
            parameter.requires_grad_(False)
        sha256 = net.content_hash()
        inputs = {"model": sha256, "dataset": self.dataset.content_hash}
        measured = store.get("accuracy", inputs, lambda: ({}, {"accuracy": accuracy(net, self.dataset.test)}))[1]
        trained = Trained(net, sha256, float(measured["accuracy"]), meta)
        self._check_floor(trained.accuracy)
        look(net, self.suite.model.name, self.dataset, trained.accuracy, self.context.report)
        return trained

    def _check_floor(self, share: float) -> None:
        floor = self.suite.model.floor
        if share < floor:
            raise UserError(
                f"The classifier {self.suite.model.name!r} classifies {share:.1%} of "
                f"{len(self.dataset.test)} test images correctly, below the suite's floor of {floor:.1%}; train it "
                "longer or lower model.floor."
            )

    def _weights(self, net: Classifier) -> tuple[Arrays, Meta]:
        part = self.suite.model
        if part.weights is not None:
            meta: Meta = dict(load_weights(net, locate(part.weights)))
        elif part.trains:
            meta = self._train(net)
        else:
            given = (
                f"as the factory of {part.name} gives them" if registry.models.lent(part.name) is None else "as given"
            )
            meta = {"weights": part.parameters.get("weights") or given}
        refuse_unusable(net.state_dict(), f"The net {part.name!r}, {part.origin},")
        return {n: t.detach().cpu().contiguous().numpy() for n, t in net.state_dict().items()}, meta

    def _train(self, net: Classifier) -> Meta:
        part, context = self.suite.model, self.context
        ours = registry.models.is_ours(part.name)
        if not ours and brings_weights(net, self._of_another_seed()):
            context.report.warn(
                f"The factory of the model {part.name!r} brings weights, and [model.train] trains the net from nothing "
                'all the same; to take the net as it is, leave that table out (without = ["model.train"] in a suite '
                "that extends another)."
            )
        scratch = context.store.scratch("weights", key_of("weights", self.weights_inputs))
        title = f"train {part.name}" if ours else f"train {part.name} from nothing"
        with context.report.stage(title) as tick:
            try:
                return dict(
                    train(net, self.dataset, self.recipe, device=context.device, checkpoint=scratch, progress=tick)
                )
            except OSError as error:  # from the checkpoint: nothing else is written there
                raise context.store.refused(error) from None

    def _of_another_seed(self) -> Classifier:
        part, given = self.suite.model, self.dataset
        return make(part.name, part.parameters, self.recipe.seed + 1, classes=given.classes, shape=given.shape)
