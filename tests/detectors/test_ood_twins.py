"""rmd, vim and max-logit against plain numpy; ViM also against pytorch-ood."""

from __future__ import annotations

import numpy as np
import pytest
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.core.registry import detectors
from subnetbench.bench.models.classifier import PENULTIMATE
from subnetbench.bench.views import View
from subnetbench.detectors.rmd import RelativeMahalanobis
from subnetbench.detectors.vim import ViM


def test_rmd_is_the_papers_difference_of_distances(train_view: View, test_view: View) -> None:
    f, q = (v.features(PENULTIMATE).astype(np.float64) for v in (train_view, test_view))
    y, live = train_view.labels, f.std(0) > 0
    f, q = f[:, live], q[:, live]
    means = np.stack([f[y == c].mean(0) for c in range(10)])
    within, whole = (r.T @ r / len(f) for r in (f - means[y], f - f.mean(0)))

    def half(differences: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        return 0.5 * np.einsum("nd,nd->n", differences @ np.linalg.pinv(covariance), differences)

    wanted = np.min([half(q - mean, within) for mean in means], 0) - half(q - f.mean(0), whole)
    ours = RelativeMahalanobis().fit(train_view).characteristics(test_view)[:, 0]
    np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_vim_is_pytorch_oods(train_view: View, test_view: View) -> None:
    pytest.importorskip("pytorch_ood", reason="pytorch-ood is not installed (extra ood)")
    theirs = detectors.get("ood-vim")(d=10).fit(train_view).characteristics(test_view)
    np.testing.assert_allclose(ViM(d=10).fit(train_view).characteristics(test_view), theirs, rtol=1e-3, atol=1e-3)


def test_vim_refuses_a_dimension_that_leaves_nothing_and_states_its_default(train_view: View) -> None:
    width = train_view.features(PENULTIMATE).shape[1]
    with pytest.raises(UserError, match=f"d is {width}"):
        ViM(d=width).fit(train_view)
    assert ViM().fit(train_view).notes == f"d = {width // 2} of {width}"


def test_max_logit_is_minus_the_largest_logit(train_view: View, test_view: View) -> None:
    ours = detectors.get("max-logit")().fit(train_view).characteristics(test_view)
    assert np.array_equal(ours[:, 0], -test_view.logits.max(1).astype(np.float64))
