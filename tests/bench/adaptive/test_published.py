"""Figures of papers, and what they say about ours."""

from __future__ import annotations

from fractions import Fraction

import pytest
from subnetbench.bench.adaptive.published import ADAPTIVE, ROBUST, implausible, published_figures
from subnetbench.bench.harness.tables import published_table


def test_a_papers_figure_is_found_by_detector_radius_and_arm() -> None:
    (figure,) = published_figures("DLA", 8 / 255, "orthogonal-pgd")
    assert (figure.value, figure.claimed, figure.metric, figure.dataset) == (1.0, 0.13, "SR@5", "CIFAR-10")
    assert {figure.attack for figure in published_figures("dla", 0.01)} == {"selective-pgd", "orthogonal-pgd"}
    assert len(published_figures("sid")) == 4
    assert published_figures("dla", 4 / 255) == ()
    assert published_figures("mahalanobis") == ()
    assert published_figures("dla", 0.01, "square") == ()


def test_shares_are_shares_and_every_row_has_a_source() -> None:
    table = published_table(ADAPTIVE)
    assert table[["value", "claimed"]].stack().between(0, 1).all()
    assert table["source"].str.contains("arXiv").all()
    best = published_table(ROBUST).astype({"eps": str})
    assert best[["robust_accuracy", "clean_accuracy"]].stack().between(0, 1).all()
    assert (best["robust_accuracy"] < best["clean_accuracy"]).all()
    assert best["source"].str.contains("arXiv").all()
    assert all(0 < Fraction(eps) < 1 for eps in best["eps"])
    assert not best.duplicated(["dataset", "norm", "eps"]).any()


def test_more_than_the_best_published_at_half_the_radius_is_flagged() -> None:
    said = implausible(0.8, "cifar10", "Linf", 16 / 255)
    assert said is not None
    assert "80.0%" in said
    assert "16/255" in said
    assert "best published robust accuracy on CIFAR-10 at 8/255, 73.7%" in said
    assert "2404.09349" in said
    assert implausible(0.7371, "cifar10", "Linf", 16 / 255) is None
    assert implausible(0.6, "imagenet", "Linf", 8 / 255) is not None
    assert implausible(0.59, "imagenet", "Linf", 8 / 255) is None
    assert implausible(0.9, "cifar10", "L2", 1.0) is not None


def test_robust_further_out_is_robust_nearer() -> None:
    """At 31/255 the half is no published radius; the claim holds at 8/255 all the more."""
    said = implausible(0.8, "CIFAR-10", "Linf", 31 / 255)
    assert said is not None
    assert "robust at 15.5/255" in said
    assert "at 8/255" in said


@pytest.mark.parametrize(
    ("dataset", "norm", "epsilon"),
    [
        ("cifar10", "Linf", 8 / 255),  # nothing at 4/255
        ("cifar10", "L2", 0.9),
        ("svhn", "Linf", 16 / 255),
        ("digits", "Linf", 0.3),
    ],
)
def test_where_no_figure_is_the_best_there_is_no_flag(dataset: str, norm: str, epsilon: float) -> None:
    assert implausible(1.0, dataset, norm, epsilon) is None
