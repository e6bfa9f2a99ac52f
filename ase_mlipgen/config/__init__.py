"""The configuration of a run: one TOML file, checked strictly, and the objects it stands for.

`load` reads a file (`default()` gives the embedded demonstration), `to_toml` writes it back, the functions of
`build` turn it into crystal, defects, reference, basis, trainer. A file with a table [data] fits labels that are there
already: `load_any` reads both kinds. Importing this room loads neither ASE nor matscipy.
"""

from ase_mlipgen.config.errors import ConfigError
from ase_mlipgen.config.load import default, load, load_any, parse, validate
from ase_mlipgen.config.schema import AnyConfig, Config, DataConfig
from ase_mlipgen.config.toml import to_toml

__all__ = [
    "AnyConfig",
    "Config",
    "ConfigError",
    "DataConfig",
    "default",
    "load",
    "load_any",
    "parse",
    "to_toml",
    "validate",
]
