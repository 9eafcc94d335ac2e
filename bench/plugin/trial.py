"""Trial of a detector: the contract, and its scores on digits under two plain attacks and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch

from ...attacks.presets import build
from ...attacks.verify import craft, noise_of_norm, verify
from ..core import registry
from ..core.arrays import ClassGates, Floats, Ints
from ..core.keywords import named_arguments
from ..core.meter import spent
from ..data.builtin import digits
from ..data.dataset import Dataset
from ..detection.protocol import combine
from ..detection.scoring import metered
from ..harness.objects import DETECTOR, Fixed, given, registered_as
from ..harness.train import Recipe
from ..harness.train import train as train_net
from ..models.cifar import digits_cnn
from ..models.classifier import Classifier
from ..models.passes import counted
from ..stats.inference import bootstrap_auroc, resample_counts, share_interval
from ..stats.metrics import auroc
from ..views import View
from .checks import RUNS, Check, check_contract, copied, fresh, raised
from .claims import ROOTS
from .material import NetState
from .report import Report

#: As strong as in the suite `digits`.
ATTACKS: Mapping[str, Mapping[str, Any]] = {
    "fgsm": {"parameters": {"epsilon": 0.2}},
    "deepfool": {"preset": "quick"},
}
#: Checks of how well a detector tells adversarial images apart, which a run leaves to its own figures.
WORTH = ("adversarial images score higher", "mere noise is found less")
IMAGES = 300
RESAMPLES = 1000


@dataclass(frozen=True)
class Sides:
    """Views of the images that one attack fools, in the same order: clean, adversarial, and noise of that norm."""

    clean: View
    adversarial: View
    noise: View


class Ground:
    """A small net on scikit-learn's digits, trained on the spot in seconds, with attacked images."""

    @cached_property
    def data(self) -> Dataset:
        dataset: Dataset = digits()
        return dataset

    @cached_property
    def net(self) -> Classifier:
        net: Classifier = digits_cnn()
        recipe = Recipe(epochs=8, batch_size=50, learning_rate=0.1, flip=False, shift=1)
        train_net(net, self.data, recipe, device=torch.device("cpu"))
        net.requires_grad_(False).eval()
        return net

    @cached_property
    def gates(self) -> ClassGates:
        """Four of five channels of each class, at random: enough for a detector to run, not to be good."""
        generator = torch.Generator().manual_seed(3)
        channels = self.net.channels(self.net.gated_paths("stages"))
        return {
            path: (torch.rand(self.net.classes, n, generator=generator) < 0.8).float() for path, n in channels.items()
        }

    @cached_property
    def train(self) -> View:
        return self._view(self.data.train.tensor(), labels=self.data.train.labels)

    @cached_property
    def test(self) -> View:
        """60 test images and as many noisy ones, for the contract."""
        clean = self.data.test.tensor(slice(0, 60))
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
        return self._view(torch.cat([clean, (clean + 0.15 * noise).clamp(0, 1)]))

    @cached_property
    def sides(self) -> dict[str, Sides]:
        images, labels = self.data.test.tensor(slice(0, IMAGES)), self.data.test.labels[:IMAGES]
        sides = {}
        for name, choice in ATTACKS.items():
            attack = build(name, "foolbox", choice.get("preset", "standard"), dict(choice.get("parameters", {})))
            moved = craft(attack, self.net, images, labels, seed=0, name=name)
            facts = verify(self.net, images, moved, labels)
            fooled = torch.from_numpy(facts["success"] & facts["clean_correct"])
            norms = torch.from_numpy(facts["l2"])[fooled]
            noise = noise_of_norm(images[fooled], norms, torch.Generator().manual_seed(2))
            sides[name] = Sides(*(self._view(x) for x in (images[fooled], moved[fooled], noise)))
        return sides

    def _view(self, images: torch.Tensor, labels: Ints | None = None) -> View:
        return View(self.net, images, key="trial", labels=labels, gates={"learned": self.gates})


@cache
def bare_ground() -> Ground:
    """The process's one `Ground`, of which nothing is made before it is asked for."""
    return Ground()


def ground() -> Ground:
    """The process's one `Ground`, with its net trained and attacked."""
    with one_thread():
        _ = bare_ground().sides
    return bare_ground()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run on one thread: for many small computations threads cost more than they gain, and sums may differ by a bit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@named_arguments
def check_detector(detector: str | Any, *, debug: bool = False) -> Report:
    """Run every check of the contract and of the scores: of a class, an instance, a function or a registered name.

    They run on a small net that is trained on digits on the spot, once per process. Each `Check` has a ``name``, an
    ``outcome`` and a ``message``; ``passed`` is false only where the contract is broken. The list is shown as
    `subnetbench validate-detector` prints it. An instance is checked through others with its parameters. A detector
    that does not run has a single check that states where it raised; with ``debug`` the error is raised. Raises
    UserError, one sentence, for what is no detector.
    """
    name, factory = _named(detector)
    with one_thread(), _left_as_it_was(ground()) as place:
        return Report(name, _examined(factory, place, debug))


@contextmanager
def _left_as_it_was(place: Ground) -> Iterator[Ground]:
    """The ground, whose net is afterwards as it was: what one detector does to it must not be held against the next."""
    before = NetState(place.net)
    try:
        yield place
    finally:
        before.restore()


def _named(detector: str | Any) -> tuple[str, Any]:
    """The name to show, and what makes instances."""
    if isinstance(detector, str):
        return detector, registry.detectors.get(detector)
    thing = given(detector, DETECTOR)
    name = registered_as(registry.detectors, thing.maker) or thing.name
    return thing.title(name), Fixed(thing) if thing.fixed else thing.maker


def _examined(factory: Any, place: Ground, debug: bool) -> list[Check]:
    try:
        detector = factory()
        with _left_as_it_was(place):
            detector.fit(copied(place.train))  # what it returns is a check of its own
            detector.characteristics(fresh(place.test))
    except Exception as error:
        if debug:
            raise
        return [Check(RUNS, "fails", raised(error))]
    checks = check_contract(factory, place.train, place.test)
    if all(check.passed for check in checks if check.name in ROOTS):
        try:
            checks += _worth(factory().fit(copied(place.train)), place.sides)
            checks.append(_cost(factory, place))
        except Exception as error:
            if debug:
                raise
            checks.append(Check("adversarial images can be scored", "fails", raised(error)))
    return checks


def failures(checks: list[Check]) -> list[str]:
    """One line per failed check, for a detector's test to assert that there are none."""
    return [f"{check.name}: {check.message}" for check in checks if not check.passed]


# -- quality of the scores ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Worth:
    """AUROC of an attack and of noise of its norm, each with its interval, and the AUROC of each column by itself."""

    attack: tuple[float, float, float]
    noise: tuple[float, float, float]
    columns: list[float]


def _worth(detector: Any, sides: Mapping[str, Sides]) -> list[Check]:
    worths = {name: _measured(detector, side) for name, side in sides.items()}
    width = len(next(iter(worths.values())).columns)
    return [_direction(worths, width), _against_noise(worths)]


def _measured(detector: Any, sides: Sides) -> _Worth:
    """One column is the score; with several, half the images fit a logistic regression that scores the other half."""
    clean, moved, noise = (
        np.asarray(detector.characteristics(fresh(view)), np.float64)
        for view in (sides.clean, sides.adversarial, sides.noise)
    )
    columns = [auroc(moved[:, k], clean[:, k]) for k in range(clean.shape[1])]
    held = np.arange(len(clean)) % 2 == 1 if clean.shape[1] > 1 else np.ones(len(clean), bool)
    if clean.shape[1] > 1:
        fit = ~held
        score: Callable[[Floats], Floats] = combine(np.r_[clean[fit], moved[fit]], np.repeat([0, 1], fit.sum()))
    else:
        score = _first
    negative = score(clean[held])
    return _Worth(_with_interval(score(moved[held]), negative), _with_interval(score(noise[held]), negative), columns)


def _first(values: Floats) -> Floats:
    return values[:, 0]


def _with_interval(positive: Floats, negative: Floats) -> tuple[float, float, float]:
    units = np.arange(len(negative))
    counts = resample_counts(len(units), RESAMPLES, np.random.default_rng(5))
    samples = bootstrap_auroc(positive, units, negative, units, counts)
    return auroc(positive, negative), *share_interval(samples, len(units))


def _percent(value: tuple[float, float, float]) -> str:
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * v for v in value))


def _direction(worths: Mapping[str, _Worth], width: int) -> Check:
    name = WORTH[0]
    values = ", ".join(f"{_percent(worth.attack)} on {attack}" for attack, worth in worths.items())
    if width == 1:
        if all(worth.attack[2] < 0.5 for worth in worths.values()):
            return Check(name, "fails", f"AUROC {values}: clean images score higher; turn the sign")
        doubt = any(worth.attack[1] <= 0.5 for worth in worths.values())
        return Check(name, "warning" if doubt else "passes", f"AUROC {values}" + (": near chance" if doubt else ""))
    below = {k for worth in worths.values() for k, value in enumerate(worth.columns) if value < 0.5}
    alone = "; ".join(
        f"columns alone on {attack}: {', '.join(f'{100 * v:.0f}' for v in worth.columns[:12])}"
        + (" ..." if width > 12 else "")
        for attack, worth in worths.items()
    )
    values = f"AUROC {values} ({width} columns, combined by logistic regression); {alone}"
    if below or any(worth.attack[1] <= 0.5 for worth in worths.values()):
        return Check(name, "warning", f"{values}; columns below 50 point the other way, which the combiner corrects")
    return Check(name, "passes", values)


def _against_noise(worths: Mapping[str, _Worth]) -> Check:
    """Check that noise of the attack's norm scores lower: otherwise it is not adversarial images that are detected."""
    values = ", ".join(
        f"{_percent(w.noise)} at {attack}'s norm ({_percent(w.attack)} on {attack})" for attack, w in worths.items()
    )
    as_high = [attack for attack, worth in worths.items() if worth.noise[0] >= worth.attack[1]]
    more = f": noise is found as well as {' and '.join(as_high)}" if as_high else ""
    return Check(WORTH[1], "warning" if as_high else "passes", f"AUROC on noise {values}{more}")


def _cost(factory: Any, place: Ground) -> Check:
    """Cost of fitting and scoring once more, on views with the shared pass made but nothing else."""
    images, train = fresh(place.test), copied(place.train)
    with spent() as whole:
        with spent() as fitting, counted(train.classifier):  # its copies of the net are counted when they score
            detector = factory().fit(train)
        with metered(images) as cost:
            detector.characteristics(images)
    per_image = {name: cost[name] / len(images) for name in ("seconds", "forward", "backward")}
    memory = "" if whole.rise is None else f", {whole.rise:.0f} MB of memory at the peak"
    return Check(
        "time and memory",
        "measured",
        f"fit {fitting.seconds:.2f} s on {len(place.train)} images, {1000 * per_image['seconds']:.3f} ms, "
        f"{per_image['forward']:g} forward and {per_image['backward']:g} backward passes an image beside the shared one"
        f"{memory}",
    )
