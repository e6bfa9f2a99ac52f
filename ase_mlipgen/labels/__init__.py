"""Labels: energies, forces and stresses of configurations by any reference calculator, kept on disk.

Enter through `label` (configurations in, `LabelledCell` out, through any executor); `LabelStore` makes it
resumable; `write_cells` and `read_cells` exchange extended XYZ. Labels are the only expensive thing of a
training run.
"""

from ase_mlipgen.labels.asking import AskingCalculator
from ase_mlipgen.labels.cell import LabelledCell, read_cells, write_cells
from ase_mlipgen.labels.folders import FileCodeError, Folders, file_based
from ase_mlipgen.labels.identity import IdentityError, identity
from ase_mlipgen.labels.reference import Label, as_factory, label_one
from ase_mlipgen.labels.run import Configuration, LabelError, label
from ase_mlipgen.labels.store import LabelStore

__all__ = [
    "AskingCalculator",
    "Configuration",
    "FileCodeError",
    "Folders",
    "IdentityError",
    "Label",
    "LabelError",
    "LabelStore",
    "LabelledCell",
    "as_factory",
    "file_based",
    "identity",
    "label",
    "label_one",
    "read_cells",
    "write_cells",
]
