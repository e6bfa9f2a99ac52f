"""Labels: energies, forces and stresses of configurations by any reference calculator, kept on disk.

Enter through `label` (configurations in, `LabelledCell` out, through any executor); `LabelStore` makes it
resumable; `write_cells` and `read_cells` exchange extended XYZ. Labels are the only expensive thing of a
training run.
"""

from ase_mlipgen.labels.cell import LabelledCell, read_cells, write_cells
from ase_mlipgen.labels.identity import IdentityError, identity
from ase_mlipgen.labels.lazy import CellFile
from ase_mlipgen.labels.reference import Label, as_factory, label_one
from ase_mlipgen.labels.run import Configuration, LabelError, label
from ase_mlipgen.labels.store import LabelStore

__all__ = [
    "CellFile",
    "Configuration",
    "IdentityError",
    "Label",
    "LabelError",
    "LabelStore",
    "LabelledCell",
    "as_factory",
    "identity",
    "label",
    "label_one",
    "read_cells",
    "write_cells",
]
