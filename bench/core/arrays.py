"""The conventions that all other code relies on.

Images are ``float32`` tensors of shape ``(N, C, H, W)`` with values in ``[0, 1]``; normalisation lives inside the
classifier. A detector's scores are higher for images that look more adversarial. Only this file states both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: ``test_on`` of scores that serve every test column of their ``fit_on``.
EVERY = "*"

#: Channel gates of every class: gated module path -> ``(classes, channels)``, values >= 0, 0 = channel removed.
ClassGates: TypeAlias = "Mapping[str, torch.Tensor]"
Float64 = npt.NDArray[np.float64]
