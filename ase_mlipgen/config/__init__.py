"""The configuration of a run: one TOML file, checked strictly, and the objects it stands for.

`load` reads a file (`default()` gives the embedded demonstration), `to_toml` writes it back, the functions of
`build` turn it into crystal, defects, reference, basis, trainer. Importing this room loads neither ASE nor
matscipy.
"""

from ase_mlipgen.config.errors import ConfigError
from ase_mlipgen.config.load import default, load, parse, validate
from ase_mlipgen.config.schema import Config
from ase_mlipgen.config.toml import to_toml

__all__ = ["Config", "ConfigError", "default", "load", "parse", "to_toml", "validate"]
