"""The suite that tests run, so small that a whole run takes seconds; others are written as changes to its text."""

from __future__ import annotations

TINY = """
name = "tiny"
limit = 200

[dataset]
name = "digits"

[model]
name = "digits-cnn"
floor = 0.8
parameters = { width = 8 }

[model.train]
epochs = 6
batch_size = 50
learning_rate = 0.1
flip = false
shift = 0

[[attacks]]
name = "fgsm"
parameters = { epsilon = 0.3 }
batch_size = 40

[[attacks]]
name = "bim"
parameters = { epsilon = 0.3, step_size = 0.1, steps = 5 }
batch_size = 40

[[detectors]]
name = "mahalanobis"
candidates = [{ magnitude = 0.0 }, { magnitude = 0.01 }]

[[detectors]]
name = "lid"
candidates = [{ k = 10 }]

[[detectors]]
name = "max-softmax"

[[protocols]]
name = "strict"
splits = 2
minimum_fit = 10

[[protocols]]
name = "lee2018"
batch_size = 20
fit_share = 0.2
minimum_fit = 5

[statistics]
comparisons = [["mahalanobis", "max-softmax"]]
"""


def changed(text: str, *changes: tuple[str, str]) -> str:
    """The text with other words, each in place of the first that are there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def _part(label: str) -> str:
    """One attack, detector or protocol of the made suite, from its brackets to the next ones."""
    parts = TINY.split("\n[")
    return next(f"\n[{part}" for part in parts if part.startswith("[") and f'name = "{label}"' in part)


#: One attack, two detectors, one protocol: what a command's test needs.
SMALL = changed(
    TINY,
    ('name = "tiny"', 'name = "small"'),
    ("limit = 200", "limit = 60"),
    ("floor = 0.8\n", ""),
    ("epochs = 6", "epochs = 3"),
    ("batch_size = 40", "batch_size = 20"),
    (_part("bim"), ""),
    (", { magnitude = 0.01 }", ""),
    (_part("lid"), ""),
    (_part("lee2018"), ""),
    ("minimum_fit = 10", "minimum_fit = 5"),
    ('comparisons = [["mahalanobis", "max-softmax"]]\n', ""),
)

#: Enough stages that a run can be killed between any two.
KILLED = changed(
    TINY,
    ('name = "tiny"', 'name = "killed"'),
    ("limit = 200", "limit = 100"),
    ("floor = 0.8\n", ""),
    ("epochs = 6", "epochs = 4"),
    ("batch_size = 40", "batch_size = 25"),
    ("batch_size = 40", "batch_size = 25"),
    (_part("lid"), ""),
    (_part("lee2018"), ""),
    ("minimum_fit = 10", "minimum_fit = 5"),
    ('comparisons = [["mahalanobis", "max-softmax"]]\n', ""),
)
