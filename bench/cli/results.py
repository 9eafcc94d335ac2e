"""Commands that read results: tables, figures, a comparison of two detectors, the leaderboard's site."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UserError
from ..core.text import counted
from . import console
from .options import RESULTS, ResultsArgument
from .output import with_output

if TYPE_CHECKING:
    from ..board.built import Built  # other commands do without

#: How many of the figures that differ most are shown of two states.
MOST = 10


class TableForm(StrEnum):
    markdown = "markdown"
    latex = "latex"


def tables(
    folder: ResultsArgument = RESULTS,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a table differs from its entries.")
    ] = False,
    form: Annotated[
        TableForm, typer.Option("--format", help="markdown: every table, as CSV too; latex: Table 1 and 2, for papers.")
    ] = TableForm.markdown,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write below this folder; default: beside the entries.")
    ] = None,
) -> None:
    """Rewrite every table from stored entries, or Table 1 and 2 beside the published figures for a paper."""
    if check and output is not None:
        raise UserError("--check writes nothing; leave --output out.")
    to = _Target(folder, output, check)
    if form is TableForm.latex:
        _write_latex(folder, to)
        return
    from ..detection.climbed import ladder_reports
    from ..detection.summary import summary
    from ..figures.features import check_data
    from ..harness.tables import render
    from ..tracks import TRACKS

    places = _places(folder)
    # All are made before one is written: a damaged file leaves every table as it was.
    texts = [(name, place, render(TRACKS[name].tables.report(place))) for name in places for place in places[name]]
    suites = places["detection"]
    if suites and folder not in suites:
        texts.append(("all suites", folder, render(summary(suites))))
        texts += [("ladder", folder, render(report)) for report in ladder_reports(suites)]
    for name, place, of_place in texts:
        to.write(place, of_place, name)
        if check:
            check_data(place)
    for place, known in _known_files(places, folder).items():
        to.clear(place, known, {name for _, of, of_place in texts if of == place for name in of_place})


def _known_files(places: Mapping[str, list[Path]], folder: Path) -> dict[Path, set[str]]:
    """The tables that a folder may have of an earlier state: those of its tracks, and of a part that a suite may lose.

    Other names may be those of a user's own files.
    """
    from ..detection.climbed import ladder_files
    from ..detection.summary import FILES
    from ..tracks import TRACKS

    suites = dict.fromkeys(place for of_track in places.values() for place in of_track)
    known: dict[Path, set[str]] = {place: set() for place in suites}
    for name, track in TRACKS.items():
        for place in suites if track.part else places[name]:
            known[place] |= track.tables.FILES
    return known if folder in suites else known | {folder: {*FILES, *ladder_files()}}


@dataclass(frozen=True)
class _Target:
    """Where tables go: beside the entries below ``folder``, or to the same places below ``output``."""

    folder: Path
    output: Path | None
    check: bool

    def write(self, place: Path, texts: Mapping[str, str], what: str = "") -> None:
        """Write the tables of a place, or compare them, and say how many; ``what``: their track, else their names."""
        from ..harness.tables import write_texts

        into = self._into(place)
        count = len(write_texts(into, texts, self.check))
        verb = f"{'is what its' if count == 1 else 'are what their'} entries give" if self.check else "written"
        named = f" ({what})" if what else f" ({', '.join(f'tables/{name}' for name in texts)})"
        console.plain(f"{into}{named}: {counted(count, 'table')} {verb}")

    def clear(self, place: Path, known: Collection[str], written: Collection[str]) -> None:
        """Remove the tables of an earlier state of a place, or refuse them, and say which they are."""
        from ..harness.stale import clear_stale

        if self.output is not None:
            return  # another folder may hold a user's own files under such names
        for path in clear_stale(place, known, written, self.check):
            console.plain(f"{path}: removed, for no entry gives this table any more")

    def _into(self, place: Path) -> Path:
        return place if self.output is None else self.output / place.relative_to(self.folder)


def _write_latex(folder: Path, to: _Target) -> None:
    """``tables/table1.tex`` and ``table2.tex`` of each suite, and of all of them where there are several."""
    from ..detection.entry import read_lean
    from ..detection.latex import table2
    from ..harness.latex import file_text
    from ..localisation.entry import read_entries
    from ..localisation.latex import table1

    places = _places(folder)
    detected = {place: read_lean(place) for place in places["detection"]}
    located = {place: read_entries(place) for place in places["localisation"]}
    texts: dict[Path, dict[str, str]] = {}
    for place in dict.fromkeys([*detected, *located, folder]):
        below = [one for one in (*detected, *located) if place in (one, folder)]
        seconds = table2([entry for one in below for entry in detected.get(one, ())])
        firsts = table1([entry for one in below for entry in located.get(one, ())])
        files = {"table1.tex": firsts, "table2.tex": seconds}
        texts[place] = {name: file_text(tables) for name, tables in files.items() if tables}
    if not any(texts.values()):
        raise UserError(
            f"No figure of Table 1 or 2 stands below {folder}; run a suite of either track, such as digits."
        )
    for place, of_place in texts.items():
        if of_place:
            to.write(place, of_place)
        to.clear(place, ("table1.tex", "table2.tex"), of_place)


def pack(
    folder: ResultsArgument = RESULTS,
    seen: Annotated[
        bool, typer.Option("--seen", help="Keep fewer scores: of lee2018 those of seen attacks; the figures stay.")
    ] = False,
) -> None:
    """Make results small for a repository: entries and large cells.csv as xz, scores in as few bits as figures bear.

    Every command reads them as before.
    """
    from ..exchange.pack import pack_results

    _places(folder)
    packed = pack_results(folder, seen=seen)
    console.plain(
        f"{folder}: {counted(packed.entries, 'entry', 'entries')} packed, scores of {packed.scores} rounded: "
        f"{packed.before:,} bytes are {packed.after:,}"
    )


def _places(folder: Path) -> dict[str, list[Path]]:
    """The results folders of each track; UserError if there are none, before anything else is looked at."""
    from ..tracks import TRACKS

    if not folder.is_dir():
        what = (
            f"{folder} is a file, not a results folder" if folder.is_file() else f"There is no results folder {folder}"
        )
        raise UserError(f"{what}; run a suite first, or give its output folder.")
    places = {name: track.folders_below(folder) for name, track in TRACKS.items()}
    if not any(places.values()):
        raise UserError(f"There are no entries under {folder}; run a suite first, or give its output folder.")
    return places


def plot(
    folder: ResultsArgument = RESULTS,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", help="A subset of roc,histograms,adaptive,figure2,figure3,figure4,sensitivity; default: all."
        ),
    ] = None,
    formats: Annotated[
        str | None, typer.Option("--format", help="png, svg, pdf, or several such as png,pdf; default: png,svg.")
    ] = None,
) -> None:
    """Draw figures from stored entries into FOLDER/figures."""
    from ..figures.draw import write_plots

    _places(folder)
    written = write_plots(folder, only, formats, console.note)
    if not written:
        raise UserError(
            f"Nothing below {folder} can be drawn: it holds neither scores nor features nor maps that a figure is made "
            "of; run its suite again, which writes them."
        )
    for place in dict.fromkeys(path.parent for path in written):
        count = sum(path.parent == place for path in written)
        console.plain(f"{place}: {counted(count, 'picture')} written")


@with_output()
def compare(
    first: Annotated[str, typer.Argument(help="A detector's label, or a suite's results folder.")],
    second: Annotated[str, typer.Argument(help="Another detector's label, or a later state of that folder.")],
    folder: Annotated[Path, typer.Option("--results", help="A suite's results folder.")] = RESULTS / "digits",
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Also draw both ROC curves of every attack into this .png or .svg.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every pair of attacks, and both ROC curves, in place of Table 2's columns.")
    ] = False,
) -> None:
    """Which of two detectors is better in how many columns of Table 2, and their paired differences there.

    Of two results folders of one suite: how many figures of the later one lie inside the earlier one's intervals, which
    verdicts changed, and which figures differ most.
    """
    folders = [path for path in map(Path, (first, second)) if path.is_dir()]
    # A detector's package may stand beside the results in a folder of its label: one bare name is a label.
    if len(folders) == 2 or any(len(path.parts) > 1 for path in folders):
        return _compare_states(first, second, picture)
    from ..detection.compare import compare_detectors
    from ..figures.pair import plot as draw
    from ..figures.pair import plot_format, terminal_picture

    if picture is not None:
        plot_format(picture)
    protocols = compare_detectors(folder, first, second)
    some = [compared for compared in protocols if compared.rows]
    if not some:
        raise UserError(f"{first} and {second} have no cell in common: {protocols[0].why_empty}")
    for compared in some:
        console.show(compared.sentence)
    for compared in protocols:
        if compared.rows:
            console.print_table(compared.title, compared.all_rows if everything else compared.rows)
        else:
            console.aside(f"Protocol {compared.protocol} has nothing to compare: {compared.why_empty}")
    if not everything:
        console.aside("--all: every pair of attacks, and both ROC curves.")
    elif console.draws():  # the picture is of Braille dots
        for compared in some:
            console.out.print(terminal_picture(compared), markup=False, highlight=False, no_wrap=True, crop=False)
    if picture is not None:
        console.aside(f"Picture   {draw(some, picture)}")


def _compare_states(first: str, second: str, picture: Path | None) -> None:
    """Two states of one suite."""
    from ..detection.states import compare_states

    for one, other in ((first, second), (second, first)):
        if not Path(one).is_dir():
            raise UserError(
                f"{other} is a folder and {one} is not; give two results folders, or the labels of two detectors with "
                "--results."
            )
    if picture is not None:
        raise UserError("--plot draws the curves of two detectors; leave it out for two results folders.")
    states = compare_states(Path(first), Path(second))
    console.print_table(f"{states.suite}: {second} against the intervals of {first}", states.counts())
    if changed := states.changed():
        console.print_table("Verdicts that changed", changed)
    console.print_table("Figures that differ most", states.most(MOST))
    for count, folder in zip(states.only, (first, second), strict=True):
        if count:
            console.aside(f"{counted(count, 'figure is', 'figures are')} in {folder} alone.")


def leaderboard(
    folder: ResultsArgument = RESULTS,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="The site's folder; default, without --single: site.")
    ] = None,
    single: Annotated[
        Path | None, typer.Option("--single", help="Write one self-contained page, such as a mail attachment.")
    ] = None,
) -> None:
    """Make a static site of results that opens from disk.

    An entry that is damaged, or whose scores do not give its figures, is named and left out, and the rest is built;
    the exit code is then 0, and 2 only where nothing can be shown.
    """
    from ..board.built import recalled_single

    known = recalled_single(folder, single) if single and not out_folder else None
    built = [known] if known else _built(folder, out_folder, single)
    for left_out in built[0].left_out:
        console.note(str(left_out))
    count = len(built[0].left_out)
    if count:
        console.err.print(f"{counted(count, 'file was', 'files were')} left out.", style="yellow")
    for site in built:
        entries = counted(site.entries, "entry", "entries")
        console.plain(f"{site.start}: {entries} on {counted(site.boards, 'board')}")


def _built(folder: Path, out_folder: Path | None, single: Path | None) -> list[Built]:
    from ..board.build import write_single, write_site

    _places(folder)
    built = [write_site(folder, out_folder or Path("site"))] if out_folder or not single else []
    return built + ([write_single(folder, single)] if single else [])
