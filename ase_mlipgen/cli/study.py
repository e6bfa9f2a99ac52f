"""`mlipgen study`: studies of the theory, each with its figure."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Debug, Json, Quiet, show_json, show_table

app = typer.Typer(help="Studies of the theory, each with its figure.", no_args_is_help=True)


def certificate(
    cases: Annotated[
        list[str] | None,
        typer.Argument(help="sheet, mixed, scattered, copper, silicon, tungsten; sheet if not given."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory of the study.")] = Path(
        "runs/study-certificate"
    ),
    fits: Annotated[
        int | None, typer.Option(min=1, help="Fits of each case at most; all if not given.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Certify many fits and compare with the reference's own relaxation of the large cell."""
    from ase_mlipgen.progress import Progress
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
