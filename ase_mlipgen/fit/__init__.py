"""From labelled cells to coefficients: weighted rows, streamed QR, rank-revealing minimum-norm solution.

Enter through `assemble` (labelled cells to the triangle of their least-squares system) and `solve` or `sweep`
(triangle to `LinearFit`), with `Constraints` for conditions that are to hold exactly.
"""

from ase_mlipgen.fit.assemble import assemble, memory
from ase_mlipgen.fit.constraints import Constraints
from ase_mlipgen.fit.factor import TriangularFactor
from ase_mlipgen.fit.rows import RowBlock, count_rows, hessian_rows, rows
from ase_mlipgen.fit.solve import LinearFit, solve, sweep
from ase_mlipgen.fit.weights import Weights

__all__ = [
    "Constraints",
    "LinearFit",
    "RowBlock",
    "TriangularFactor",
    "Weights",
    "assemble",
    "count_rows",
    "hessian_rows",
    "memory",
    "rows",
    "solve",
    "sweep",
]
