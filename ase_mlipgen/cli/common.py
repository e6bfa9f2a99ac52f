"""What the commands share: options, exit codes, messages, output. Enter at `handled`.

Results go to standard output, everything else to standard error, so that `--json` can be piped.
"""

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec, TypeVar

import typer

from ase_mlipgen.config import ConfigError

WIDE = 200
"""Columns of a table that goes to a file or a pipe."""
DEFAULT_RUN = Path("runs/mlipgen")
OK, BAD_CONFIGURATION, LABELS_FAILED, GATE_FAILED, INTERRUPTED = 0, 2, 3, 4, 130

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-n", min=1, help="Workers that compute labels."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the configuration: training.size=6. May be repeated."
    ),
]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds that one label may take.")]
Retries = Annotated[int | None, typer.Option(help="Further attempts at a label that failed.", min=0)]
RunOrConfig = Annotated[
    Path, typer.Argument(metavar="RUN|CONFIG", help="Directory of a run, or configuration file.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Directory of the run.")]

P = ParamSpec("P")
R = TypeVar("R")


class GateError(RuntimeError):
    """A result that was computed and is not good enough."""


def overrides(
    changes: Sequence[str] | None,
    workers: int | None = None,
    time_limit: float | None = None,
    retries: int | None = None,
) -> list[str]:
    """Return the changes of a configuration that options stand for."""
    options = {"run.workers": workers, "labels.time_limit": time_limit, "labels.retries": retries}
    return [*(changes or ()), *(f"{key}={value}" for key, value in options.items() if value is not None)]


def place_of(source: Path, output: Path | None) -> tuple[Path, Path]:
    """Return the configuration file and the run directory of RUN|CONFIG and `--output`.

    Raises
    ------
    ConfigError
        A directory that holds no run.
    """
    if not source.is_dir():
        return source, output or DEFAULT_RUN
    if not (source / "config.toml").is_file():
        raise ConfigError(f"{source} is no run directory: it has no config.toml; `mlipgen label` makes one")
    return source / "config.toml", output or source


def handled(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors of known kinds into one line and an exit code; `--debug` keeps the traceback."""

    @wraps(command)
    def safe(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)
        except Exception as error:
            code = exit_code(error)
            if code is None or kwargs.get("debug"):
                raise
            fail(f"{_subject(error)}{error}", code)

    return safe


def exit_code(error: Exception) -> int | None:
    """Return the exit code of an error of a known kind; None for others, which are bugs."""
    if isinstance(error, ConfigError):
        return BAD_CONFIGURATION
    if isinstance(error, GateError):
        return GATE_FAILED
    for module, name, code in (
        ("ase_mlipgen.labels.failure", "LabelError", LABELS_FAILED),
        ("ase_mlipgen.labels.failure", "StoreError", LABELS_FAILED),
        ("ase_mlipgen.labels.identity", "IdentityError", BAD_CONFIGURATION),
        ("ase_mlipgen.defects.relaxation", "RelaxationError", GATE_FAILED),
        ("ase_mlipgen.export.lammps", "ExportError", GATE_FAILED),
    ):
        # An error of a module that was never imported cannot have been raised.
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return code
    return BAD_CONFIGURATION if isinstance(error, ValueError | TypeError | OSError) else None


def _subject(error: Exception) -> str:
    return "relaxation failed: " if type(error).__name__ == "RelaxationError" else ""


@contextmanager
def unstable_as_a_line() -> Iterator[None]:
    """Say in a line on standard error what a model file warns of, that its model is not stable."""
    from ase_mlipgen.calculators.linear_ace import UnstableModelWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnstableModelWarning)
        yield
    for found in caught:
        if issubclass(found.category, UnstableModelWarning):
            say(f"warning: {found.message}")
        else:
            warnings.warn_explicit(found.message, found.category, found.filename, found.lineno)


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong on standard error and exit."""
    typer.echo(f"mlipgen: {message}", err=True)
    raise typer.Exit(code)


def say(text: str, quiet: bool = False) -> None:
    """Tell the user something that is no result."""
    if not quiet:
        typer.echo(text, err=True)


def show_json(content: Mapping[str, Any]) -> None:
    """Print a result as JSON on standard output."""
    typer.echo(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))


def show_table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()
) -> None:
    """Print a table on standard output; columns in `numeric` are set flush right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for k, name in enumerate(head):
        right = k in numeric
        table.add_column(name, justify="right" if right else "left", no_wrap=k + 1 < len(head))
    for row in rows:
        table.add_row(*(text.replace("[", "\\[") for text in row))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    console.print(table)
