"""Models named on the command line: a model file, or "EAM2D". Enter at `load_model`."""

from pathlib import Path
from typing import Any

from ase_mlipgen.config import ConfigError


def load_model(name: str) -> Any:
    """Return the calculator of a model file, of a run directory, or "EAM2D"."""
    if name == "EAM2D":
        from ase_mlipgen.calculators.eam2d import EAM2D

        return EAM2D()
    path = Path(name) / "model.json" if Path(name).is_dir() else Path(name)
    if not path.is_file():
        raise ConfigError(
            f'there is no model file {path}; expected a model.json, a run directory, or "EAM2D"'
        )
    from ase_mlipgen.calculators.linear_ace import LinearACE

    return LinearACE.load(path)


def read_structures(path: Path, index: str = ":") -> list[Any]:
    """Read the structures of a file that ASE knows; at least one."""
    from ase.io import read

    if not path.is_file():
        raise ConfigError(f"there is no file {path}")
    try:
        found = read(path, index=index)
    except Exception as error:
        # ASE's readers raise whatever their parsers stumble over.
        raise ConfigError(f"{path} cannot be read as a structure: {type(error).__name__}: {error}") from error
    structures = found if isinstance(found, list) else [found]
    if not structures:
        raise ConfigError(f"{path} holds no structure")
    return structures
