"""Boards as HTML: filled templates of ``site``, every value escaped, nothing for a browser to fetch."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib.metadata import version
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ..core.errors import UserError
from ..detection.cells import column_title
from ..detection.fits import WORST_CASE
from ..harness.tables import percent
from ..localisation.metrics import METRICS
from .boards import Board, Results, by_attack, by_detector, papers
from .hero import flagship
from .names import attack_name, pair_name, slug, web_address
from .packing import packed
from .pivot import pivots
from .reproduce import Reruns
from .row import Row
from .svg import HISTOGRAM_HEIGHT, WIDTH, bars_paths, roc_path
from .visible import visible
from .ways import address_of, as_html


def asset(name: str) -> str:
    """A file of ``bench/board/site``."""
    return (files("subnetbench.bench.board") / "site" / name).read_text(encoding="utf-8")


@cache
def table_library() -> tuple[str, str]:
    """DataTables as itables bundles it: a script that sets ``window.SubnetTables``, and its styles.

    The bundle is a module, which browsers refuse to load from disk, so its exports become properties of one object.
    """
    folder = files("itables") / "html"
    code, style = ((folder / f"dt_bundle.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    exports = re.findall(r"export\s*\{([^{}]*)\};?", code)
    names = dict(reversed(pair.split(" as ")) for pair in exports[0].split(",")) if len(exports) == 1 else {}
    if "default" not in names:
        raise UserError(
            f"itables {version('itables')} does not contain DataTables in the form that pages need; "
            "`pip install 'itables>=2.9,<3'` installs a version that does."
        )
    call = f"window.SubnetTables = {{DataTable: {names['default']}}};"
    code = re.sub(r"export\s*\{[^{}]*\};?", lambda _: call, code)
    return f'(() => {{ "use strict";\n{code}\n}})();\n', style


@cache
def _environment() -> Environment:
    """The templates, compiled once; values that differ between sites are passed at rendering."""
    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters |= {"percent": percent, "number": _number}
    environment.globals |= {
        "version": version("subnetbench"),
        "metrics": METRICS,
        "column_title": column_title,
        "attack_name": attack_name,
        "pair_name": pair_name,
        "worst_case": WORST_CASE,
        "pivots": pivots,
        "papers": papers,
        "web_address": web_address,
        "slug": slug,
        "stem": stem,
        "roc_path": roc_path,
        "bars_paths": bars_paths,
        "bars_width": WIDTH,
        "bars_height": HISTOGRAM_HEIGHT,
    }
    return environment


class Pages:
    """One site's pages; ``single`` puts all of them on one page that contains its styles, scripts and files."""

    def __init__(self, results: Results, runs: Reruns, *, single: bool = False) -> None:
        self._results, self._runs, self._single = results, runs, single
        self._embedded: dict[str, str] = {}
        self._root = ""
        self._site = {
            "single": single,
            "boards": results.boards,
            "track": results.track,
            "left_out": results.left_out,
            "detectors": self.detectors,
            "attacks": self.attacks,
            "groups": _groups(results.boards),
            "needs": self._needs,
            "flagship": flagship(results.boards),
            "suites": list(dict.fromkeys(board.suite for board in results.boards)),
            "repository": address_of("repository", "source", "homepage"),
            "findings": self._found,
            "links": self._links(),
            "to": self._to,
            "file": self._file,
            "rerun": self._rerun,
        }

    @cached_property
    def _found(self) -> Markup | None:
        """The page of findings, whose links into a results folder lead to the first board of this folder's suite."""
        if self._results.findings is None:
            return None
        pages = {checked.folder.name: self._to("wsol") for checked in self._results.track.checked}
        for board in reversed(self._results.boards):
            address = f"#board/{quote(board.id, safe='')}" if self._single else self._to("board", board.id)
            pages |= {row.checked.folder.name: address for row in board.rows}
        return as_html(self._results.findings, pages.get)

    @cached_property
    def detectors(self) -> dict[str, list[tuple[Board, Row]]]:
        return by_detector(self._results.boards)

    @cached_property
    def attacks(self) -> dict[str, list[Board]]:
        return by_attack(self._results.boards)

    @cached_property
    def _needs(self) -> list[str]:
        return sorted({need for board in self._results.boards for row in board.rows for need in row.needs} - {"clean"})

    def _links(self) -> list[tuple[str, str | None, str]]:
        """The four ways on from the start page: title, address, what is there."""
        repository = address_of("repository", "source", "homepage")
        documentation = address_of("documentation", "docs")
        return [
            ("Documentation", documentation or "#reading", "" if documentation else "how to read a table"),
            ("Repository", repository, "" if repository else "the package states no address"),
            ("Findings", self._to("findings") if self._results.findings else None, "in words, claim by claim"),
            ("Submit", self._to("submit"), "a detector of your own"),
        ]

    def index(self) -> str:
        """The start page: its first board is there, the others are packed until they are chosen or searched."""
        self._root = ""
        return self._page("index.html", "", parts={name: packed(text) for name, text in self._boards()})

    def board(self, board: Board) -> str:
        """A board alone, for readers without scripts and as an address to give to others."""
        return self._page("one_board.html", "../", board=board)

    def detector(self, label: str) -> str:
        return self._page("detector.html", "../", label=label, rows=self.detectors[label])

    def attack(self, label: str) -> str:
        return self._page("attack.html", "../", label=label, own=self.attacks[label])

    def wsol(self) -> str:
        return self._page("wsol.html", "")

    def submit(self) -> str:
        return self._page("submit.html", "")

    def findings(self) -> str:
        return self._page("findings.html", "")

    def single(self, embedded: Mapping[str, str]) -> str:
        """Everything on one page; ``embedded`` are its downloads, which are texts, by their path on a site."""
        self._embedded = {name: f"#file-{name}" for name in embedded}
        files = {f"file-{name}": text for name, text in embedded.items()}
        library, library_style = table_library()
        files |= {"tables.js": library, "tables.css": library_style}
        script = _script(asset("site.js"))
        hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, library)]
        return self._page(
            "single.html",
            "",
            head_script=Markup(script),
            script_hashes=hashes,
            style=Markup(asset("site.css").replace("</", "<\\/")),
            parts={name: packed(text) for name, text in self._parts()},
            files={name: packed(text) for name, text in files.items()},
        )

    def _parts(self) -> Iterator[tuple[str, str]]:
        """What a single page makes when it is chosen: all boards but the first, and every other page."""
        yield from self._boards()
        for label, rows in self.detectors.items():
            yield f"detector-{slug(label)}", self._part("detail", "detector", label, rows, "h1")
        for label, boards in self.attacks.items():
            yield f"attack-{slug(label)}", self._part("detail", "attack", label, boards, "h1")
        if self._results.track.entries:
            yield "wsol", self._part("track", "localisation", "h1")
        yield "submit", self._part("submitting", "submit", "h1")
        if self._found:
            yield "findings", f'<article class="detail prose">{self._found}</article>'

    def _boards(self) -> Iterator[tuple[str, str]]:
        """All boards but the first, which is on the page itself."""
        for board in self._results.boards[1:]:
            yield f"board-{board.id}", self._part("board", "inside", board)

    def _part(self, template: str, macro: str, *values: Any) -> str:
        module = _environment().get_template(f"{template}.html").make_module({**self._site, "root": ""})
        return str(getattr(module, macro)(*values))

    def _page(self, template: str, root: str, **context: Any) -> str:
        self._root = root
        text: str = _environment().get_template(template).render(self._site, root=root, **context)
        return text

    def _to(self, kind: str, name: str = "") -> str:
        """The address of a detector's or an attack's page, of the start page or of the localisation track."""
        if self._single:
            return f"#{kind}-{slug(name)}" if name else f"#{kind}"
        if kind in ("board", "detector", "attack"):
            return f"{self._root}{kind}/{slug(name)}.html"
        return f"{self._root}{'index' if kind == 'boards' else kind}.html"

    def _file(self, name: str) -> str | None:
        """The address of a download; None if a single page does not contain it."""
        if self._single:
            return self._embedded.get(f"downloads/{name}")
        return f"{self._root}downloads/{name}"

    def _rerun(self, board: Board, row: Row) -> Any:
        return self._runs[board.id, row.label]


def _shown(value: Any) -> Any:
    """What a template puts out: text of others without marks that turn its surroundings; finished HTML as it is."""
    return visible(value) if type(value) is str else value


def stem(board: Board, row: Row) -> str:
    """The name of an entry's files."""
    return f"{board.id}--{slug(row.label)}"


def _groups(boards: Sequence[Board]) -> dict[str, list[Board]]:
    """Boards by data set and net, for the menu."""
    groups: dict[str, list[Board]] = {}
    for board in boards:
        groups.setdefault(board.group, []).append(board)
    return groups


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def _script(text: str) -> str:
    """Text escaped for <script>, which the first "</script" would end; in JavaScript both mean the same."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
