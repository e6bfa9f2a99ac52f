"""`mlipgen study`: studies of the theory, each with its figure."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ase_mlipgen.cli.common import Debug, Json, Quiet, show_json, show_table
from ase_mlipgen.progress import Progress

app = typer.Typer(help="Studies of the theory, each with its figure.", no_args_is_help=True)

Store = Annotated[
    Path | None,
    typer.Option("--store", help="Directory that keeps labels; labels/ of the study if not given."),
]
Fits = Annotated[int | None, typer.Option(min=1, help="Fits of each case at most; all if not given.")]


def certificate(
    cases: Annotated[
        list[str] | None,
        typer.Argument(help="sheet, mixed, scattered, copper, silicon, tungsten; sheet if not given."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the study.")] = Path(
        "runs/study-certificate"
    ),
    fits: Fits = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Certify many fits and compare with the reference's own relaxation of the large cell."""
    from ase_mlipgen.report.certificates import study_figure
    from ase_mlipgen.studies.certificate import failures, run, summarise

    output.mkdir(parents=True, exist_ok=True)
    with Progress(quiet) as progress:
        records = run(cases or ["sheet"], output / "labels", progress, fits)
    summary, failed = summarise(records), failures(records)
    (output / "records.json").write_text(json.dumps([asdict(r) for r in records], indent=1), encoding="utf-8")
    study_figure(records).savefig(output / "certificates.png")
    if as_json:
        show_json({"summary": summary, "failures": json.loads(json.dumps(failed).replace("NaN", "null"))})
    else:
        rows = [
            [s["case"], "trained" if s["own"] else "larger", str(s["size"] or "all"), str(s["n"]), name,
             f"{s[name]['rank_correlation'] or 1.0:.3f}", f"{s[name]['within_2']:.0%}", f"{s[name]['within_3']:.0%}",
             f"{s[name]['factor_90']:.2f}", f"{s[name]['median_left']:.2f}"]
            for s in summary
            for name in ("geometry", "relaxation", "formation")
        ]  # fmt: skip
        head = (
            "case",
            "cells",
            "L",
            "fits",
            "error",
            "rank",
            "within 2",
            "within 3",
            "factor of 90 %",
            "left",
        )
        show_table("certificates against the truth", head, rows, (2, 3, 5, 6, 7, 8, 9))
        typer.echo(f"{len(failed)} of {len(records)} off; figure: {output / 'certificates.png'}")


def matching(
    cases: Annotated[
        list[str] | None, typer.Argument(help="sheet, copper, silicon; all if not given.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the study.")] = Path(
        "runs/study-matching"
    ),
    store: Store = None,
    fits: Fits = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare plain fits with exactly matched ones on large cells."""
    from ase_mlipgen.report.studies import matching_figure
    from ase_mlipgen.studies.matching import STUDIED, run, summarise, table
    from ase_mlipgen.studies.provenance import document

    names, begun = cases or list(STUDIED), time.perf_counter()
    with _progress(output, quiet) as progress:
        records = run(names, store or output / "labels", progress, fits)
    summary = summarise(records)
    content = document("matching", records, summary, time.perf_counter() - begun)
    _show(
        output,
        content,
        matching_figure(records),
        "plain over matched errors, medians",
        table(summary),
        as_json,
    )


def rates(
    sizes: Annotated[
        list[int] | None, typer.Argument(min=4, help="Sizes of training cells; 5 to 12 if not given.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the study.")] = Path(
        "runs/study-rates"
    ),
    store: Store = None,
    fits: Fits = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure how errors of matched fits fall with the size of the training cell, beside the theory's rates."""
    from ase_mlipgen.report.studies import rates_figure
    from ase_mlipgen.studies.provenance import document
    from ase_mlipgen.studies.rates import run, summarise, table

    begun = time.perf_counter()
    with _progress(output, quiet) as progress:
        records = run(sizes, store or output / "labels", progress, fits)
    summary = summarise(records)
    content = document("rates", records, summary, time.perf_counter() - begun)
    _show(output, content, rates_figure(records, summary), "errors by size, medians", table(summary), as_json)


def _progress(output: Path, quiet: bool) -> Progress:
    output.mkdir(parents=True, exist_ok=True)
    return Progress(quiet)


def _show(
    output: Path,
    content: dict[str, Any],
    figure: Any,
    title: str,
    rows: tuple[list[str], list[list[str]]],
    as_json: bool,
) -> None:
    """Write a study and its figure, and print its table or its summary."""
    name, (head, body) = content["study"], rows
    written = json.dumps(content, indent=1, allow_nan=False)
    (output / f"{name}.json").write_text(written, encoding="utf-8")
    figure.savefig(output / f"{name}.png")
    if as_json:
        show_json({key: value for key, value in content.items() if key != "records"})
    else:
        show_table(title, head, body, range(1, len(head)))
        typer.echo(f"figure: {output / name}.png")
