"""Commands for what is passed on: entries that are verified, and attacked images that others score too."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..core.errors import UserError

if TYPE_CHECKING:
    import torch

    from ..core.progress import Bars
    from ..detection.scoring import Stages
    from ..harness.audit import Audit, Line

#: What is printed to and where notes go; asked for at every call.
Consoles = Callable[[], tuple[Console, Console]]

_STYLES = {"match": "green", "mismatch": "bold red", "not checked": "yellow"}


def add_commands(app: typer.Typer, consoles: Consoles) -> None:
    """Put ``verify``, ``export`` and ``import`` on the command line."""

    @app.command()
    def verify(
        entries: Annotated[list[Path], typer.Argument(help="Entries, or folders of them.")],
        rerun: Annotated[int, typer.Option("--rerun", min=0, help="Run so many random cells again.")] = 0,
        sample_seed: Annotated[
            int | None, typer.Option("--sample-seed", min=0, help="Draw the cells of --rerun by this seed.")
        ] = None,
        base: Annotated[
            Path | None,
            typer.Option("--base", help="An earlier state of the folder: entries may be added or superseded."),
        ] = None,
        data_root: Annotated[Path | None, typer.Option("--data-root", help="Where data sets lie, as for run.")] = None,
        store: Annotated[
            Path | None,
            typer.Option(
                "--store",
                help="Take nets, attacks and gates from here; scores are always made anew. Default: an empty one.",
            ),
        ] = None,
        device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    ) -> None:
        """Recompute an entry's figures from its scores and check its hashes; exit code 1 where something differs."""
        from ..core.device import choose_device

        out, console = consoles()
        if base is not None and (len(entries) != 1 or not entries[0].is_dir()):
            raise UserError("--base goes with one results folder, whose earlier state it is.")
        where = choose_device(device)
        found = [_verify(each, base, rerun, sample_seed, (store, data_root, where), (out, console)) for each in entries]
        if not all(found):
            raise typer.Exit(1)

    @app.command(name="export")
    def export_(
        suite: Annotated[str, typer.Argument(help="A built-in suite or a TOML file.")],
        out_file: Annotated[Path, typer.Option("--out", help="The archive, such as attacks.zip.")],
        limit: Annotated[int | None, typer.Option("--limit", help="Test images that are attacked.")] = None,
        seed: Annotated[int | None, typer.Option("--seed", help="Instead of the suite's.")] = None,
        classes: Annotated[str | None, typer.Option("--classes", help="As for run.")] = None,
        device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")] = "auto",
        data_root: Annotated[Path | None, typer.Option("--data-root", help="As for run.")] = None,
        store: Annotated[Path | None, typer.Option("--store", help="As for run.")] = None,
    ) -> None:
        """Pack a suite's attacked images into one file; what is not in the store is crafted first."""
        from ..core.progress import Bars
        from ..exchange.exporting import export

        out, console = consoles()
        with Bars(console) as bars:
            stages = _stages(suite, limit, seed, classes, device, data_root, store, bars)
            manifest = export(stages, out_file)
        for each in manifest.sets:
            images = sum(chunk.count for chunk in each.chunks)
            out.print(f"{each.label}: {images} images, {each.library} {each.version}", markup=False, highlight=False)
        out.print(
            f"{out_file}: {out_file.stat().st_size / 1e6:.1f} MB, {manifest.dataset.name} "
            f"{manifest.dataset.sha256[:12]}, {manifest.model.name} {manifest.model.sha256[:12]}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    @app.command(name="import")
    def import_(
        file: Annotated[Path, typer.Argument(help="What `export` wrote.")],
        suite: Annotated[str | None, typer.Option("--suite", help="Its suite, where it is not one that ships.")] = None,
        classes: Annotated[str | None, typer.Option("--classes", help="As for run.")] = None,
        device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, ...")] = "auto",
        data_root: Annotated[Path | None, typer.Option("--data-root", help="As for run.")] = None,
        store: Annotated[Path | None, typer.Option("--store", help="As for run.")] = None,
    ) -> None:
        """Put another's attacked images into the store, so that `run` scores exactly these; all or none of them."""
        from ..core.progress import Bars
        from ..exchange.archive import Archive
        from ..exchange.importing import import_
        from ..exchange.manifest import default_suite, read_manifest

        out, console = consoles()
        with Archive(file) as archive, Bars(console) as bars:
            manifest = read_manifest(archive)
            chosen = suite or default_suite(manifest)
            stages = _stages(chosen, manifest.limit, manifest.seed, classes, device, data_root, store, bars)
            count, notes = import_(archive, manifest, stages)
            for note in notes:
                bars.warn(note)
        given = {"--limit": manifest.limit, "--classes": classes, "--data-root": data_root, "--store": store}
        options = "".join(f" {name} {shlex.quote(str(value))}" for name, value in given.items() if value is not None)
        out.print(
            f"{count} images of {', '.join(each.label for each in manifest.sets)} are in {stages.store.root}.\n"
            f"subnetbench run {chosen}{options} --seed {manifest.seed} scores them.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _stages(
    suite: str,
    limit: int | None,
    seed: int | None,
    classes: str | None,
    device: str,
    data_root: Path | None,
    store: Path | None,
    report: Bars,
) -> Stages:
    """A checked suite's stages, as `run` has them."""
    from ..core.device import choose_device
    from ..core.store import Store, default_store
    from ..detection.override import override
    from ..detection.run import check
    from ..detection.scoring import Stages
    from ..detection.suite import load_suite

    chosen = override(load_suite(suite), limit=limit, seed=seed, classes=classes)
    where = Store(store or default_store(), warn=report.warn)
    stages = Stages(chosen, where, device=choose_device(device), data_root=data_root, report=report)
    check(chosen, stages)
    return stages


def _verify(
    given: Path,
    base: Path | None,
    rerun: int,
    seed: int | None,
    hand: tuple[Path | None, Path | None, torch.device],
    consoles: tuple[Console, Console],
) -> bool:
    import numpy as np

    from ..detection.audit import audited
    from ..exchange.rerun import AtHand, draw
    from ..exchange.verify import against_base, is_map, located, repeated, unchanged
    from ..harness.audit import AS_IT_WAS
    from ..localisation.audit import audited_map

    out, console = consoles
    folder, paths = located(given)
    kept, gone = against_base(folder, base) if base is not None else ({}, [])
    store, data_root, device = hand
    at_hand = AtHand(store=store, data_root=data_root, device=device)
    audits: list[Audit] = []
    try:
        for path in paths:
            file = path.relative_to(folder.absolute()).as_posix()
            history = kept.get(file)
            if history is not None and history.detail == AS_IT_WAS:
                audits.append(unchanged(path, file, history))
                if not audits[-1].good:
                    _say(out, audits[-1], briefly=False)
                continue
            audit = audited_map(path, file) if is_map(path) else audited(path, file, at_hand.lines)
            audit.lines += [] if history is None else [history]
            audits.append(audit)
            _say(out, audit, briefly=len(paths) > 1)
        repeated(audits)
        if rerun:
            seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
            chosen = draw(audits, rerun, seed)
            cells = sum(map(len, chosen.values()))
            out.print(f"\n{cells} cells run again, drawn by --sample-seed {seed}:", highlight=False)
            for place, pairs in chosen.items():
                console.print(f"  run {audits[place].file} again", highlight=False, markup=False, soft_wrap=True)
                lines = at_hand.run_again(audits[place], pairs)
                audits[place].lines += lines
                out.print(audits[place].file, markup=False, highlight=False, soft_wrap=True)
                for line in lines:
                    _say_line(out, line)
    finally:
        at_hand.close()
    for line in gone:
        _say_line(out, line)
    _sum_up(out, audits, gone, briefly=len(paths) > 1)
    return not gone and all(audit.good for audit in audits)


def _say(out: Console, audit: Audit, *, briefly: bool) -> None:
    """Every line of one entry; of many only what differs."""
    if not briefly:
        for line in audit.lines:
            _say_line(out, line)
        return
    verdict = "match" if audit.good else "mismatch"
    good = ", ".join(line.what for line in audit.lines if line.verdict == "match")
    out.print(f"{verdict:<12}", style=_STYLES[verdict], end="")
    out.print(f"{audit.file}: {good or 'nothing'}", markup=False, highlight=False, soft_wrap=True)
    for line in audit.lines:
        if line.verdict == "mismatch":
            _say_line(out, line)


def _say_line(out: Console, line: Line) -> None:
    out.print(f"  {line.verdict:<12}", style=_STYLES[line.verdict], end="")
    out.print(f"{line.what}: {line.detail}", markup=False, highlight=False, soft_wrap=True)


def _sum_up(out: Console, audits: Sequence[Audit], gone: Sequence[Line], *, briefly: bool) -> None:
    from ..harness.audit import AS_IT_WAS

    skipped = Counter(
        (line.what, line.detail) for audit in audits for line in audit.lines if line.verdict == "not checked"
    )
    if briefly and skipped:
        out.print("\nnot checked:")
        for (what, detail), count in skipped.items():
            out.print(f"  {count} x {what}: {detail}", markup=False, highlight=False, soft_wrap=True)
    bad = sum(not audit.good for audit in audits) + len(gone)
    old = sum(line.detail == AS_IT_WAS for audit in audits for line in audit.lines)
    said = f", {old} as they were" if old else ""
    out.print(f"\n{len(audits)} entries{said}, {bad} with a mismatch.", highlight=False)
