"""Labels: energies, forces and stresses of configurations by any reference calculator, kept on disk.

Enter through `label` (configurations in, `LabelledCell` out, through any executor); `LabelStore` makes it resumable
and shared, `status_of` says what one holds; `export_labels` and `import_labels` exchange labels with other codes.
Labels are the only expensive thing of a training run.
"""

from ase_mlipgen.labels.asked import Configuration, check_limits
from ase_mlipgen.labels.asking import AskingCalculator
from ase_mlipgen.labels.cell import LabelledCell, read_cells, write_cells
from ase_mlipgen.labels.exchange import export_labels, import_labels
from ase_mlipgen.labels.failure import Failure, LabelError, StoreError
from ase_mlipgen.labels.folders import FileCodeError, Folders, file_based
from ase_mlipgen.labels.identity import IdentityError, identity
from ase_mlipgen.labels.lazy import CellFile
from ase_mlipgen.labels.reference import Label, as_factory, label_one
from ase_mlipgen.labels.run import label
from ase_mlipgen.labels.status import StoreStatus, status_of
from ase_mlipgen.labels.store import LabelStore

__all__ = [
    "AskingCalculator",
    "CellFile",
    "Configuration",
    "Failure",
    "FileCodeError",
    "Folders",
    "IdentityError",
    "Label",
    "LabelError",
    "LabelStore",
    "LabelledCell",
    "StoreError",
    "StoreStatus",
    "as_factory",
    "check_limits",
    "export_labels",
    "file_based",
    "identity",
    "import_labels",
    "label",
    "label_one",
    "read_cells",
    "status_of",
    "write_cells",
]
