"""`validate` refuses what `run` would refuse before it computes: with file, line and key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ..cli.test_commands import call, written
from ..made_suite import SMALL

DETECTOR = '[[detectors]]\nname = "max-softmax"\n'


def refusal(folder: Path, *changes: tuple[str, str]) -> tuple[str, str]:
    """The sentence, and the line of the suite that it names."""
    path = written(folder, *changes)
    said = call("validate", path)
    assert said.code == 2, said.err
    sentence = " ".join(said.err.split())
    assert "Traceback" not in sentence
    number = int(sentence.split(f"{path.name}, line ")[1].split(":")[0])
    return sentence, path.read_text().splitlines()[number - 1]


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("lid", "candidates = [{ k = 10.5 }]", "candidates.0.k: it must be a whole number (given: 10.5)"),
        ("lid", 'parameters = { k = "10" }', "parameters.k: it must be a whole number (given: '10')"),
        ("lid", "parameters = { q = 1 }", "parameters: the detector 'lid' does not take them"),
        ("lid", 'parameters = { taps = "conv1" }', "parameters.taps: it must be a list, each item text"),
        ("mahalanobis", "candidates = [{ magnitude = true }]", "candidates.0.magnitude: it must be a number"),
        ("kd-pu", "parameters = { bandwidth = false }", "parameters.bandwidth: it must be a number or text"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_by_its_line(tmp_path: Path, name: str, table: str, words: str) -> None:
    sentence, line = refusal(tmp_path, (DETECTOR, f'[[detectors]]\nname = "{name}"\nlabel = "mine"\n{table}\n'))
    assert words in sentence
    assert line == table


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("mahalanobis", "magnitude = 1e30", "magnitude is 1e+30; it must be at most 1"),
        ("kd-pu", "bandwidth = 1e300", "bandwidth is 1e+300; it must be at most 1e+100"),
        ("kd-pu", "passes = 1000000000", "passes is 1000000000; it must be at most 10000"),
        ("lid", "seed = -1", "seed is -1; it must be at least 0"),
        ("energy", "temperature = 1e-300", "temperature is 1e-300; it must be at least 1e-100"),
    ],
)
def test_a_number_out_of_bounds_is_named_by_its_detector(
    tmp_path: Path, name: str, parameters: str, words: str
) -> None:
    table = f"parameters = {{ {parameters} }}"
    sentence, line = refusal(tmp_path, (DETECTOR, f'[[detectors]]\nname = "{name}"\nlabel = "mine"\n{table}\n'))
    assert words in sentence
    assert line == table


def test_the_candidate_that_is_out_of_bounds_is_named(tmp_path: Path) -> None:
    listed = "candidates = [\n  { k = 10 },\n  { k = 1 },\n]\n"
    sentence, _ = refusal(tmp_path, (DETECTOR, f'[[detectors]]\nname = "lid"\n{listed}'))
    assert "detectors.lid.candidates.1.k: lid: k is 1; it must be at least 2" in sentence


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("width = 0", "width is 0; it must be at least 1"),
        ("width = 100000000", "width is 100000000; it must be at most 8192"),
        ("width = 8.5", "model.parameters.width: it must be a whole number"),
        ("classes = 11", "model.parameters.classes: it is 11, and digits has 10"),
        ("depth = 2", "'digits-cnn' does not take them"),
    ],
)
def test_parameters_of_a_model_are_checked(tmp_path: Path, parameters: str, words: str) -> None:
    assert words in refusal(tmp_path, ("{ width = 8 }", f"{{ {parameters} }}"))[0]


@pytest.mark.parametrize(
    "parameters",
    [
        'test_share = "0.5"',
        "test_share = 2",
        "test_share = 0",
        "test_share = 0.0001",
        "test_share = true",
        "seed = -1",
        "seed = 1.5",
        'seed = "1"',
        "seed = 99999999999",
        'size = "8"',
        "classes = 3",
        'root = "here"',
        'name = "x"',
    ],
)
def test_parameters_of_digits_are_checked(tmp_path: Path, parameters: str) -> None:
    sentence, line = refusal(tmp_path, ('name = "digits"\n', f'name = "digits"\nparameters = {{ {parameters} }}\n'))
    assert parameters.split()[0] in sentence
    assert line == f"parameters = {{ {parameters} }}"


def test_parameters_of_data_that_are_not_at_hand_are_checked_too(tmp_path: Path) -> None:
    for name, size in (("folder", "8.5"), ("tinyimagenet30", '"8"')):
        changes = ('name = "digits"\n', f'name = "{name}"\nparameters = {{ size = {size} }}\n')
        assert "dataset.parameters.size: it must be a whole number" in refusal(tmp_path, changes)[0]


def test_data_and_weights_that_are_not_there_or_do_not_fit_are_refused(tmp_path: Path) -> None:
    for name in ("nowhere/mine.npz", "~/nowhere/mine.npz"):
        assert "There is no data file" in refusal(tmp_path, ('name = "digits"\n', f'name = "{name}"\n'))[0]
    # A bare name may be that of a file in a data root, which validate does not get.
    assert call("validate", written(tmp_path, ('name = "digits"\n', 'name = "nowhere.npz"\n'))).code == 0
    assert "no weights file w" in refusal(tmp_path, ("width = 8 }", 'width = 8 }\nweights = "w"'))[0]
    (tmp_path / "w.safetensors").write_bytes(b"pickled")
    weights = ("width = 8 }", f'width = 8 }}\nweights = "{(tmp_path / "w.safetensors").as_posix()}"')
    assert "model.weights: " in refusal(tmp_path, weights)[0]
    shipped = [('name = "digits"\n', 'name = "cifar10"\n'), ("digits-cnn", "wide7"), ("{ width = 8 }", "{}")]
    misfit = ("{ width = 8 }", '{}\nweights = "cifar100/wide7"')
    assert "do not fit the net" in refusal(tmp_path, *shipped[:2], misfit)[0]
    assert call("validate", written(tmp_path, *shipped)).code == 0


def test_images_that_the_net_cannot_take_are_refused(tmp_path: Path) -> None:
    images, labels = np.random.default_rng(0).integers(0, 256, (40, 3, 3, 1), np.uint8), np.arange(40) % 10
    path = tmp_path / "three.npz"
    np.savez(path, train_images=images, train_labels=labels, test_images=images[::-1], test_labels=labels)
    sentence, _ = refusal(tmp_path, ('name = "digits"\n', f'name = "{path.as_posix()}"\n'))
    assert "cannot take two images of 3 x 3 pixels" in sentence


def test_run_names_the_line_as_validate_does(tmp_path: Path) -> None:
    path = written(tmp_path, (DETECTOR, '[[detectors]]\nname = "lid"\ncandidates = [{ k = 10.5 }]\n'))
    said = call("run", path, "--store", tmp_path / "store", "--output", tmp_path / "out")
    line = SMALL[: SMALL.index(DETECTOR)].count("\n") + 3
    assert f"small.toml, line {line}: detectors.lid.candidates.0.k: it must be a whole number" in said.mistake


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[[saliency]]\nname = "smooth-grad"\nparameters = { sigma = true }', "parameters.sigma: it must be a number"),
        (
            '[[models]]\nname = "vgg64"\nparameters = { hidden = 0 }',
            "parameters.hidden: vgg64: hidden is 0",
        ),
        ('[[models]]\nname = "vgg64"\nparameters = { hidden = 8 }', "weights: The weights in"),
    ],
)
def test_parts_of_a_localisation_suite_are_checked(tmp_path: Path, table: str, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = "wsol-tiny-nets"\nname = "mine"\n\n{table}\n')
    said = call("validate", path)
    assert said.code == 2
    assert words in " ".join(said.err.split())
    assert "weights" in words or f"mine.toml, line 6: {table[2:8]}" in said.mistake
