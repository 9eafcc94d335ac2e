"""A starter package for a third-party detector, which works before it is edited."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

from ..core import registry
from ..core.errors import UserError
from ..harness.suite import NAME

_MODULE = '''\
"""{title}: a detector of adversarial images for SubnetBench. Edit the two methods; the rest is set up."""

from __future__ import annotations

import numpy as np
from subnetbench.bench import DetectorInfo, UserError


class {cls}:
    """1 - sum_c p_c^2 of the softmax p: an image that the net is unsure of scores high."""

    # Where the method comes from; the leaderboard shows it. Beside "clean" a detector may need "adversarial",
    # "gradient", "dropout" or "subnets".
    info = DetectorInfo(title="{title}", formula="1 - sum_c softmax_c(z)^2", year={year}, needs=("clean",))

    # Values of the constructor's parameters among which a protocol may choose on its fitting images, such as
    # ({{"k": 10}}, {{"k": 20}}); empty: nothing to choose.
    candidates = ()

    def __init__(self):
        self.fitted = False

    def fit(self, train):
        """Learn from clean training images. ``train`` has .images, .labels, .logits, .predicted, .features(tap)."""
        self.fitted = True
        return self

    def characteristics(self, x):
        """(N, K): K numbers an image, higher = more adversarial. ``x`` has no labels, and no image sees another."""
        if not self.fitted:
            raise UserError("{name} was asked for characteristics before it was fitted; call fit(train) first.")
        logits = x.logits.astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = odds / odds.sum(axis=1, keepdims=True)
        return 1 - np.square(probabilities).sum(axis=1, keepdims=True)

    # For attackers who know the detector: the same numbers in torch, with a gradient to the images. Without this
    # method they attack a surrogate of it, which says less about it (docs/adaptive.md).
    #
    # def differentiable(self, classifier):
    #     """A function of images (N, C, H, W) in [0, 1] to the (N, K) characteristics; row i is image i."""
    #     return lambda images: 1 - classifier(images).double().softmax(1).square().sum(1, keepdim=True)
'''

_TEST = '''\
"""The detector keeps the contract: what `subnetbench validate-detector {name}` checks."""

from __future__ import annotations

from subnetbench.bench import check_detector
from {module} import {cls}


def test_it_keeps_the_contract():
    assert [check for check in check_detector({cls}) if not check.passed] == []
'''

_PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{distribution}"
version = "0.1.0"
description = "{title}: a detector of adversarial images for SubnetBench"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["subnetbench"]

[project.entry-points."subnetbench.detectors"]
{key} = "{module}:{cls}"

[tool.setuptools]
py-modules = ["{module}"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

_README = """\
# {title}

A detector of adversarial images for SubnetBench, registered as `{name}`.

```
pip install --editable .
subnetbench ls detectors
```

Edit `fit` and `characteristics` in `{module}.py`, then

```
subnetbench validate-detector {name}
subnetbench run digits --detector {name}
subnetbench leaderboard subnetbench-results
```

`pytest` runs the same checks as `validate-detector`.
"""


def write_detector(name: str, into: Path, year: int) -> Path:
    """Write the package of a detector called ``name`` to ``into/name``; returns that folder.

    Raises UserError where the name is invalid or taken, or the folder exists or cannot be written.
    """
    module = _checked(name)
    folder = into / name
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{folder} exists already; give another name, or another folder with --into.")
    words = [word for word in re.split(r"[-._]+", name) if word]
    cls = "".join(word[:1].upper() + word[1:] for word in words)
    if not cls.isidentifier() or keyword.iskeyword(cls):
        cls = f"Detector{cls}"
    values = {
        "name": name,
        "key": name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"',  # a dotted TOML key would be two
        "distribution": f"subnetbench-{_canonical(name)}",
        "module": module,
        "cls": cls,
        "title": " ".join(words).capitalize(),
        "year": year,
    }
    files = {
        "pyproject.toml": _PROJECT,
        f"{module}.py": _MODULE,
        "README.md": _README,
        f"tests/test_{module.removeprefix('subnetbench_')}.py": _TEST,
    }
    try:
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text.format(**values), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror or error}); give another --into.") from None
    return folder


def _canonical(name: str) -> str:
    """The name as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _checked(name: str) -> str:
    """The module that a detector of this name lives in; UserError where the name cannot be one."""
    if (
        not re.fullmatch(NAME, name)
        or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name)
        or len(name) > 64
    ):
        raise UserError(
            f"{name!r} is not a name for a detector; use up to 64 letters, digits, hyphens and underscores that begin "
            "and end with a letter or digit, such as my-score."
        )
    taken = {_canonical(label): label for label in registry.detectors}.get(_canonical(name))
    if taken is not None:
        raise UserError(f"There is a detector named {taken!r} already; give yours another name.")
    module = f"subnetbench_{re.sub('[-.]+', '_', name.lower())}"
    if importlib.util.find_spec(module) is not None:
        raise UserError(f"There is a Python module {module} already, which {name!r} would hide; give another name.")
    return module
