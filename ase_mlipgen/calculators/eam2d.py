"""The embedded-atom method as an ASE calculator, in two and three dimensions.

E = sum_i F(rho_i) + 1/2 sum phi(r_ij), rho_i = sum f(r_ij): embedded analytic tungsten (Zhou, Johnson and
Wadley, Phys. Rev. B 69, 144113 (2004)), or the tables of an eam/alloy or eam/fs file. Forces, stress and
sparse Hessian are analytic. The functions and their energies are in the room `eam`.
"""

import dataclasses
import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from ase_mlipgen.calculators.base import Evaluation, PairCalculator
from ase_mlipgen.eam import energy, reading, setfl
from ase_mlipgen.eam.analytic import TUNGSTEN, Zhou
from ase_mlipgen.eam.functions import EAMFunctions
from ase_mlipgen.eam.hessian import hessian
from ase_mlipgen.eam.reading import EAMFileError, PotentialJumpWarning
from ase_mlipgen.eam.tables import Tables
from ase_mlipgen.eam.tangents import hessian_products
from ase_mlipgen.export.embedded import write_tables
from ase_mlipgen.export.lammps import Evaluate, Exported
from ase_mlipgen.neighbors import Pairs
from ase_mlipgen.threads import available_threads

__all__ = ["EAM2D", "EAMFileError", "PotentialJumpWarning", "read_setfl"]
ELEMENTS = frozenset(atomic_numbers) - {"X"}


class EAM2D(PairCalculator):
    """Embedded-atom potential, by default tungsten.

    Parameters
    ----------
    potential : path, Zhou or None
        An eam/alloy or eam/fs (setfl) file, told apart by their content; or parameters of the analytic form;
        or none, for `ase_mlipgen.eam.analytic.TUNGSTEN`.
    skin : float
        Of the neighbour list, Å; does not influence results.
    threads : int, optional
        Threads of one evaluation; by default the cores this process may use. Results do not depend on it.

    Raises
    ------
    FileNotFoundError
        No such file.
    EAMFileError
        A file that is not a complete eam/alloy or eam/fs table; the line is named.
    TypeError
        Another kind of potential.

    Warns
    -----
    PotentialJumpWarning
        A file whose pair terms or densities do not end at zero at its cutoff.
    """

    def __init__(
        self,
        potential: str | os.PathLike[str] | Zhou | None = None,
        *,
        skin: float = 0.5,
        threads: int | None = None,
        **kwargs: Any,
    ) -> None:
        functions: EAMFunctions
        if potential is None or isinstance(potential, Zhou):
            functions = potential or TUNGSTEN
            parameters = dataclasses.asdict(functions)
        elif isinstance(potential, str | os.PathLike):
            functions = read_setfl(potential)
            content = hashlib.sha256(Path(potential).read_bytes()).hexdigest()
            parameters = {"potential": os.fspath(potential), "sha256": content}
        else:
            raise TypeError(
                f"potential = {potential!r}: expected the path of an eam/alloy or eam/fs file, "
                f"ase_mlipgen.eam.analytic.Zhou parameters, or None for tungsten"
            )
        self.functions, self.threads = functions, threads
        self._index_z = np.full(max(atomic_numbers.values()) + 1, -1)
        self._index_z[[atomic_numbers[s] for s in functions.elements]] = np.arange(len(functions.elements))
        super().__init__(skin=skin, **kwargs)
        self.parameters.update(parameters)

    def __repr__(self) -> str:
        source = self.parameters.get("potential", "analytic")
        return f"EAM2D({source}: {', '.join(self.elements)}, cutoff {self.cutoff:g} Å)"

    @property
    def cutoff(self) -> float:
        """Range of the potential, Å."""
        return self.functions.cutoff

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that the potential knows."""
        return self.functions.elements

    def evaluate(self, numbers_i: npt.NDArray[np.int64], pairs: Pairs) -> Evaluation:
        """Return site energies (eV), forces (eV/Å) and virial (eV)."""
        found = energy.evaluate(self.functions, self._index_z[numbers_i], *pairs, self._n_threads())
        return Evaluation(*found)

    def sparse_hessian(self, numbers_i: npt.NDArray[np.int64], pairs: Pairs) -> sp.csr_matrix:
        """Return the second derivatives of the energy by the positions, eV/Å^2."""
        return hessian(
            self.functions,
            self._index_z[numbers_i],
            pairs.centres(),
            pairs.j_p.astype(np.int64),
            pairs.vectors(),
        )

    def apply_hessian(
        self, numbers_i: npt.NDArray[np.int64], pairs: Pairs, v_vic: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the Hessian times each of v_vic, (n_v, n_atoms, 3), eV/Å, without forming it."""
        a_i = self._index_z[numbers_i]
        return hessian_products(self.functions, a_i, *pairs, v_vic, self._n_threads())

    def _n_threads(self) -> int:
        return self.threads or available_threads()

    def write_setfl(
        self, path: str | os.PathLike[str], *, kind: str = "eam/alloy", n_r: int = 10001, n_rho: int = 10001
    ) -> None:
        """Write the potential for LAMMPS and others; tables read from a file are written as they are.

        Parameters
        ----------
        path : str or path
        kind : {"eam/alloy", "eam/fs"}
        n_r, n_rho : int
            Grid points of an analytic potential.

        Raises
        ------
        ValueError
            Another kind, one that cannot hold the densities, or too few points.
        """
        functions = self.functions
        tables = functions if isinstance(functions, Tables) else setfl.tabulate(functions, n_r, n_rho)
        numbers = [atomic_numbers[symbol] for symbol in self.elements]
        comment = f"{self!r}\nwritten by ase_mlipgen" + ("" if tables is functions else f"\n{functions!r}")
        setfl.write(path, tables, numbers, [float(atomic_masses[z]) for z in numbers], kind, comment)

    @property
    def setfl_kind(self) -> str:
        """The pair style that holds the potential: "eam/fs" if densities depend on who feels them, else "eam/alloy"."""
        functions = self.functions
        one_way = not isinstance(functions, Tables) or (functions.f_abk == functions.f_abk[:1]).all()
        return "eam/alloy" if one_way else "eam/fs"

    def export_lammps(
        self,
        path: str | os.PathLike[str],
        structures: Sequence[Atoms] | None = None,
        *,
        n_r: int = 10001,
        n_rho: int = 10001,
    ) -> Exported:
        """Write the potential for LAMMPS: tables (setfl), and in.NAME with NAME.data, which run.

        Tables read from a file are written as they are. LAMMPS interpolates with splines of its own: it agrees with
        fine tables to 1e-9 eV an atom and better, but differs on coarse ones, and wherever F steps (Zhou's does at 1.15
        rho_e) or a density leaves the table.

        Parameters
        ----------
        path : path
            Ends in .eam.alloy or, for potentials whose `setfl_kind` is "eam/fs", in .eam.fs.
        structures : sequence of Atoms, optional
            Where the file is compared with the potential; by default atoms at random positions.
        n_r, n_rho : int
            Grid points of an analytic potential.

        Returns
        -------
        Exported
            Paths, size, largest deviations of energy per atom and force.

        Raises
        ------
        ValueError
            Another ending, or too few points.
        ExportError
            A deviation above 1e-8 eV/atom; no file is kept then.
        """
        kind = self.setfl_kind

        def write(target: Path) -> None:
            self.write_setfl(target, kind=kind, n_r=n_r, n_rho=n_rho)

        def reread(source: Path) -> Evaluate:
            with warnings.catch_warnings():  # a jump is one of the tables that were given, not of the export
                warnings.simplefilter("ignore", PotentialJumpWarning)
                return EAM2D(source, threads=self.threads)._energy_and_forces

        return write_tables(
            Path(path), kind, self.elements, self.cutoff, write, reread, self._energy_and_forces, structures
        )


def read_setfl(path: str | os.PathLike[str]) -> Tables:
    """Read an eam/alloy or eam/fs file; which of them, its length tells; see `eam.reading.read`."""
    return reading.read(path, ELEMENTS)
