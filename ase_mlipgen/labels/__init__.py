"""Labels: energies, forces and stresses of configurations by any reference calculator, kept on disk.

Enter through `label` (configurations in, `LabelledCell` out, through any executor); `LabelStore` makes it
resumable; `write_cells` and `read_cells` exchange extended XYZ. Labels are the only expensive thing of a
training run.
"""

from ase_mlipgen.labels.cell import LabelledCell, read_cells, write_cells
from ase_mlipgen.labels.failure import Failure, LabelError, StoreError
from ase_mlipgen.labels.identity import IdentityError, identity
from ase_mlipgen.labels.reference import Label, as_factory, label_one
from ase_mlipgen.labels.run import Configuration, label
from ase_mlipgen.labels.store import LabelStore

__all__ = [
    "Configuration",
    "Failure",
    "IdentityError",
    "Label",
    "LabelError",
    "LabelStore",
    "LabelledCell",
    "StoreError",
    "as_factory",
    "identity",
    "label",
    "label_one",
    "read_cells",
    "write_cells",
]
