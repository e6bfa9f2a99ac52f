"""`mlipgen status`: how far a run directory is, what failed and why, and which command comes next."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_mlipgen.cli.common import Debug, Json, place_of, show_json
from ase_mlipgen.config import AnyConfig, Config, ConfigError, DataConfig, load_any
from ase_mlipgen.files import json_of, read_text

if TYPE_CHECKING:
    from ase_mlipgen.labels import StoreStatus
    from ase_mlipgen.trainer.inventory import Inventory

ERRORS = ("energy_rmse", "force_rmse", "eps_E", "eps_F")
SHOWN = 20


def status(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run.")],
    check: Annotated[
        bool, typer.Option("--check", help="Read every label and compare its checksum.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Say which stages of a run are done, what failed and why, who is at work, and what comes next."""
    if not run.is_dir():
        raise ConfigError(f"there is no directory {run}")
    path, folder = place_of(run, None)
    config = load_any(path)
    content = _status(config, folder, check)
    if as_json:
        show_json(content)
    else:
        _show(content)


def _status(config: AnyConfig, folder: Path, check: bool) -> dict[str, Any]:
    model = _model(config, folder)
    if isinstance(config, DataConfig):
        following = f"mlipgen fit {folder}" if _is_to_do(model) else f"mlipgen eval {folder} STRUCTURES"
        return {"run": str(folder), "files": config.data.files, "model": model, "next": following}
    found, store = _asked(config, folder, check)
    compared = None if config.simulation is None else (folder / "large_cell_model.extxyz").is_file()
    return {
        "run": str(folder),
        "asked": None if found is None else found.todict(),
        "store": None if store is None else store.as_dict(),
        "model": model,
        "compared": compared,
        "next": _next(folder, found, store, model, compared),
    }


def _asked(config: Config, folder: Path, check: bool) -> "tuple[Inventory | None, StoreStatus | None]":
    """Return what is on disk of what the reference is asked, and the state of the store; None before it began."""
    from ase_mlipgen.cli.job import LABELS, recorded_trainer
    from ase_mlipgen.labels import status_of
    from ase_mlipgen.trainer.inventory import take_inventory

    store = status_of(folder / LABELS, check) if (folder / LABELS).is_dir() else None
    try:
        trainer = recorded_trainer(config, folder, False)
    except ConfigError:
        return None, store
    return take_inventory(trainer, check), store


def _model(config: AnyConfig, folder: Path) -> dict[str, Any] | None:
    """Return the errors of the model that is there, and whether it is of this configuration."""
    try:
        numbers = json_of(read_text(folder / "metrics.json"), nan=True)
    except (FileNotFoundError, ValueError):
        return None
    if not (folder / "model.json").is_file():
        return None
    return {
        "file": str(folder / "model.json"),
        "errors": {name: numbers["errors"]["test"][name] for name in ERRORS},
        "units": {name: numbers["units"][name] for name in ERRORS},
        "unstable": numbers["fit"]["unstable"],
        "is_current": _same(config, numbers.get("configuration", ""), folder),
    }


def _same(config: AnyConfig, text: str, folder: Path) -> bool:
    """Whether the report's configuration is this one, but for how the work is done."""
    from ase_mlipgen.config.load import parse_any

    try:
        other = parse_any(text, folder)
    except ConfigError:
        return False
    how = {"labels", "run"}
    return type(other) is type(config) and other.model_dump(exclude=how) == config.model_dump(exclude=how)


def _is_to_do(model: dict[str, Any] | None) -> bool:
    return model is None or not model["is_current"]


def _next(
    folder: Path,
    found: "Inventory | None",
    store: "StoreStatus | None",
    model: dict[str, Any] | None,
    compared: bool | None,
) -> str:
    if found is None or not found.is_complete:
        at_work = store is not None and store.at_work
        return f"mlipgen {'status' if at_work else 'label'} {folder}"
    if _is_to_do(model):
        return f"mlipgen fit {folder}"
    if compared is False:
        return f"mlipgen run {folder / 'config.toml'} -o {folder}"
    return f"mlipgen eval {folder} STRUCTURES"


def _show(content: dict[str, Any]) -> None:
    for name in content.get("files", []):
        typer.echo(f"labels of {name}")
    if "asked" in content:
        _show_asked(content["asked"])
    if content.get("store") is not None:
        _show_store(content["store"])
    _show_model(content["model"])
    if content.get("compared") is not None:
        typer.echo(f"comparison on the large cell: {'done' if content['compared'] else 'not yet'}")
    typer.echo(f"next: {content['next']}")


def _show_asked(asked: dict[str, Any] | None) -> None:
    if asked is None:
        typer.echo("the reference, as it is configured, has not been asked yet")
        return
    names = {"relaxations": "relaxations", "force_constants": "force constants of perfect cells"}
    names["hessians"] = "Hessians of relaxed cells"
    counts = {text: asked[name] for name, text in names.items()}
    counts |= {f"labels, {stage}": count for stage, count in asked["labels"].items()}
    for text, count in counts.items():
        if count["total"]:
            typer.echo(f"{text}: {count['done']} of {count['total']}")
    damaged = [one for one in asked["absent"] if one["damaged"]]
    if damaged:
        typer.echo(f"{len(damaged)} labels are damaged; they are made again")


def _show_store(store: dict[str, Any]) -> None:
    for failure in store["failures"][:SHOWN]:
        what = " ".join(filter(None, (failure["config_type"], failure["defect"])))
        times = f", {failure['attempts']} attempts" if failure["attempts"] > 1 else ""
        typer.echo(
            f"failed: {what}, {failure['n_atoms']} atoms: {failure['verdict']}: {failure['reason']}{times} "
            f"({failure['where']})"
        )
    if len(store["failures"]) > SHOWN:
        typer.echo(f"and {len(store['failures']) - SHOWN} more failures, all with --json")
    typer.echo(
        f"at work: {len(store['at_work'])} labels; abandoned by dead processes: {len(store['abandoned'])}"
    )


def _show_model(model: dict[str, Any] | None) -> None:
    if model is None:
        typer.echo("model: none yet")
        return
    errors = ", ".join(
        f"{name} {value:.3e} {model['units'][name]}"
        for name, value in model["errors"].items()
        if value is not None
    )
    current = "" if model["is_current"] else " (of another configuration)"
    typer.echo(f"model: {model['file']}{current}: {errors}")
    if model["unstable"]:
        typer.echo(model["unstable"])
