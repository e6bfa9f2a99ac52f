"""What a training run leaves: the model, its errors, and everything they came from.

`TrainingResult` is in `training`, `keeping` writes and reads its directory, `cells` has what it is made of.
"""

from ase_mlipgen.result.cells import Census, TrainingCell
from ase_mlipgen.result.keeping import ResultDirectoryError
from ase_mlipgen.result.training import TrainingResult

__all__ = ["Census", "ResultDirectoryError", "TrainingCell", "TrainingResult"]
