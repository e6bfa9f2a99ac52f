"""The application: its commands, `--version`, `--help`. Enter at `main`."""

from typing import Annotated

import typer

from ase_mlipgen.cli import (
    budget,
    census,
    certify,
    cite,
    compile_kernels,
    demo,
    evaluate,
    export,
    fit,
    init,
    label,
    plan,
    relax,
    report,
    run,
    status,
    study,
)
from ase_mlipgen.cli.common import handled

app = typer.Typer(
    name="mlipgen",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train an atomic cluster expansion on small defect cells and know its error on large ones.",
    epilog="Exit codes: 0 ok, 2 bad configuration, 3 labels failed, 4 a gate failed.",
)
for name, command in (
    ("demo", demo.demo),
    ("init", init.init),
    ("plan", plan.plan),
    ("run", run.run),
    ("label", label.label),
    ("fit", fit.fit),
    ("status", status.status),
    ("census", census.census),
    ("eval", evaluate.evaluate),
    ("export", export.export),
    ("budget", budget.budget),
    ("certify", certify.certify),
    ("refine", certify.refine),
    ("report", report.report),
    ("relax", relax.relax),
    ("compile", compile_kernels.compile_kernels),
    ("study", study.study),
    ("cite", cite.cite),
):
    app.command(name)(handled(command))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mlipgen {version('ase-mlipgen')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Hold the options that stand before the command."""


def main() -> None:
    """Run the command line."""
    app(prog_name="mlipgen")
