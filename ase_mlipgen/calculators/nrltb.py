"""NRL tight binding as an ASE calculator: electrons in a non-orthogonal basis of s, p and d orbitals.

E_band = 2 sum_k w_k sum_n f_n eps_n with H c = eps S c, two-centre integrals, on-site energies that depend on the
surroundings, and no pair term (Cohen, Mehl and Papaconstantopoulos, Phys. Rev. B 50, 14694 (1994)). The numbers are in
the room `tightbinding`; how a cell is solved is decided in its `solver`.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from ase import Atoms
from ase.calculators.abc import GetOutputsMixin
from ase.calculators.calculator import kpts2ndarray
from ase.dft.kpoints import BandPath
from ase.spectrum.band_structure import BandStructure
from ase.spectrum.doscollection import RawDOSCollection
from ase.spectrum.dosdata import RawDOSData
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from ase_mlipgen.calculators.base import Evaluation, NonFiniteEnergyError, PairCalculator
from ase_mlipgen.elasticity import PROPERTIES, StrainDerivatives, differences_by_strain
from ase_mlipgen.lapack import NotPositiveDefiniteError
from ase_mlipgen.neighbors import Pairs as PairList
from ase_mlipgen.neighbors import check_distinct
from ase_mlipgen.neighbors import pairs as pairs_of
from ase_mlipgen.sanity import volume_of
from ase_mlipgen.symmetry import differences
from ase_mlipgen.symmetry.operations import Reduction, reduce_by_translations
from ase_mlipgen.symmetry.sites import find_site_symmetry
from ase_mlipgen.threads import available_threads
from ase_mlipgen.tightbinding import slater_koster, spectrum
from ase_mlipgen.tightbinding.bonds import Model
from ase_mlipgen.tightbinding.closest import CLOSEST
from ase_mlipgen.tightbinding.eigensolvers import Eigensolver, with_lapack, with_torch
from ase_mlipgen.tightbinding.kpoints import KPoints, operations_of, reciprocal_rotations
from ase_mlipgen.tightbinding.memory import available_memory
from ase_mlipgen.tightbinding.parameters import Parameters, find_parameters
from ase_mlipgen.tightbinding.results import of_levels, of_supercell
from ase_mlipgen.tightbinding.setup import BOHR, RYDBERG, Pairs
from ase_mlipgen.tightbinding.solution import SPIN, Solution, Workers
from ase_mlipgen.tightbinding.solver import SOLVERS, Cell, Plan, Solver

Floats = npt.NDArray[np.float64]
CUTOFFS = {
    "cosine": slater_koster.COSINE,
    "original": slater_koster.ORIGINAL,
    "forceshift": slater_koster.FORCESHIFT,
}

logger = logging.getLogger(__name__)

DIFFERENCE = 2e-3
"""Å, step of second derivatives: forces are exact to 1e-12 eV/Å, and levels must not cross the smearing."""

STRAIN = 5e-4
"""Of second derivatives by strain: bonds change by about half of `DIFFERENCE`."""

MANY_TRANSLATIONS = 32
"""Supercells of this many primitive cells are solved at k-points; fewer translations are left to the group."""


class CloseAtomsError(ValueError):
    """Atoms closer than the parameters are good for."""


class NRLTB(PairCalculator, GetOutputsMixin):
    """NRL tight-binding calculator of one element.

    Cells with symmetry are solved exactly in the blocks of their group's irreps: thousands of atoms with a pair of
    vacancies on an ordinary machine. `plan` and the log tell what was done.

    Parameters
    ----------
    element : str or Parameters
        Chemical symbol (Al, C, Cu, Fe, Mo, Pb, Si, W), the name of a set such as "W_spd_new", or parameters of one's
        own.
    basis : {"sp", "spd"}, optional
        For elements with several sets.
    cutoff : {"cosine", "original", "forceshift"}
        How integrals end at the cutoff radius: brought to zero smoothly within the last half bohr or so, within
        2e-6 eV an atom of the published form; with the published small jump; or shifted so that value and slope
        vanish. Beware of the last: it changes the potential everywhere, and silicon becomes a metal.
    kT : float
        Fermi-Dirac smearing, eV. 0.01 to 0.025 eV for physics: at 0.1 eV the hole states of a vacancy evaporate into
        the valence band of a large cell.
    kpts : sequence or dict
        k-points as everywhere in ASE: (n1, n2, n3) for a Monkhorst-Pack mesh, {"size": (n1, n2, n3), "gamma": True} for
        one centred on Gamma, {"density": ..., "gamma": True} for points per Å^-1, or an (n_k, 3) array.
        Time reversal and symmetry reduce them.
    solver : {"auto", "dense", "symmetric"}
        Look for symmetry where that pays; never; or always.
    eigensolver : {"lapack", "torch", "torch:cpu", "torch:cuda"}
        Who solves the eigenproblems of the blocks; torch is an extra of the package.
    symprec : float
        Å: operations that take every atom onto another this closely are used.
    closest : float, optional
        Å: closer atoms are refused, because the energy falls without end there. By default what was measured for the
        parameter set (`ase_mlipgen.tightbinding.closest`), zero for parameters of one's own; zero switches it off.
    max_memory : float, optional
        Bytes; by default what is left on the machine. What needs more is refused before it starts.
    skin : float
        Of the neighbour list, Å; does not influence results.
    threads : int, optional
        By default the cores that this process may use.

    Attributes
    ----------
    plan : Plan or None
        How the last cell was solved: order of the group, sizes of blocks, memory; ``print(calc.plan)``.

    Notes
    -----
    ``energy`` and ``free_energy`` both are A = E_band - T S, of which forces and stress are the exact derivatives.
    ``energies`` are Mulliken's shares and sum to it, ``charges`` Mulliken's charges in units of e. Eigenvalues, Fermi
    level, occupations and k-points are there through ASE's ``get_eigenvalues(kpt)``, ``get_fermi_level()`` and so on,
    so that `ase.dft.bandgap.bandgap` and `ase.dft.dos.DOS` work. ``get_hessian`` and ``hessian_product`` take
    differences of forces over `DIFFERENCE`, the first with the symmetry of atoms and k-points; elastic constants and
    non-affine forces those of strained cells (`strain_derivatives`).

    Raises
    ------
    ValueError
        An element, option, k-points, kT, symprec, closest or memory that makes no sense.
    ImportError
        torch is asked for and not there.
    """

    implemented_properties = [*PairCalculator.implemented_properties, "charges", *PROPERTIES]  # noqa: RUF012

    def __init__(
        self,
        element: str | Parameters = "Si",
        basis: str | None = None,
        cutoff: str = "cosine",
        kT: float = 0.1,
        kpts: Any = (1, 1, 1),
        *,
        solver: str = "auto",
        eigensolver: str = "lapack",
        symprec: float = 1e-7,
        closest: float | None = None,
        max_memory: float | None = None,
        skin: float = 0.5,
        threads: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.parameter_set = element if isinstance(element, Parameters) else find_parameters(element, basis)
        _check_choice("cutoff", cutoff, tuple(CUTOFFS))
        _check_choice("solver", solver, SOLVERS)
        _check_positive("kT", kT, "a smearing in eV, such as 0.025")
        _check_positive("symprec", symprec, "a distance in Å, such as 1e-7")
        self.closest = CLOSEST.get(self.parameter_set.name, 0.0) if closest is None else float(closest)
        if not (np.isfinite(self.closest) and self.closest >= 0):
            raise ValueError(f"closest = {closest!r}: expected a distance in Å, or zero to allow any")
        if max_memory is not None:
            _check_positive("max_memory", max_memory, "a number of bytes, such as 8e9")
        p = self.parameter_set
        self._model = Model(
            p.cutoff, p.width, CUTOFFS[cutoff], p.decay, p.onsite_ok, p.hopping_bk, p.overlap_bk
        )
        self.kT, self.kpts, self.threads, self.eigensolver = float(kT), kpts, threads, eigensolver
        self._solver = Solver(p.n_orbitals, solver, float(symprec), max_memory)
        self._find_eigensolver()
        super().__init__(skin=skin, **kwargs)
        self._points(Atoms("H", cell=np.eye(3), pbc=True))
        self.parameters.update(
            parameter_set={k: np.asarray(v).tolist() for k, v in dataclasses.asdict(p).items() if k != "notes"},
            cutoff=cutoff, kT=self.kT, kpts=_plain(kpts), solver=solver, eigensolver=eigensolver, symprec=symprec,
            closest=self.closest,
        )  # fmt: skip

    def __repr__(self) -> str:
        name, kpts = self.parameter_set.name, _plain(self.kpts)
        return f"NRLTB({name}, kT {self.kT:g} eV, kpts {kpts}, cutoff {self.cutoff:.4g} Å)"

    @property
    def cutoff(self) -> float:
        """Range of the integrals, Å."""
        return self.parameter_set.cutoff * BOHR

    @property
    def elements(self) -> tuple[str, ...]:
        """The element."""
        return (self.parameter_set.element,)

    @property
    def plan(self) -> Plan | None:
        """How the last cell was solved."""
        return self._solver.plan

    def get_band_gap(self, atoms: Atoms | None = None) -> float:
        """Return the gap between the highest occupied and the lowest empty level at T = 0, eV; zero for a metal."""
        self.get_property("energy", atoms)
        return float(self.results["band_gap"])

    def _outputmixin_get_results(self) -> dict[str, Any]:
        return self.results

    def hamiltonian(self, atoms: Atoms, kpt: npt.ArrayLike = (0.0, 0.0, 0.0)) -> tuple[Any, Any]:
        """Return H and S at a k-point.

        Parameters
        ----------
        atoms : Atoms
        kpt : (3,) array
            In units of the reciprocal cell vectors.

        Returns
        -------
        H, S : (n, n) arrays, eV and dimensionless
            Atom by atom, orbitals in the order of ``calc.parameter_set.orbitals``; real where possible.
        """
        system = self._system_at(atoms, np.reshape(np.asarray(kpt, dtype=float), (1, 3)))
        H, S = spectrum.full_matrices(system, system.blocks[0])
        return H * RYDBERG, S

    def get_band_structure(
        self, atoms: Atoms, path: BandPath | str | None = None, npoints: int = 100
    ) -> BandStructure:
        """Return the bands along a path; ``.plot()`` draws them.

        Parameters
        ----------
        atoms : Atoms
        path : BandPath, str or None
            Such as "GXWKGL"; None for the standard path of the lattice.
        npoints : int
            Along the whole path.

        Returns
        -------
        ase.spectrum.band_structure.BandStructure
            eV; the reference is the Fermi level at the calculator's own k-points.
        """
        given = isinstance(path, BandPath)
        way: Any = path if given else atoms.cell.bandpath(path, npoints=npoints, pbc=atoms.pbc)
        found = spectrum.levels(self._system_at(atoms, way.kpts), self._n_threads())
        self.get_property("energy", atoms)
        return BandStructure(way, found[None] * RYDBERG, reference=self.get_fermi_level())

    def get_dos(
        self, atoms: Atoms, kpts: Any = None, projected: bool = False
    ) -> RawDOSData | RawDOSCollection:
        """Return the density of states; ``.plot(npts=1000, width=0.1)`` broadens and draws it.

        Parameters
        ----------
        atoms : Atoms
        kpts : sequence or dict, optional
            As in the constructor; by default the calculator's own.
        projected : bool
            On orbitals s, p and d, by Mulliken: one curve each.

        Returns
        -------
        ase.spectrum.dosdata.RawDOSData, or ase.spectrum.doscollection.RawDOSCollection
            Levels, eV, with two states each.
        """
        name = atoms.get_chemical_formula()
        if kpts is None and not projected:
            # The levels of the energy itself are there for large cells with symmetry too.
            self.get_property("energy", atoms)
            return _dos(self.results["eigenvalues"][0], self.results["kpoint_weights"], name)
        points = self._points(atoms) if kpts is None else _points(kpts, atoms)
        system = self._system_at(atoms, points.scaled_kc)
        if not projected:
            return _dos(spectrum.levels(system, self._n_threads()) * RYDBERG, points.weights_k, name)
        found, parts = spectrum.projected_levels(system, self._n_threads())
        shells = np.tile([orbital[0] for orbital in self.parameter_set.orbitals], len(atoms))
        return RawDOSCollection(
            RawDOSData(
                found.ravel() * RYDBERG,
                (SPIN * points.weights_k[:, None] * parts[:, :, shells == shell].sum(axis=2)).ravel(),
                info={"label": f"{name} {shell}", "orbital": shell},
            )
            for shell in dict.fromkeys(shells.tolist())
        )

    def evaluate(self, numbers_i: npt.NDArray[np.int64], pairs: PairList) -> Evaluation:
        """Refuse: electrons need the cell, not only pairs."""
        raise NotImplementedError("NRLTB is evaluated for atoms, not for a list of pairs")

    def keeps_rotations(self, atoms: Atoms, rotations_gcc: Floats) -> npt.NDArray[np.bool_]:
        """Tell which rotations of the atoms, (n, 3, 3), are symmetries of the k-points too, (n,)."""
        of_points = reciprocal_rotations(rotations_gcc, atoms.cell.complete().array)
        kept = np.zeros(len(rotations_gcc), bool)
        kept[operations_of(self._points(atoms), of_points)] = True
        return kept

    def strain_derivatives(self, atoms: Atoms) -> StrainDerivatives:
        """Return second derivatives of the free energy by strain, at fixed scaled positions and k-points.

        Differences of forces and stresses: 25 evaluations.
        """
        fixed = deepcopy(self)
        fixed.kpts = self._points(atoms).scaled_kc  # a density of points would jump
        walker = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)

        def evaluate(F: Floats) -> tuple[Floats, Floats]:
            walker.set_cell(atoms.cell.array @ F.T)
            walker.positions = atoms.positions @ F.T
            results = fixed._results(walker)
            virial = voigt_6_to_full_3x3_stress(results.get("stress", np.zeros(6)))
            return results["forces"], virial * volume_of(walker.cell.array)

        return differences_by_strain(evaluate, STRAIN)

    def _forces_of(self, atoms: Atoms) -> Callable[[Floats], Floats]:
        walker = Atoms(atoms.numbers, cell=atoms.cell, pbc=atoms.pbc)

        def forces(positions: Floats) -> Floats:
            walker.positions = positions
            return np.asarray(self._results(walker)["forces"])

        return forces

    def _hessian(self, atoms: Atoms) -> sp.csr_matrix:
        self._inputs(atoms)
        symmetry = find_site_symmetry(
            atoms.positions, atoms.cell.array, atoms.pbc, atoms.numbers, self._solver.symprec,
            partial(self.keeps_rotations, atoms),
        )  # fmt: skip
        H, n_calls = differences.hessian(self._forces_of(atoms), atoms.positions, symmetry, DIFFERENCE)
        logger.info("Hessian of %d atoms from %d force calls", len(atoms), n_calls)
        return sp.csr_matrix(H)

    def _hessian_products(self, atoms: Atoms, v_vic: Floats) -> Floats:
        forces = self._forces_of(atoms)
        return np.array([differences.product(forces, atoms.positions, v, DIFFERENCE) for v in v_vic]).reshape(
            v_vic.shape
        )

    def _results(self, atoms: Atoms) -> dict[str, Any]:
        _, pairs = self._inputs(atoms)
        check_distinct(pairs)
        self._check_closest(pairs)
        points = self._points(atoms)
        # Gamma alone makes blocks of irreps, and only Gamma of a perfect cell is folded.
        gamma = not points.scaled_kc.any()
        reduction = self._reduction(atoms) if gamma else None
        if reduction is None:
            solution = self._solve(atoms, pairs, None if gamma else points)
            results = self._as_results(solution, atoms)
        else:
            n = reduction.n_translations
            primitive = atoms[reduction.members_i]
            primitive.set_cell(reduction.cell)
            folded = KPoints(reduction.scaled_k, np.full(n, 1 / n))
            solution = self._solve(primitive, pairs_of(primitive, self.cutoff), folded)
            results = of_supercell(self._as_results(solution, primitive), reduction.member_of_i, n)
        self._check_results(results, pairs)
        return {
            **results,
            **of_levels(solution, 1 if reduction is None else reduction.n_translations, gamma),
        }

    def _reduction(self, atoms: Atoms) -> Reduction | None:
        if not (atoms.pbc.all() and self._solver.searches(len(atoms), None)):
            return None
        found = reduce_by_translations(
            atoms.positions, atoms.cell.array, atoms.pbc, atoms.numbers, symprec=self._solver.symprec
        )
        return found if found is not None and found.n_translations >= MANY_TRANSLATIONS else None

    def _solve(self, atoms: Atoms, pairs: PairList, points: KPoints | None) -> Solution:
        cell = atoms.cell.complete().array
        try:
            return self._solver.solve(
                Cell(atoms.positions.copy(), cell, atoms.pbc.copy(), atoms.numbers.copy()),
                Pairs.of(*pairs, cell),
                self._model,
                self.parameter_set.electrons * len(atoms),
                self.kT / RYDBERG,
                points,
                self._workers(),
            )
        except NotPositiveDefiniteError as error:
            raise NonFiniteEnergyError(
                f"the overlap matrix of {atoms.get_chemical_formula()} is not positive definite ({error}): "
                f"atoms are closer together than these parameters bear; "
                f"the closest pair is at {_closest(pairs):.4g} Å"
            ) from error

    def _as_results(self, solution: Solution, atoms: Atoms) -> dict[str, Any]:
        """Turn a solution into ASE's units and names, but for what the levels say."""
        results = {
            "energy": solution.free_energy * RYDBERG,
            "free_energy": solution.free_energy * RYDBERG,
            "energies": solution.energies_i * RYDBERG,
            "forces": solution.forces * (RYDBERG / BOHR),
            "charges": self.parameter_set.electrons - solution.populations_i,
        }
        volume = volume_of(atoms.cell.array)
        if volume > 0:
            results["stress"] = full_3x3_to_voigt_6_stress(solution.virial) * (RYDBERG / volume)
        return results

    def _system_at(self, atoms: Atoms, scaled_kc: Floats) -> Any:
        _, pairs = self._inputs(atoms)
        check_distinct(pairs)
        memory = available_memory() if self._solver.max_memory is None else self._solver.max_memory
        return spectrum.system_at(
            Pairs.of(*pairs, atoms.cell.complete().array), self._model, scaled_kc, memory
        )

    def _workers(self) -> Workers:
        solve = self._find_eigensolver()
        return Workers(solve, self._n_threads(), side_by_side=solve is with_lapack)

    def _find_eigensolver(self) -> Eigensolver:
        if self.eigensolver == "lapack":
            return with_lapack
        if self.eigensolver.partition(":")[0] != "torch":
            raise ValueError(
                f"eigensolver = {self.eigensolver!r}: expected 'lapack', 'torch', 'torch:cpu' or 'torch:cuda'"
            )
        return with_torch(self.eigensolver.partition(":")[2])

    def _points(self, atoms: Atoms) -> KPoints:
        return _points(self.kpts, atoms)

    def _n_threads(self) -> int:
        return self.threads or available_threads()

    def _check_closest(self, pairs: PairList) -> None:
        lengths = np.linalg.norm(pairs.vectors(), axis=1)
        if lengths.size and lengths.min() < self.closest:
            p = int(np.argmin(lengths))
            raise CloseAtomsError(
                f"atoms {pairs.centres()[p]} and {pairs.j_p[p]} (or a periodic image) are {lengths[p]:.4g} Å apart: "
                f"below {self.closest:.4g} Å the parameters {self.parameter_set.name} attract without end; move them "
                f"apart, or pass closest=0 to evaluate it all the same"
            )

    def _check_results(self, results: Mapping[str, Any], pairs: PairList) -> None:
        if not (np.isfinite(results["energy"]) and np.isfinite(results["forces"]).all()):
            raise NonFiniteEnergyError(
                f"NRLTB gave an energy of {results['energy']} eV and a largest force of "
                f"{np.abs(results['forces']).max()} eV/Å; the closest pair is at {_closest(pairs):.4g} Å"
            )


def _dos(levels_kn: Floats, weights_k: Floats, name: str) -> RawDOSData:
    """Return a density of states, with two electrons in each level."""
    weights = np.repeat(SPIN * weights_k, levels_kn.shape[1])
    return RawDOSData(levels_kn.ravel(), weights, info={"label": name})


def _points(kpts: Any, atoms: Atoms) -> KPoints:
    """Turn ASE's ways of naming k-points into a list with weights.

    Raises
    ------
    ValueError
        Not understood, or several points along a direction without periodicity.
    """
    expected = (
        "expected (n1, n2, n3), {'size': (n1, n2, n3), 'gamma': True}, {'density': points per Å^-1}, "
        "or an (n_k, 3) array"
    )
    try:
        scaled_kc = np.asarray(kpts2ndarray(kpts, atoms), dtype=float).reshape(-1, 3)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"kpts = {kpts!r} is not understood ({error}): {expected}") from error
    if not len(scaled_kc) or not np.isfinite(scaled_kc).all():
        raise ValueError(f"kpts = {kpts!r} gives no or infinite k-points: {expected}")
    if scaled_kc[:, ~atoms.pbc].any():
        raise ValueError(
            f"kpts = {kpts!r} has points along a direction that is not periodic (pbc = {atoms.pbc.tolist()}): "
            f"take one point there"
        )
    return KPoints(scaled_kc, np.full(len(scaled_kc), 1 / len(scaled_kc)))


def _closest(pairs: PairList) -> float:
    lengths = np.linalg.norm(pairs.vectors(), axis=1)
    return float(lengths.min()) if lengths.size else np.inf


def _plain(kpts: Any) -> Any:
    """Return k-points as JSON can hold them."""
    if isinstance(kpts, Mapping):
        return {key: np.asarray(value).tolist() for key, value in kpts.items()}
    return np.asarray(kpts).tolist()


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} = {value!r}: expected one of {', '.join(map(repr, choices))}")


def _check_positive(name: str, value: Any, expected: str) -> None:
    if not (isinstance(value, int | float | np.number) and np.isfinite(value) and value > 0):
        raise ValueError(f"{name} = {value!r}: expected {expected}, positive")
