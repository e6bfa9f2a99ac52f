"""`mlipgen study`: the tables and figures of the paper, and studies of the package's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ase_mlipgen.cli.common import Debug, GateError, Json, Quiet, say, show_json, show_table
from ase_mlipgen.progress import Progress

REPRODUCED = 1e-6
"""Largest relative difference of a rerun from the file that it is held against."""


def study(
    name: Annotated[str | None, typer.Argument(help="Which study; a list of them if not given.")] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help='"default", or "paper": the paper\'s own, to the letter.')
    ] = "default",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Directory of its CSV and picture; runs/study-NAME if not given."
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option("--store", help="Directory of labels; labels/ of the study if not given.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="FIELD=VALUE", help="Rows with this value (or one of several, by commas)."
        ),
    ] = None,
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Settings at most, spread over all.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="CSV of this study: compare with it; exit code 4 if it differs."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compute a study: its rows as CSV, its table and its picture. The same command again goes on."""
    from ase_mlipgen.report.studies import figure_of
    from ase_mlipgen.studies.catalogue import STUDIES
    from ase_mlipgen.studies.results import difference, read
    from ase_mlipgen.studies.study import run

    if name is None:
        _show_list(STUDIES)
        return
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}; expected one of {', '.join(STUDIES)}")
    chosen = STUDIES[name]
    output = output or Path(f"runs/study-{name}")
    kept = None if against is None else read(against, chosen.record)
    with Progress(quiet) as progress:
        results = run(chosen, output, protocol, store, progress, _fields(only), rows)
    picture = output / Path(chosen.file_name(protocol)).with_suffix(".png")
    figure_of(name, results.records).savefig(picture)
    head, body = chosen.table(results.records)
    compared = None if kept is None else difference(results.records, kept.records, chosen.key)
    if as_json:
        show_json(_content(results, head, body, compared))
    else:
        show_table(f"{chosen.title} ({protocol})", head, body, range(chosen.words, len(head)))
        typer.echo(f"{results.provenance}\nrows: {picture.with_suffix('.csv')}\npicture: {picture}")
    if compared is not None:
        say(str(compared), quiet)
        if compared.relative > REPRODUCED or not compared.n_compared:
            raise GateError(f"{against} is not reproduced to {REPRODUCED:g}: {compared}")


def _show_list(studies: Mapping[str, Any]) -> None:
    rows = [[s.name, s.title, ", ".join(s.protocols), s.cost] for s in studies.values()]
    show_table("mlipgen study NAME", ["name", "of", "protocols", "takes about"], rows)


def _fields(only: Sequence[str] | None) -> dict[str, list[str]]:
    """Read FIELD=VALUE,VALUE.

    Raises
    ------
    ValueError
        There is no "=" in one.
    """
    found: dict[str, list[str]] = {}
    for text in only or ():
        field, sign, values = text.partition("=")
        if not sign:
            raise ValueError(f"--only {text}: expected FIELD=VALUE, such as size=6 or seed=0,1")
        found.setdefault(field, []).extend(values.split(","))
    return found


def _content(
    results: Any, head: Sequence[str], body: Sequence[Sequence[str]], compared: Any
) -> dict[str, Any]:
    content = {
        name: getattr(results, name)
        for name in ("study", "protocol", "versions", "machine", "date", "wall_time")
    }
    content |= {"seeds": list(results.seeds), "rows": len(results.records)}
    content["table"] = [dict(zip(head, row, strict=True)) for row in body]
    if compared is not None:
        content |= {"compared": compared.n_compared, "difference": min(compared.relative, 1e300)}
    return content
