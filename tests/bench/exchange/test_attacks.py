"""`export` and `import`: the same images in another's store, and an archive that is not what it says is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors
from subnetbench.bench.core.store import Store

from ..cli.test_commands import Small, call, written

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """A suite that ran, and its attacked images as an archive."""
    folder = tmp_path_factory.mktemp("shared")
    small = Small(written(folder), folder / "store", folder / "out", None)  # type: ignore[arg-type]
    small.first = small.run()
    said = call("export", small.file, "--out", folder / "attacks.zip", "--store", small.store)
    assert said.code == 0, said.err
    assert "fgsm: 60 images, foolbox" in said.out
    return small, folder / "attacks.zip"


@pytest.fixture
def store(made: tuple[Small, Path], tmp_path: Path) -> Path:
    """A store that holds the same net and no attacked images."""
    for kind in ("weights", "accuracy"):
        shutil.copytree(made[0].store / kind, tmp_path / "store" / kind)
    return tmp_path / "store"


def members(archive: Path) -> Members:
    with zipfile.ZipFile(archive) as zip_:
        return {info.filename: zip_.read(info) for info in zip_.infolist()}


def packed(path: Path, content: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zip_:
        for name, blob in content.items():
            zip_.writestr(name, blob)
    return path


def with_manifest(content: Members, edit: Callable[[dict[str, Any]], Any]) -> Members:
    manifest = json.loads(content["manifest.json"])
    edit(manifest)
    return content | {"manifest.json": json.dumps(manifest).encode()}


def with_images(content: Members, edit: Callable[[Any], Any]) -> Members:
    """Other images in the first file, with a sha256 and a size that fit."""
    name = "sets/000/00000000.safetensors"
    blob = dump_tensors({"images": np.ascontiguousarray(edit(load_tensors(content[name])["images"]))})

    def fit(manifest: dict[str, Any]) -> None:
        manifest["sets"][0]["chunks"][0].update(sha256=hashlib.sha256(blob).hexdigest(), bytes=len(blob))

    return with_manifest(content, fit) | {name: blob}


def contents(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*.safetensors")}


def unpacked(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of an artifact with what the store knows besides."""
    artifact = Store(path.parents[1]).read("adversarial", path.stem)
    assert artifact is not None
    return artifact


def imported(made: tuple[Small, Path], store: Path, archive: Path | None = None) -> Any:
    return call("import", archive or made[1], "--suite", made[0].file, "--store", store)


# -- the same images --------------------------------------------------------------------------------------------------


def test_a_run_scores_the_imported_images_and_crafts_none(made: tuple[Small, Path], store: Path) -> None:
    said = imported(made, store)
    assert said.code == 0, said.err
    assert "60 images of fgsm are in" in said.out
    for path in (made[0].store / "adversarial").iterdir():
        (theirs, made_by), (ours, imported_by) = (unpacked(p) for p in (path, store / "adversarial" / path.name))
        assert made_by == imported_by
        assert ours.keys() == theirs.keys() - {"nearest_iterate"}  # which is seen while images are made
        for name, values in ours.items():
            assert values.dtype == theirs[name].dtype
            np.testing.assert_allclose(values, theirs[name], atol=1e-6)  # but for the verifier's last bit
    other = Small(made[0].file, store, store.parent / "out", made[0].first)
    ran = other.run()
    assert "attack fgsm" in ran.err  # its strength is put together
    assert sorted(p.name for p in (store / "adversarial").iterdir()) == sorted(
        p.name for p in (made[0].store / "adversarial").iterdir()
    )
    scores = Path("small/scores/strict/mahalanobis.parquet")
    assert (other.output / scores).read_bytes() == (made[0].output / scores).read_bytes()
    entry = json.loads((other.output / "small/entries/strict/mahalanobis.json").read_text(encoding="utf-8"))
    manifest = json.loads(members(made[1])["manifest.json"])
    assert entry["attacks"]["fgsm"]["images_sha256"] == manifest["sets"][0]["images_sha256"]


def test_an_archive_is_the_same_bytes_again_and_holds_no_pickle(made: tuple[Small, Path], tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    assert call("export", made[0].file, "--out", again, "--store", made[0].store).code == 0
    assert again.read_bytes() == made[1].read_bytes()
    assert {Path(name).suffix for name in members(again)} == {".json", ".safetensors"}


def test_importing_twice_changes_nothing(made: tuple[Small, Path], store: Path) -> None:
    assert imported(made, store).code == 0
    before = contents(store)
    assert imported(made, store).code == 0
    assert contents(store) == before


def test_an_export_that_cannot_be_written_is_one_sentence(made: tuple[Small, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = call("export", made[0].file, "--out", tmp_path / "file" / "a.zip", "--store", made[0].store)
    assert "cannot be written" in said.mistake


# -- another ground ---------------------------------------------------------------------------------------------------


def test_images_of_another_model_are_refused_by_name(made: tuple[Small, Path], store: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other", ("epochs = 3", "epochs = 2"))
    said = call("import", made[1], "--suite", other, "--store", store)
    assert "attacks another model: its digits-cnn is" in said.mistake
    assert not (store / "adversarial").exists()


def edits(key: str, value: object) -> Callable[[dict[str, Any]], Any]:
    return lambda m: m["sets"][0].update({key: value})


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m["dataset"].update(sha256="0" * 64), "another data split"),
        (lambda m: m["dataset"].update(ids_sha256="0" * 64), "that are not the 60 of the suite 'small'"),
        (lambda m: m.update(limit=40), "that are not the 40 of the suite 'small'"),
        (lambda m: m["model"].update(sha256="0" * 64), "attacks another model"),
        (edits("version", "0.1"), "fgsm was made with version '0.1'"),
        (edits("parameters", {"epsilon": 0.1}), "fgsm was made with parameters"),
        (edits("label", "pgd"), "holds the attack 'pgd'"),
        (edits("seed", 3), "fgsm was made with seed 3"),
        (edits("images_sha256", "0" * 64), "the images of fgsm do not match its manifest's sha256"),
        (lambda m: m.update(format=2), "format of its manifest is not as an export writes it"),
        (lambda m: m.update(more=1), "more of its manifest"),
        (lambda m: m["sets"][0]["chunks"][0].update(file="../../x"), "file of its manifest"),
        (lambda m: m["sets"][0]["chunks"][0].update(bytes=10**12), "1000000000000 bytes"),
        (lambda m: m["sets"][0]["chunks"][0].update(sha256="0" * 64), "sha256 differs"),
        (lambda m: m["sets"][0]["chunks"][0].update(seconds=-1.0), "seconds of its manifest"),
        (lambda m: m["sets"][0]["chunks"][0].update(seconds=1e308), "seconds of its manifest"),
        (lambda m: m["sets"][0]["chunks"][0].update(count=30), "the batches of fgsm are not those"),
        (lambda m: m["sets"][0]["chunks"].pop(), "which its manifest does not name"),
        (lambda m: m["sets"].append(m["sets"][0]), "names 'sets/000/00000000.safetensors' twice"),
        (lambda m: m.update(suite="unheard-of") or m["model"].update(sha256="0" * 64), "attacks another model"),
    ],
)  # fmt: skip
def test_a_manifest_of_something_else_is_refused_and_the_store_is_untouched(
    made: tuple[Small, Path], store: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], Any], words: str
) -> None:
    before = contents(store)
    archive = packed(tmp_path / "a.zip", with_manifest(members(made[1]), edit))
    assert words in imported(made, store, archive).mistake
    assert contents(store) == before


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda x: x + 2, "values outside [0, 1]"),
        (lambda x: np.where(np.arange(8) == 0, np.nan, x).astype(np.float32), "values outside [0, 1]"),
        (lambda x: x.astype(np.float64), "not float32 images"),
        (lambda x: x[:-1], "not float32 images"),
        (lambda x: 1 - x, "but its budget is 0.3"),
    ],
)
def test_images_that_are_none_are_refused_and_the_store_is_untouched(
    made: tuple[Small, Path], store: Path, tmp_path: Path, edit: Callable[[Any], Any], words: str
) -> None:
    before = contents(store)
    archive = packed(tmp_path / "a.zip", with_images(members(made[1]), edit))
    said = imported(made, store, archive).mistake
    assert words in said or "bytes, and 20 images have at most" in said
    assert contents(store) == before


def test_a_store_with_images_of_its_own_keeps_them(made: tuple[Small, Path], tmp_path: Path) -> None:
    shutil.copytree(made[0].store, tmp_path / "own")
    archive = packed(tmp_path / "a.zip", with_images(members(made[1]), lambda x: np.maximum(x, np.float32(0.01))))
    before = contents(tmp_path / "own")
    assert "has its own images of fgsm" in imported(made, tmp_path / "own", archive).mistake
    # And where only what was computed from them is left.
    shutil.rmtree(tmp_path / "own" / "adversarial")
    assert "has its own images of fgsm" in imported(made, tmp_path / "own", archive).mistake
    assert {k: v for k, v in before.items() if not k.startswith("adversarial")} == contents(tmp_path / "own")


def test_images_of_an_edited_adapter_are_taken_with_a_warning(
    made: tuple[Small, Path], store: Path, tmp_path: Path
) -> None:
    archive = packed(tmp_path / "a.zip", with_manifest(members(made[1]), edits("source", "another")))
    said = imported(made, store, archive)
    assert said.code == 0
    assert "made by another version of the code around foolbox" in said.err


# -- an archive that is none ------------------------------------------------------------------------------------------


def link(zip_: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("sets/000/link.safetensors")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    zip_.writestr(info, "/etc/passwd")


def twice(zip_: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        zip_.writestr("manifest.json", "{}")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda z: z.writestr("../../evil", "x"), "leads outside"),
        (lambda z: z.writestr("/etc/evil", "x"), "leads outside"),
        (lambda z: z.writestr("C:\\evil", "x"), "leads outside"),
        (lambda z: z.writestr("sets\\..\\evil", "x"), "leads outside"),
        (link, "which is not a plain file"),
        (lambda z: z.mkdir("sets/001"), "which is not a plain file"),
        (twice, "twice"),
        (lambda z: z.writestr("bomb", bytes(50_000_000)), "grow more than 200 times"),
        (lambda z: z.writestr("extra", "x"), "which its manifest does not name"),
        (lambda z: z.writestr("x", "x", zipfile.ZIP_BZIP2), "compressed in a way that no export uses"),
    ],
)
def test_an_archive_with_more_than_its_images_is_refused_and_the_store_is_untouched(
    made: tuple[Small, Path], store: Path, tmp_path: Path, spoil: Callable[[zipfile.ZipFile], Any], words: str
) -> None:
    before = contents(store)
    archive = packed(tmp_path / "a.zip", members(made[1]))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as zip_:
        spoil(zip_)
    assert words in imported(made, store, archive).mistake
    assert contents(store) == before
    assert not (tmp_path / "evil").exists()


def lying(archive: Path, name: str, size: int) -> None:
    """State another size of a member than it has, in both places where a zip says it."""
    blob = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as zip_:
        info = zip_.getinfo(name)
    at = info.header_offset + 22
    blob[at : at + 4] = size.to_bytes(4, "little")
    central = blob.index(name.encode(), blob.index(b"PK\x01\x02")) - 46
    blob[central + 24 : central + 28] = size.to_bytes(4, "little")
    archive.write_bytes(bytes(blob))


def test_a_member_that_is_longer_than_it_says_is_not_read_on(
    made: tuple[Small, Path], store: Path, tmp_path: Path
) -> None:
    name = "sets/000/00000000.safetensors"
    content = members(made[1])
    length = len(content[name])
    rng = np.random.default_rng(0)
    archive = packed(tmp_path / "a.zip", content | {name: rng.bytes(length * 40)})
    lying(archive, name, length)
    before = contents(store)
    said = imported(made, store, archive).mistake
    assert "damaged" in said or "sha256 differs" in said
    assert contents(store) == before


@pytest.mark.parametrize("blob", [b"", b"PK\x03\x04", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_one_sentence(made: tuple[Small, Path], store: Path, tmp_path: Path, blob: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(blob)
    said = imported(made, store, tmp_path / "a.zip").mistake
    assert "cannot be read as a zip archive" in said or "has no manifest.json" in said
    assert "There is no file" in imported(made, store, tmp_path / "none.zip").mistake


def test_a_truncated_archive_is_one_sentence(made: tuple[Small, Path], store: Path, tmp_path: Path) -> None:
    blob = made[1].read_bytes()
    for length in (len(blob) // 3, len(blob) - 40, len(blob) - 5):
        (tmp_path / "a.zip").write_bytes(blob[:length])
        assert "cannot be read as a zip archive" in imported(made, store, tmp_path / "a.zip").mistake
    assert not (store / "adversarial").exists()


def test_a_suite_that_does_not_ship_has_to_be_given(made: tuple[Small, Path], store: Path) -> None:
    assert "give its file with --suite" in call("import", made[1], "--store", store).mistake
