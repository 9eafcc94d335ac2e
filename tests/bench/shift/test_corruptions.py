"""Corruptions change images as they say, the same way every time, and leave them legal 8-bit images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from subnetbench.bench.core.errors import UserError
from subnetbench.bench.shift.corruptions import CORRUPTIONS, corrupted, kinds_for, refuse_unknown


def pictures(channels: int = 3) -> torch.Tensor:
    """Smooth pictures with an edge, as 8-bit images are."""
    ramp = torch.linspace(0.2, 0.8, 32).view(1, 1, 1, 32).expand(2, channels, 32, 32).clone()
    ramp[:, :, :, 16:] *= torch.tensor([0.9, 0.6, 0.3])[:channels].view(1, -1, 1, 1)
    return (ramp * 255).round() / 255


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_results_are_8_bit_images_and_the_same_every_time(kind: str) -> None:
    clean = pictures()
    before = clean.clone()
    for severity in (1, 5):
        changed = corrupted(clean, kind, severity, 7)
        assert changed.shape == clean.shape
        assert changed.dtype == torch.float32
        assert changed.min() >= 0
        assert changed.max() <= 1
        assert torch.equal(changed, (changed * 255).round() / 255)
        assert torch.equal(changed, corrupted(clean, kind, severity, 7))
        assert not torch.equal(changed, clean)
    assert torch.equal(clean, before)


@pytest.mark.parametrize("kind", [kind for kind in CORRUPTIONS if kind != "saturation"])
def test_a_higher_severity_changes_more(kind: str) -> None:
    clean = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    changes = [float((corrupted(clean, kind, severity, 7) - clean).square().mean()) for severity in (1, 3, 5)]
    assert changes == sorted(changes)


def test_noise_has_its_deviation_and_its_own_draw() -> None:
    grey = torch.full((4, 3, 32, 32), 0.5)
    for severity, deviation in ((1, 0.04), (5, 0.10)):
        noise = corrupted(grey, "gaussian-noise", severity, 1) - 0.5
        assert float(noise.std()) == pytest.approx(deviation, rel=0.03)
    assert not torch.equal(corrupted(grey, "gaussian-noise", 1, 1), corrupted(grey, "gaussian-noise", 1, 2))
    shot = corrupted(grey, "shot-noise", 3, 1) - 0.5
    assert float(shot.std()) == pytest.approx(np.sqrt(0.5 / 100), rel=0.03)
    extreme = corrupted(grey, "impulse-noise", 5, 1)
    assert float((extreme != extreme.median()).float().mean()) == pytest.approx(0.07, rel=0.1)


def test_one_image_is_changed_alike_whatever_stands_behind_it() -> None:
    for kind in CORRUPTIONS:
        if "noise" not in kind:  # noise is drawn for a whole set, whose images never change places
            assert torch.equal(corrupted(pictures()[:1], kind, 3, 0), corrupted(pictures(), kind, 3, 0)[:1]), kind


def test_tiny_and_grey_images_have_the_corruptions_that_they_can_have() -> None:
    assert "saturation" not in kinds_for(1, [])
    assert kinds_for(2, []) == ["gaussian-noise", "shot-noise", "impulse-noise", "gaussian-blur", "pixelate"]
    for kind in kinds_for(1, []):
        assert corrupted(torch.rand(2, 1, 8, 8), kind, 5, 0).shape == (2, 1, 8, 8)


def test_a_corruption_that_is_not_there_or_not_for_these_images_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"no corruption 'jpg'\. Did you mean 'jpeg'"):
        refuse_unknown(["jpg"])
    with pytest.raises(UserError, match="1 channels cannot have 'saturation'"):
        kinds_for(1, ["saturation"])
