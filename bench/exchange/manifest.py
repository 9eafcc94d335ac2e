"""The manifest of an archive of attacked images, with everything that determined them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core.errors import UserError
from ..harness.suite import Name
from .archive import Archive

MANIFEST = "manifest.json"

#: A manifest is text about a few hundred files.
MOST_MANIFEST = 8 << 20

#: No batch takes longer than a year.
MOST_SECONDS = 366 * 86_400
MOST_PASSES = 1e12

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Chunk(_Form):
    """One file: the images ``first`` to ``first + count - 1`` of the attacked ones."""

    file: str = Field(pattern=r"^sets/[0-9]{3}/[0-9]{8}\.safetensors$")
    sha256: Hash
    bytes: int = Field(ge=0)
    first: int = Field(ge=0)
    count: int = Field(ge=1)
    seconds: float = Field(ge=0, le=MOST_SECONDS)
    #: Images through the net while they were made; not known of every batch.
    forward: float | None = Field(None, ge=0, le=MOST_PASSES)
    backward: float | None = Field(None, ge=0, le=MOST_PASSES)

    @property
    def cost(self) -> dict[str, float]:
        """What the batch cost, as the store keeps it."""
        known = {"seconds": self.seconds, "forward": self.forward, "backward": self.backward}
        return {name: value for name, value in known.items() if value is not None}


class AttackedImages(_Form):
    """One attack's images, and everything that determined them."""

    label: Name
    attack: str
    library: str
    version: str
    parameters: dict[str, Any]
    source: str
    seed: int = Field(ge=0)
    images_sha256: Hash  # as entries state it
    chunks: list[Chunk] = Field(min_length=1)


class Made(_Form):
    name: str
    sha256: Hash


class Images(Made):
    ids_sha256: Hash
    count: int = Field(ge=1)
    shape: list[int] = Field(min_length=3, max_length=3)


class Manifest(_Form):
    format: Literal[1]
    suite: Name
    limit: int | None
    seed: int = Field(ge=0)
    model: Made
    dataset: Images
    sets: list[AttackedImages] = Field(min_length=1)
    versions: dict[str, str]


def read_manifest(archive: Archive) -> Manifest:
    blob = archive.read(MANIFEST, MOST_MANIFEST)
    try:
        manifest = Manifest.model_validate_json(blob)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or MANIFEST
        raise UserError(
            f"{archive.path}: {place} of its manifest is not as an export writes it "
            f"({first['msg'].lower()}); ask for the file again."
        ) from None
    files = [chunk.file for attacked in manifest.sets for chunk in attacked.chunks]
    archive.holds_only([MANIFEST, *files])
    return manifest


def default_suite(manifest: Manifest) -> str:
    """The built-in suite that an archive names; a suite is never read from the archive itself."""
    from ..harness.toml import builtin_suites

    if manifest.suite not in builtin_suites():
        raise UserError(
            f"The archive is of the suite {manifest.suite!r}, which is not built in; give its file with --suite."
        )
    return manifest.suite
