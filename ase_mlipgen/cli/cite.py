"""`mlipgen cite`: what to cite."""

from pathlib import Path
from typing import Annotated

import typer

from ase_mlipgen.cli.common import Debug, Json, show_json
from ase_mlipgen.config import AnyConfig, default, load_any


def cite(
    source: Annotated[
        Path | None, typer.Argument(help="Run directory or configuration; the demonstration if not given.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines of text instead of BibTeX.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the citations of what a run used, as BibTeX."""
    from ase_mlipgen.cli.finish import cited_by
    from ase_mlipgen.report.citations import bibtex, citations

    found = citations(cited_by(default() if source is None else _configuration(source)))
    if as_json:
        show_json(
            {"citations": [{"key": c.key, "reason": c.reason, "type": c.kind, **c.fields} for c in found]}
        )
    else:
        typer.echo("\n".join(f"{c.plain()} [{c.reason}]" for c in found) if plain else bibtex(found))


def _configuration(source: Path) -> AnyConfig:
    """Read a configuration file, or that of a run directory."""
    return load_any(source / "config.toml" if source.is_dir() else source)
