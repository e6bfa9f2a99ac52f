"""The contract of the calculators: pairs in, site energies, forces and virial out.

With d_p = r_j - r_i + S a, and g_p = dE/dd_p (both directions of a pair counted):

    force on atom k     F_k = sum_{p: i=k} g_p - sum_{p: j=k} g_p
    virial              W_ab = sum_p d_pa g_pb,      stress = W / volume

so forces sum to zero by construction. `PairCalculator` turns atoms into pairs, a subclass's `evaluate`
turns these into an `Evaluation` (distances are taken in its kernels: a list that is kept costs nothing), and this into
ASE's results.
Enter at `PairCalculator.calculate`.
"""

import os
from collections.abc import Iterable
from threading import RLock
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.data import atomic_numbers, chemical_symbols
from ase.outputs import Properties, all_outputs
from ase.stress import voigt_6_to_full_3x3_stress

from ase_mlipgen.elasticity import PROPERTIES, StrainDerivatives, StrainProperties, opened, strain_derivatives
from ase_mlipgen.neighbors import NeighborList, Pairs, check_distinct, sum_gradients
from ase_mlipgen.sanity import volume_of


class UnknownElementError(ValueError):
    """Atoms of an element that the potential has no parameters for."""


class NonFiniteEnergyError(ArithmeticError):
    """The potential gave an energy or a force that is not a finite number."""


class Evaluation(NamedTuple):
    """What a potential says of a list of pairs.

    Parameters
    ----------
    energies_i : (n_atoms,) array
        Site energies, eV; they sum to the energy.
    forces : (n_atoms, 3) array
        eV/Å.
    virial : (6,) array
        Voigt order xx, yy, zz, yz, xz, xy, eV.
    closest : float
        Length of the shortest pair that was met, Å; infinite if none. Zero, for atoms in one place, is an error.
    """

    energies_i: npt.NDArray[np.float64]
    forces: npt.NDArray[np.float64]
    virial: npt.NDArray[np.float64]
    closest: float

    @classmethod
    def from_gradients(
        cls, energies_i: npt.NDArray[np.float64], gradient_pc: npt.NDArray[np.float64], pairs: Pairs
    ) -> "Evaluation":
        """Sum dE/dd_p of every pair, (n_pairs, 3), eV/Å: for potentials without kernels of their own."""
        return cls(energies_i, *sum_gradients(*pairs, gradient_pc))


class _Turn:
    """A lock that one thread may take again, and that a forked child finds open."""

    def __init__(self) -> None:
        self._lock, self._process = RLock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._lock, self._process = RLock(), os.getpid()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class PairCalculator(StrainProperties):
    """ASE calculator of a potential that is a function of pair vectors.

    A subclass has `cutoff`, `elements` and `evaluate`, ready before it calls ``super().__init__``; and
    `sparse_hessian` if it knows its second derivatives; ``hessian``, ``dynamical_matrix`` and those by strain are
    properties then (see `elasticity`). `apply_hessian` is its own too if there is a way without the matrix.
    Threads that share a calculator take turns at `get_property` and get what belongs to their atoms; copies are
    independent and work side by side; pickles carry no results.

    Parameters
    ----------
    skin : float
        Of the neighbour list, Å; does not influence results.
    **kwargs
        Of ASE's `Calculator`: atoms, label, directory.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012
    discard_results_on_any_change = True
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012
    _turn: _Turn

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the lock here, because copies and pickles are made without ``__init__``."""
        made = super().__new__(cls)
        made._turn = _Turn()
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.sparse_hessian is not PairCalculator.sparse_hessian:
            cls.implemented_properties = [
                *PairCalculator.implemented_properties,
                "hessian",
                "dynamical_matrix",
                *PROPERTIES,
            ]

    def __init__(self, *, skin: float = 0.5, **kwargs: Any) -> None:
        self.neighbors = NeighborList(self.cutoff, skin)
        self._is_known = np.zeros(len(chemical_symbols), dtype=bool)
        self._is_known[[atomic_numbers[symbol] for symbol in self.elements]] = True
        super().__init__(**kwargs)

    @property
    def cutoff(self) -> float:
        """Range of the potential, Å."""
        raise NotImplementedError(f"{type(self).__name__} has no cutoff")

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that the potential knows."""
        raise NotImplementedError(f"{type(self).__name__} has no elements")

    def evaluate(self, numbers_i: npt.NDArray[np.int64], pairs: Pairs) -> Evaluation:
        """Return site energies, forces and virial; a pure function of its arguments.

        Parameters
        ----------
        numbers_i : (n_atoms,) int64 array
            Atomic numbers, all known.
        pairs : Pairs
            May reach beyond the cutoff.
        """
        raise NotImplementedError(f"{type(self).__name__} has no evaluate()")

    def sparse_hessian(self, numbers_i: npt.NDArray[np.int64], pairs: Pairs) -> sp.csr_matrix:
        """Return the (3 n_atoms, 3 n_atoms) second derivatives of the energy by the positions, eV/Å^2.

        Of the sum of site energies, each a function of the pairs of its own atom: some atoms may have none, though
        they are neighbours of others.
        """
        raise PropertyNotImplementedError(
            f"{type(self).__name__} has no analytic Hessian; "
            f"matscipy.numerical.numerical_hessian takes differences of forces"
        )

    def apply_hessian(
        self, numbers_i: npt.NDArray[np.int64], pairs: Pairs, v_vic: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the Hessian times each of v_vic, (n_v, n_atoms, 3), eV/Å; here by way of `sparse_hessian`."""
        H = self.sparse_hessian(numbers_i, pairs)
        return np.ascontiguousarray((H @ v_vic.reshape(len(v_vic), -1).T).T).reshape(v_vic.shape)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Iterable[str] = ("energy",),
        system_changes: Iterable[str] = tuple(all_changes),
    ) -> None:
        """Fill ``results``; ASE calls this.

        Raises
        ------
        UnknownElementError
            An element without parameters.
        CoincidentAtomsError
            Two atoms in one place.
        NonFiniteEnergyError
            Energy or forces overflow.
        PropertyNotImplementedError
            Stress of atoms without a volume.
        ValueError
            No atoms, or a cell or positions that make no sense.
        """
        if system_changes:
            self.reset()
        super().calculate(atoms, list(properties), system_changes)
        if "energy" not in self.results:
            self.results.update(self._results(self.atoms))
        if "stress" in properties and "stress" not in self.results:
            raise PropertyNotImplementedError(
                f"no stress: the cell {self.atoms.cell.array.tolist()} has no volume; "
                f"give it three independent vectors (pbc may stay False)"
            )

    def get_hessian(self, atoms: Atoms, format: str = "sparse", divide_by_masses: bool = False) -> Any:
        """Return the second derivatives of the energy by the positions.

        Parameters
        ----------
        atoms : Atoms
        format : {"sparse", "dense"}
        divide_by_masses : bool
            Divide the block of atoms i and j by sqrt(m_i m_j), in atomic mass units.

        Returns
        -------
        (3 n_atoms, 3 n_atoms) scipy.sparse.csr_matrix or array
            eV/Å^2.

        Raises
        ------
        ValueError
            Another format.
        CoincidentAtomsError, NonFiniteEnergyError
            Two atoms in one place; an overflow.
        PropertyNotImplementedError
            The potential has no analytic second derivatives.
        """
        if format not in ("sparse", "dense"):
            raise ValueError(f"format = {format!r}: expected 'sparse' or 'dense'")
        with self._turn:
            H = self._hessian(atoms)
        if divide_by_masses:
            scale = sp.diags(np.repeat(atoms.get_masses() ** -0.5, 3))
            H = (scale @ H @ scale).tocsr()
        return H.toarray() if format == "dense" else H

    def hessian_product(self, atoms: Atoms, v: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the Hessian times displacements: minus the change of the forces, to first order.

        Parameters
        ----------
        atoms : Atoms
            Positions at which to differentiate; constraints do not matter.
        v : (n_atoms, 3) array, or several, (n_v, n_atoms, 3)
            Å, any length. Several at once may cost less than one by one.

        Returns
        -------
        array of the same shape
            eV/Å.

        Raises
        ------
        ValueError
            v of another shape, or not finite.
        CoincidentAtomsError, NonFiniteEnergyError
            Two atoms in one place; an overflow.
        PropertyNotImplementedError
            The potential has no analytic second derivatives.
        """
        v_vic = np.array(v, dtype=float, order="C")
        if v_vic.ndim not in (2, 3) or v_vic.shape[-2:] != (len(atoms), 3):
            raise ValueError(
                f"v has shape {v_vic.shape}: expected ({len(atoms)}, 3), a displacement of every atom, "
                f"or (n_v, {len(atoms)}, 3)"
            )
        if not np.isfinite(v_vic).all():
            raise ValueError("v contains NaN or infinity: expected finite displacements in Å")
        with self._turn:
            return self._hessian_products(atoms, v_vic.reshape(-1, len(atoms), 3)).reshape(v_vic.shape)

    def strain_derivatives(self, atoms: Atoms) -> StrainDerivatives:
        """Return second derivatives of the energy by strain, at fixed scaled positions.

        Raises
        ------
        CoincidentAtomsError, NonFiniteEnergyError
            Two atoms in one place; an overflow.
        PropertyNotImplementedError
            The potential has no analytic second derivatives.
        """
        numbers_i, pairs = self._inputs(atoms)
        open_pairs, source_k = opened(pairs)
        H = self.sparse_hessian(numbers_i[source_k], open_pairs)
        self._check_finite(H.data, pairs)
        virial = voigt_6_to_full_3x3_stress(self.evaluate(numbers_i, pairs).virial)
        return strain_derivatives(H, open_pairs.positions, source_k, virial)

    def get_property(self, name: str, atoms: Atoms | None = None, allow_calculation: bool = True) -> Any:
        """Return a result, as a copy also if it is a sparse matrix (ASE copies arrays only)."""
        with self._turn:
            result = super().get_property(name, atoms, allow_calculation)
        return result.copy() if isinstance(result, sp.csr_matrix) else result

    def export_properties(self) -> Properties:
        """Return the results that ASE has a name for; a Hessian has none."""
        return Properties({name: value for name, value in self.results.items() if name in all_outputs})

    def set(self, **kwargs: Any) -> dict[str, Any]:
        """Refuse parameters: they are fixed when the calculator is made."""
        if kwargs:
            raise TypeError(
                f"{type(self).__name__} has no settable parameters (got {', '.join(map(repr, kwargs))}): "
                f"make a new calculator"
            )
        return super().set()

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "results": {}, "neighbors": NeighborList(self.cutoff, self.neighbors.skin)}
        del state["_turn"]
        return state

    def _inputs(self, atoms: Atoms) -> tuple[npt.NDArray[np.int64], Pairs]:
        numbers_i = np.ascontiguousarray(atoms.numbers, dtype=np.int64)
        known = self._is_known[np.clip(numbers_i, 0, len(self._is_known) - 1)] & (numbers_i >= 0)
        if not known.all():
            unknown = np.unique(numbers_i[~known])
            raise UnknownElementError(
                f"{type(self).__name__} knows {', '.join(self.elements)}, "
                f"not {', '.join(chemical_symbols[z] for z in unknown)}: use a potential with these elements"
            )
        return numbers_i, self.neighbors.pairs(atoms)

    def _energy_and_forces(self, atoms: Atoms) -> tuple[float, npt.NDArray[np.float64]]:
        found = self.evaluate(*self._inputs(atoms))
        return float(found.energies_i.sum()), found.forces

    def _hessian(self, atoms: Atoms) -> sp.csr_matrix:
        numbers_i, pairs = self._inputs(atoms)
        H = self.sparse_hessian(numbers_i, pairs)
        self._check_finite(H.data, pairs)
        return H

    def _hessian_products(self, atoms: Atoms, v_vic: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        numbers_i, pairs = self._inputs(atoms)
        H_v = self.apply_hessian(numbers_i, pairs, v_vic)
        self._check_finite(H_v, pairs)
        return H_v

    def _check_finite(self, values: npt.NDArray[np.float64], pairs: Pairs) -> None:
        if not np.isfinite(values).all():
            check_distinct(pairs)
            raise NonFiniteEnergyError(
                f"{type(self).__name__} gave second derivatives that are not finite numbers: atoms too close, "
                f"or parameters too large, for the potential's range"
            )

    def _results(self, atoms: Atoms) -> dict[str, Any]:
        numbers_i, pairs = self._inputs(atoms)
        energies_i, forces, virial, closest = self.evaluate(numbers_i, pairs)
        if closest == 0.0:
            check_distinct(pairs)
        energy = float(np.sum(energies_i))
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(virial).all()):
            raise NonFiniteEnergyError(
                f"{type(self).__name__} gave an energy of {energy} eV and a largest force of "
                f"{np.abs(forces).max()} eV/Å; the closest pair is at {closest:.4g} Å: atoms this close, "
                f"or parameters this large, are outside the potential's range"
            )
        results = {
            "energy": energy,
            "free_energy": energy,
            "energies": energies_i,
            "forces": forces,
        }
        volume = volume_of(atoms.cell.array)
        if volume > 0:
            results["stress"] = virial / volume
        return results
