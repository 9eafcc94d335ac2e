"""Results as a static site that opens from disk, or as one page to attach to an e-mail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..core.errors import UserError
from ..core.files import csv_text, target_of, write_bytes
from .boards import Board, Results, read_results
from .built import Built, remember_single, state_of
from .downloads import board_frame, latex, markdown, parquet_bytes, tidy_frame
from .names import slug
from .pages import Pages, asset, stem, table_library
from .reproduce import reruns
from .row import Row
from .visible import visible

#: Lists all files of a built site, so that the next build removes those it no longer writes and touches nothing else.
MANIFEST = "site-files.txt"

#: Files that services which host sites look for, beside those whose names begin with a dot: a site is written to them.
HOSTED = ("CNAME", "robots.txt")


def write_site(folder: Path, out: Path) -> Built:
    """Build the site of a results folder into ``out``: a new or empty folder, or a site built before.

    Files of a hosting service (`.nojekyll`, `CNAME`) may lie there and stay.

    UserError if nothing can be shown, or if ``out`` holds files but no site.
    """
    old = _manifest(out)
    results = read_results(folder)
    files = dict(site_files(results))
    # Old names stay listed until everything is written: an interrupted build is still recognised as ours.
    _write(out / MANIFEST, _lines(old | files.keys()))
    for name, blob in files.items():
        _write(out / name, blob)
    for name in old - files.keys():
        _remove(out, name)
    _write(out / MANIFEST, _lines(files.keys()))
    return Built(out / "index.html", len(results.boards), len(results.entries), results.left_out)


def write_single(folder: Path, file: Path) -> Built:
    """Build one self-contained page with every detector, its styles and scripts, and the tables as files inside."""
    state = state_of(folder)
    results = read_results(folder)
    page = Pages(results, reruns(results.boards), single=True).single(dict(_texts(results)))
    built = Built(file, len(results.boards), len(results.entries), results.left_out)
    # The entries of a suite alone have their scores outside the folder, of which the state says nothing.
    roots = {checked.folder for checked in results.entries} | {checked.folder for checked in results.track.checked}
    if state == state_of(folder) and all(root.is_relative_to(folder.absolute()) for root in roots):
        remember_single(state, page, built)
    write_bytes(file, page.encode())
    return built


def site_files(results: Results) -> Iterator[tuple[str, bytes]]:
    """All files of a site: path below its folder -> content."""
    runs = reruns(results.boards)
    pages = Pages(results, runs)
    yield "index.html", pages.index().encode()
    if results.track.entries:
        yield "wsol.html", pages.wsol().encode()
    yield "submit.html", pages.submit().encode()
    if results.findings:
        yield "findings.html", pages.findings().encode()
    for board in results.boards:
        yield f"board/{slug(board.id)}.html", pages.board(board).encode()
    for label in pages.detectors:
        yield f"detector/{slug(label)}.html", pages.detector(label).encode()
    for label in pages.attacks:
        yield f"attack/{slug(label)}.html", pages.attack(label).encode()
    script, style = table_library()
    yield "assets/tables.js", script.encode()
    yield "assets/tables.css", style.encode()
    for name in ("site.js", "site.css"):
        yield f"assets/{name}", asset(name).encode()
    yield from _whole_files(results)
    for board in results.boards:
        yield from _board_files(board)
        for row in board.rows:
            yield f"downloads/json/{stem(board, row)}.json", _json(row).encode()
            suite = runs[board.id, row.label].toml
            if suite is not None:
                yield f"downloads/run/{stem(board, row)}.toml", visible(suite).encode()


def _texts(results: Results) -> Iterator[tuple[str, str]]:
    """Texts on all boards together and on the localisation track, which a single page holds too."""
    if results.boards:
        yield "downloads/cells.csv", csv_text(tidy_frame(results.entries))
        yield "downloads/boards.md", "\n".join(map(markdown, results.boards))
        yield "downloads/boards.tex", "\n".join(map(latex, results.boards))
    if results.track.entries:
        yield "downloads/localisation.csv", csv_text(results.track.frame())


def _whole_files(results: Results) -> Iterator[tuple[str, bytes]]:
    """These texts, and the figures in them as parquet, which packs badly: a page to mail does without."""
    for name, text in _texts(results):
        yield name, text.encode()
    if results.boards:
        yield "downloads/cells.parquet", parquet_bytes(tidy_frame(results.entries))
    if results.track.entries:
        yield "downloads/localisation.parquet", parquet_bytes(results.track.frame())


def _board_files(board: Board) -> Iterator[tuple[str, bytes]]:
    yield f"downloads/{board.id}.csv", csv_text(board_frame(board)).encode()
    yield f"downloads/{board.id}.md", markdown(board).encode()
    yield f"downloads/{board.id}.tex", latex(board).encode()
    yield f"downloads/{board.id}.parquet", parquet_bytes(tidy_frame([row.checked for row in board.rows]))


def _json(row: Row) -> str:
    return visible(json.dumps(row.entry.written(), indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in sorted({*names, MANIFEST})).encode()


def _manifest(out: Path) -> set[str]:
    """The files of the site in ``out``; UserError if it holds something else."""
    if out.is_dir() and all(path.name.startswith(".") or path.name in HOSTED for path in out.iterdir()):
        return set()
    try:
        return set((out / MANIFEST).read_text(encoding="utf-8").split("\n")) - {"", MANIFEST}
    except (OSError, ValueError):
        if not out.exists():
            return set()
        raise UserError(f"{out} is not empty and not a site of this command; give another folder with --out.") from None


def _write(path: Path, blob: bytes) -> None:
    """Write without waiting for the disk, unlike `core.files.write_bytes`: a site can be built again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target_of(path).write_bytes(blob)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); give another folder with --out."
        ) from None


def _remove(out: Path, name: str) -> None:
    """Remove a file of an earlier build; a manipulated list cannot lead outside the site."""
    path = out / name
    if out.resolve() in path.resolve().parents and path.is_file():
        path.unlink()
