"""Commands for exchange: verify entries, export and import attacked images."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.bars import Bars
from ..core.errors import UserError
from . import console
from .options import ClassesOption, LimitOption, SeedOption, SuiteArgument, Surroundings, with_surroundings
from .output import with_output

if TYPE_CHECKING:
    from ..detection.attacked import Attacked
    from ..exchange.at_hand import AtHand
    from ..harness.audit import Audit, Line

_STYLES = {"match": "green", "mismatch": "bold red", "not checked": "yellow"}


@with_output("format", "json")
@with_surroundings
def verify(
    here: Surroundings,
    entries: Annotated[list[Path], typer.Argument(help="Entries, or folders of them.")],
    rerun: Annotated[int, typer.Option("--rerun", min=0, help="Run this many random cells again.")] = 0,
    sample_seed: Annotated[
        int | None, typer.Option("--sample-seed", min=0, help="Draw the cells of --rerun by this seed.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--base", help="An earlier state of the folder: entries may be added or superseded."),
    ] = None,
) -> None:
    """Recompute an entry's figures from its scores and check its hashes; exit code 1 where something differs.

    Nets, attacks and gates are taken from --store (default: an empty one); scores are always made again.
    """
    from ..core.device import choose_device
    from ..exchange.at_hand import AtHand

    if base is not None and (len(entries) != 1 or not entries[0].is_dir()):
        raise UserError("--base goes with one results folder and names its earlier state.")
    device = choose_device(here.device)
    good = []
    for place in entries:
        at_hand = AtHand(store=here.store, data_root=here.data_root, device=device)
        try:
            good.append(_verify(place, base, rerun, sample_seed, at_hand))
        finally:
            at_hand.close()
    if not all(good):
        raise typer.Exit(1)


def _verify(place: Path, base: Path | None, rerun: int, seed: int | None, at_hand: AtHand) -> bool:
    from ..exchange.verify import against_base, located, repeated

    folder, paths = located(place)
    kept, gone = against_base(folder, base) if base is not None else ({}, [])
    audits = _audits(folder, paths, kept, at_hand)
    repeated(audits)
    if rerun:
        _run_again(audits, rerun, seed, at_hand)
    for line in gone:
        _print_line(line)
    if console.for_programs():
        console.print_table(str(place), _rows(audits, gone))
    else:
        _sum_up(audits, gone, briefly=len(paths) > 1)
    return not gone and all(audit.good for audit in audits)


def _audits(folder: Path, paths: Sequence[Path], kept: Mapping[str, Line], at_hand: AtHand) -> list[Audit]:
    """Check and print every file; for one unchanged since the earlier state, check only its scores."""
    from ..exchange.verify import unchanged
    from ..harness.audit import AS_IT_WAS, audited
    from ..tracks import track_of_file

    audits: list[Audit] = []
    for path in paths:
        file = path.relative_to(folder.absolute()).as_posix()
        history = kept.get(file)
        if history is not None and history.detail == AS_IT_WAS:
            audits.append(unchanged(path, file, history))
            if not audits[-1].good:
                _print_audit(audits[-1], briefly=False)
            continue
        track = track_of_file(path)
        assert track is not None  # only files of a track are located
        audit = audited(track, path, file)
        audit.lines += [*at_hand.lines(audit), *([] if history is None else [history])]
        audits.append(audit)
        _print_audit(audit, briefly=len(paths) > 1)
    return audits


def _rows(audits: Sequence[Audit], gone: Sequence[Line]) -> list[dict[str, str]]:
    lines = [(audit.file, line) for audit in audits for line in audit.lines] + [("", line) for line in gone]
    return [{"entry": file, "what": line.what, "verdict": line.verdict, "detail": line.detail} for file, line in lines]


def _run_again(audits: Sequence[Audit], count: int, seed: int | None, at_hand: AtHand) -> None:
    import numpy as np

    from ..exchange.rerun import draw, run_again

    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    drawn = draw(audits, count, seed)
    cells = sum(map(len, drawn.values()))
    console.aside(f"\n{cells} cells run again, drawn by --sample-seed {seed}:")
    for place, pairs in drawn.items():
        console.plain(f"  run {audits[place].file} again", console.err)
        lines = run_again(at_hand, audits[place], pairs)
        audits[place].lines += lines
        console.aside(audits[place].file)
        for line in lines:
            _print_line(line)


def _print_audit(audit: Audit, *, briefly: bool) -> None:
    """Print every line of one entry; of many entries only mismatches."""
    if console.for_programs():
        return
    if not briefly:
        for line in audit.lines:
            _print_line(line)
        return
    verdict = "match" if audit.good else "mismatch"
    good = ", ".join(line.what for line in audit.lines if line.verdict == "match")
    console.out.print(f"{verdict:<12}", style=_STYLES[verdict], end="")
    console.plain(f"{audit.file}: {good or 'nothing'}")
    for line in audit.lines:
        if line.verdict == "mismatch":
            _print_line(line)


def _print_line(line: Line) -> None:
    if console.for_programs():
        return
    console.out.print(f"  {line.verdict:<12}", style=_STYLES[line.verdict], end="")
    console.plain(f"{line.what}: {line.detail}")


def _sum_up(audits: Sequence[Audit], gone: Sequence[Line], *, briefly: bool) -> None:
    from ..harness.audit import AS_IT_WAS

    skipped = Counter(
        (line.what, line.detail) for audit in audits for line in audit.lines if line.verdict == "not checked"
    )
    if briefly and skipped:
        console.out.print("\nnot checked:")
        for (what, detail), count in skipped.items():
            console.plain(f"  {count} x {what}: {detail}")
    bad = sum(not audit.good for audit in audits) + len(gone)
    old = sum(line.detail == AS_IT_WAS for audit in audits for line in audit.lines)
    same = f", {old} as they were" if old else ""
    console.out.print(f"\n{len(audits)} entries{same}, {bad} with a mismatch.", highlight=False)


@with_output("quiet")
@with_surroundings
def export(
    here: Surroundings,
    suite: SuiteArgument,
    out_file: Annotated[Path, typer.Option("--out", help="The archive, such as attacks.zip.")],
    limit: LimitOption = None,
    seed: SeedOption = None,
    classes: ClassesOption = None,
) -> None:
    """Pack a suite's attacked images into one file, crafting those that the store lacks."""
    from ..exchange.exporting import export as pack

    with console.progress() as bars:
        manifest = pack(_attacked(suite, here, bars, limit, seed, classes), out_file)
    for attack in manifest.sets:
        images = sum(chunk.count for chunk in attack.chunks)
        console.plain(f"{attack.label}: {images} images, {attack.library} {attack.version}")
    console.plain(
        f"{out_file}: {out_file.stat().st_size / 1e6:.1f} MB, {manifest.dataset.name} "
        f"{manifest.dataset.sha256[:12]}, {manifest.model.name} {manifest.model.sha256[:12]}"
    )


@with_output("quiet")
@with_surroundings
def import_(
    here: Surroundings,
    file: Annotated[Path, typer.Argument(help="An archive from `export`.")],
    suite: Annotated[str | None, typer.Option("--suite", help="Its suite, where it is not a built-in one.")] = None,
    classes: ClassesOption = None,
) -> None:
    """Put third-party attacked images into the store, all or none, so that `run` scores exactly these."""
    from ..exchange.archive import Archive
    from ..exchange.importing import import_ as put
    from ..exchange.manifest import default_suite, read_manifest

    with Archive(file) as archive, console.progress() as bars:
        manifest = read_manifest(archive)
        chosen = suite or default_suite(manifest)
        attacked = _attacked(chosen, here, bars, manifest.limit, manifest.seed, classes)
        count, notes = put(archive, manifest, attacked)
        for note in notes:
            bars.warn(note)
    settings = {"--limit": manifest.limit, "--classes": classes, "--data-root": here.data_root, "--store": here.store}
    options = "".join(f" {name} {shlex.quote(str(value))}" for name, value in settings.items() if value is not None)
    store = attacked.setup.context.store
    console.plain(
        f"{count} images of {', '.join(attack.label for attack in manifest.sets)} are in {store.root}.\n"
        f"subnetbench run {chosen}{options} --seed {manifest.seed} scores them."
    )


def _attacked(
    suite: str, here: Surroundings, bars: Bars, limit: int | None, seed: int | None, classes: str | None
) -> Attacked:
    """A checked suite's attacks, as in `run`."""
    from ..detection.run import Run
    from ..detection.suite import Suite
    from ..tracks import load_suite

    chosen = load_suite(suite).overridden(limit=limit, seed=seed, classes=classes)
    if not isinstance(chosen, Suite):
        raise UserError(f"{suite} is a localisation suite, and this takes a suite of detectors; give one of those.")
    run = Run(chosen, here.context(bars))
    run.check()
    return run.scoring.attacked
