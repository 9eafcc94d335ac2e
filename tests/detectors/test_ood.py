"""Rows ood-... are pytorch-ood's own numbers, and what they say of papers is what the package says."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.models.classifier import PENULTIMATE, Classifier
from subnetbench.bench.views import View
from subnetbench.detectors import ood
from subnetbench.detectors.ood_table import ROWS, Row

NAMES = {row.name: row for row in ROWS}


def library() -> Any:
    return pytest.importorskip("pytorch_ood.detector", reason="pytorch-ood is not installed (extra ood)")


@pytest.mark.parametrize("row", ROWS, ids=list(NAMES))
def test_papers_and_candidates_are_the_packages(row: Row) -> None:
    kind = getattr(library(), row.kind)
    paper = kind.info.paper
    if paper is not None:
        assert (row.title, row.venue, row.year, row.url) == (paper.title, paper.venue, paper.year, paper.url)
    assert all(set(candidate) <= set(kind.hyperparameter_space) for candidate in row.candidates)


def by_hand(name: str, train: View, test: View) -> np.ndarray[Any, Any]:
    """The package asked directly: the constructor, fit and predict of each, all images at once."""
    lib, head = library(), copy.deepcopy(train.classifier.head)
    y = torch.from_numpy(train.labels)
    z, q = (torch.from_numpy(v.features(PENULTIMATE)) for v in (train, test))
    zl, ql = (torch.from_numpy(v.logits) for v in (train, test))
    w, b = head.weight, head.bias
    features = {
        "mahalanobis": lambda: lib.Mahalanobis(None),
        "rmd": lambda: lib.RMD(None),
        "gmm": lambda: lib.GMM(None),
        "knn": lambda: lib.KNN(None, k=50),
        "nnguide": lambda: lib.NNGuide(None, head),
        "pnml": lambda: lib.PNML(None, head),
        "she": lambda: lib.SHE(None, head),
        "vim": lambda: lib.ViM(None, z.shape[1] // 2, w, b),
        "fdbd": lambda: lib.fDBD(None, head),
        "nci": lambda: lib.NCI(None, head),
        "dice": lambda: lib.DICE(None, w, b, 0.9),
    }
    logits = {
        "max-logit": lib.MaxLogit,
        "entropy": lib.Entropy,
        "gen": lib.GEN,
        "kl-matching": lib.KLMatching,
    }
    flat = torch.nn.Sequential(torch.nn.Flatten(), head)
    if name in features:
        if NAMES[name].double:
            z, q = z.double(), q.double()
        scores = features[name]().fit_features(z, y).predict_features(q)
    elif name in logits:
        scores = logits[name](None).fit_logits(zl.double(), y).predict_logits(ql.double())
    elif name in ("ash", "scale"):
        scores = {"ash": lib.ASH, "scale": lib.SCALE}[name](None, flat).predict_feature_maps(q[:, :, None, None])
    elif name == "react":
        scores = lib.ReAct(torch.nn.Identity(), head).fit([(z, y)]).predict(q)
    elif name == "gradnorm":
        scores = lib.GradNorm(head, lambda p: p == "weight").to("cpu").predict(q)
    else:
        scores = lib.ODIN(train.classifier).predict(test.images)
    return np.asarray(scores.detach().double().numpy())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gram"])
def test_a_row_is_what_the_package_gives(name: str, train_view: View, test_view: View) -> None:
    library()
    ours = detectors.get(f"ood-{name}")().fit(train_view).characteristics(test_view)
    theirs = by_hand(name, train_view, test_view)
    assert ours.shape == (len(test_view), 1)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours[:, 0], theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


def test_gram_is_what_the_package_gives_layer_by_layer(net: Classifier, train_view: View, test_view: View) -> None:
    """Against the package walking through the net's stages itself, where every tap is a stage."""
    lib = library()
    stops = [net.stage_of(tap) + 1 for tap in net.taps]
    assert [net.stages[stop - 1] for stop in stops] == list(net.taps)

    def layer(start: int, stop: int) -> Any:
        return lambda x: net.advance(x, start, stop)

    layers = [layer(start, stop) for start, stop in zip([0, *stops], stops, strict=False)]
    theirs = lib.Gram(lambda x: net.advance(x, stops[-1]), layers, net.classes)
    ours = detectors.get("ood-gram")().fit(train_view).characteristics(test_view)[:, 0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs.fit([(train_view.images[p], torch.from_numpy(train_view.labels[p])) for p in train_view.batches()])
    wanted = theirs.predict(test_view.images).double().numpy()
    np.testing.assert_allclose(ours, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


def test_gram_leaves_the_global_generator_as_it_was(train_view: View) -> None:
    library()
    before = torch.random.get_rng_state()
    detectors.get("ood-gram")().fit(train_view)
    assert torch.equal(before, torch.random.get_rng_state())


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, train_view: View) -> None:
    library()
    monkeypatch.setattr(ood, "version", lambda _: "0.5.1")
    with pytest.raises(UserError, match=r"0\.5\.1 is installed.*need 0\.4.*subnetbench\[ood\]"):
        detectors.get("ood-entropy")().fit(train_view)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, train_view: View) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pytorch_ood", None)
    monkeypatch.delitem(__import__("sys").modules, "pytorch_ood.detector", raising=False)
    with pytest.raises(UserError, match=r"subnetbench\[ood\]"):
        detectors.get("ood-entropy")().fit(train_view)


def test_vims_dimension_is_refused_where_the_package_would_lower_it(train_view: View) -> None:
    library()
    with pytest.raises(UserError, match="d is 5000"):
        detectors.get("ood-vim")(d=5000).fit(train_view)
