"""From a crystal and its defects to a potential with known errors: the stages, wired.

cells -> relaxed by the reference -> samples -> labels -> triangular factor -> coefficients -> errors. Every stage is a
function of its own room and useful alone; the trainer passes things on and keeps what it made. Enter at
`DefectTrainer.run`; what the reference is asked is in `training_set`, what is made of the answers in `fitting`.
`DataTrainer` fits labels that are there already, in files, and asks nobody.
Protocol: Ortner & Wang, *A framework for a generalisation analysis of machine-learned interatomic potentials*, Sec. 4.
"""

from ase_mlipgen.trainer.data_trainer import DataTrainer
from ase_mlipgen.trainer.defect_trainer import DefectTrainer

__all__ = ["DataTrainer", "DefectTrainer"]
