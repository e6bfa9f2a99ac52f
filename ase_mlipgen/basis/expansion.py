"""The ACE basis as a function of ASE structures: `len(basis)`, `basis.design(atoms)`.

:class:`ACEBasis` holds parameters and the static plans of the kernels; it fills in the defaults of a material
(length scales from ASE's reference states) and turns structures into rows of a linear model.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from ase_mlipgen.ace.core import PairCore, zbl_core
from ase_mlipgen.ace.design import Neighbourhoods, design_columns
from ase_mlipgen.ace.design_plan import DesignPlan, build_design_plan
from ase_mlipgen.ace.evaluation import Potential, evaluate
from ase_mlipgen.ace.kernels import site_values
from ase_mlipgen.ace.lane_core import CoreTables, core_tables
from ase_mlipgen.ace.lane_plan import LanePlan, build_lane_plan
from ase_mlipgen.ace.plan import (
    Angular,
    Plan,
    Radial,
    build_angular,
    build_plan,
    build_radial,
    channel_label,
    largest_n,
)
from ase_mlipgen.ace.radial import RadialBasis
from ase_mlipgen.ace.second_derivatives import hessian_products
from ase_mlipgen.ace.sites import Structure
from ase_mlipgen.ace.specification import Block, blocks, check_extent, invariant_count, multiplicities
from ase_mlipgen.arguments import number
from ase_mlipgen.basis.parameters import (
    checked_elements,
    checked_size,
    lengths_by_element,
    nearest_neighbor_distance,
)
from ase_mlipgen.neighbors import pairs
from ase_mlipgen.threads import available_threads, in_order

Floats = npt.NDArray[np.float64]
SITES = 512  # atoms whose rows of site energies are made at once


class Design(NamedTuple):
    """Rows of every basis function for one structure.

    Attributes
    ----------
    energy : (K,) array
        Sum over sites, eV per unit coefficient.
    forces : (n_atoms, 3, K) array
        Minus the gradient, eV/Å per unit coefficient.
    virial : (6, K) array, or (0, K)
        sum_p d_a dE/dd_b in Voigt order xx, yy, zz, yz, xz, xy, eV; stress times volume.
    """

    energy: Floats
    forces: Floats
    virial: Floats


class Baseline(NamedTuple):
    """What the model adds without coefficients: the repulsive core. Energy eV, forces eV/Å, virial eV."""

    energy: float
    forces: Floats
    virial: Floats


class ACEBasis:
    """Linear atomic-cluster-expansion basis of total degree.

    Parameters
    ----------
    elements : str or sequence of str
        Chemical symbols; sorted by atomic number.
    order : int
        Correlation order: products of up to `order` neighbour densities (body order minus one).
    degree : float
        Largest sum(n + degree_l * l) of a function.
    cutoff : float
        Å.
    degree_l : float
        Weight of the angular momentum in the degree.
    r0 : float or mapping of symbol to float, optional
        Length of the distance transform, Å; by default the nearest-neighbour distance of the element's reference
        state. A pair of elements takes the mean.
    r_in : float or mapping, optional
        Inner cutoff, Å; by default 0.65 r0 of the pair.
    p, pcut, pin : int
        Powers of the transform and of the outer and inner envelope.
    core : {"zbl", None}
        Repulsive pair term that ends at r0 of the pair, or none.

    Raises
    ------
    ValueError
        For an unknown element or a parameter out of range.

    Notes
    -----
    Ortner & Wang, *A framework for a generalisation analysis of machine-learned interatomic potentials*, Sec.
    4, with the radial functions of ACE1.jl. Functions of each centre element follow one another in `elements`
    order.

    Examples
    --------
    >>> len(ACEBasis(["Si"], order=3, degree=14, cutoff=5.5))
    383
    """

    def __init__(
        self,
        elements: str | Sequence[str],
        order: int = 3,
        degree: float = 14,
        cutoff: float = 5.5,
        *,
        degree_l: float = 1.5,
        r0: float | Mapping[str, float] | None = None,
        r_in: float | Mapping[str, float] | None = None,
        p: int = 2,
        pcut: int = 2,
        pin: int = 2,
        core: str | None = "zbl",
    ) -> None:
        self.elements = checked_elements(elements)
        self.order, self.degree, self.cutoff = checked_size(order, degree, cutoff)
        degree_l = number("degree_l", degree_l, "a positive number, such as 1.5", lambda x: x > 0)
        check_extent(len(self.elements), self.order, self.degree, degree_l)
        if core not in ("zbl", None):
            raise ValueError(f'core must be "zbl" or None, got {core!r}')
        self.degree_l, self.p, self.pcut, self.pin, self.core = degree_l, p, pcut, pin, core
        self.r0 = lengths_by_element(r0, self.elements, "r0", nearest_neighbor_distance)
        self.r_in = lengths_by_element(r_in, self.elements, "r_in", lambda symbol: 0.65 * self.r0[symbol])
        self.radial_bases = {
            (a, b): self._radial_basis(a, b)
            for a in range(len(self.elements))
            for b in range(len(self.elements))
        }

    def _radial_basis(self, a: int, b: int) -> RadialBasis:
        first, second = self.elements[a], self.elements[b]
        r_in = 0.5 * (self.r_in[first] + self.r_in[second])
        r0 = 0.5 * (self.r0[first] + self.r0[second])
        return RadialBasis(self.cutoff, r_in, r0, self.p, self.pcut, self.pin)

    @cached_property
    def blocks(self) -> list[Block]:
        """The (mu, n, l) multisets with at least one invariant, the same for every centre element."""
        return blocks(len(self.elements), self.order, self.degree, self.degree_l)

    @cached_property
    def plan(self) -> Plan:
        """Static tables of the kernels, shared by all centre elements."""
        return build_plan(self.blocks, len(self.elements))

    @cached_property
    def lane_plan(self) -> LanePlan | None:
        """Tables of the fast evaluator; None for orders that it leaves to the scalar one."""
        return build_lane_plan(self.plan, self.angular.lmax)

    @cached_property
    def design_plans(self) -> tuple[DesignPlan, DesignPlan]:
        """Tables of the design rows: of any structure, and of those in a plane."""
        return build_design_plan(self.plan, False), build_design_plan(self.plan, True)

    @cached_property
    def angular(self) -> Angular:
        """Recurrence of the spherical harmonics."""
        return build_angular(self.blocks)

    @cached_property
    def radial(self) -> tuple[Radial, ...]:
        """Radial parameters of each centre element."""
        n_max, n = largest_n(self.blocks), len(self.elements)
        return tuple(build_radial([self.radial_bases[a, b] for b in range(n)], n_max) for a in range(n))

    @cached_property
    def cores(self) -> dict[tuple[int, int], PairCore]:
        """Repulsive core of each pair of elements; empty without a core."""
        if self.core is None:
            return {}
        found: dict[tuple[int, int], PairCore] = {}
        for a, first in enumerate(self.elements):
            for b, second in enumerate(self.elements):
                r0 = min(0.5 * (self.r0[first] + self.r0[second]), self.cutoff)
                numbers = sorted((atomic_numbers[first], atomic_numbers[second]))
                found[a, b] = zbl_core(numbers[0], numbers[1], r0, 0.2 * r0, r0, 2)
        return found

    @cached_property
    def core_tables(self) -> CoreTables | None:
        """Tables of the compiled core; None without a core."""
        return core_tables(list(self.cores.values())) if self.cores else None

    def __len__(self) -> int:
        return len(self.elements) * self.n_functions_per_element

    @cached_property
    def n_functions_per_element(self) -> int:
        """Number of functions of one centre element."""
        return sum(invariant_count(multiplicities(block)) for block in self.blocks)

    @cached_property
    def function_orders(self) -> npt.NDArray[np.int64]:
        """Correlation order of each function, (K,)."""
        one = [len(b) for b in self.blocks for _ in range(invariant_count(multiplicities(b)))]
        return np.array(one * len(self.elements), dtype=np.int64)

    @cached_property
    def function_labels(self) -> list[str]:
        """Readable name of each function: centre element, then its channels."""
        one = [
            " | ".join(channel_label(c, self.elements) for c in b)
            for b in self.blocks
            for _ in range(invariant_count(multiplicities(b)))
        ]
        return [f"{symbol}: {label}" for symbol in self.elements for label in one]

    def element_indices(self, atoms: Atoms) -> npt.NDArray[np.int64]:
        """Return the position of each atom's element in `elements`, (n_atoms,).

        Raises
        ------
        ValueError
            If the structure holds an element that the basis does not know.
        """
        return self.indices_of(atoms.numbers)

    def indices_of(self, numbers_i: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the position in `elements` of each atomic number; see `element_indices`."""
        lookup = np.full(len(chemical_symbols), -1, dtype=np.int64)
        lookup[[atomic_numbers[s] for s in self.elements]] = np.arange(len(self.elements))
        found = lookup[numbers_i]
        if (found < 0).any():
            unknown = sorted({chemical_symbols[z] for z in numbers_i[found < 0]})
            raise ValueError(
                f"the structure contains {', '.join(unknown)}, but the basis knows only {', '.join(self.elements)}; "
                "add the element to ACEBasis(elements=...)"
            )
        return found

    def design(self, atoms: Atoms, virial: bool = True, part: slice | None = None) -> Design:
        """Return the rows of every function for a structure (energy, forces, virial), as views of one matrix.

        Parameters
        ----------
        atoms : Atoms
            Must contain known elements only.
        virial : bool
            False leaves it out, as an array of shape (0, K).
        part : slice, optional
            Forces on these atoms only; energy and virial are then sums over the sites of these atoms. The parts of
            a large structure can so be made one by one.
        """
        columns = self._columns(atoms, virial, part)
        n_own = len(range(len(atoms))[part or slice(None)])
        forces = columns[:, 1 : 1 + 3 * n_own].T.reshape(n_own, 3, len(self))
        return Design(columns[:, 0], forces, columns[:, 1 + 3 * n_own :].T)

    def site_rows(self, atoms: Atoms) -> Floats:
        """Return the value of every function at every atom: rows of site energies, (n_atoms, K).

        They sum to the energy row of `design`.
        """
        return np.concatenate([np.zeros((0, len(self))), *self.site_row_parts(atoms)])

    def site_row_parts(self, atoms: Atoms) -> Iterator[Floats]:
        """Yield the rows of `site_rows` for some hundred atoms after others, so that large structures fit in memory."""
        mu_i, found = self.element_indices(atoms), pairs(atoms, self.cutoff)
        d_pc, per_element = found.vectors(), self.n_functions_per_element
        plan, radial, angular = self.plan, self.radial, self.angular

        def part(start: int) -> Floats:
            mu_k = mu_i[start : start + SITES]
            rows = np.zeros((len(mu_k), len(self)))
            for a in np.unique(mu_k).tolist():
                (own,) = np.nonzero(mu_k == a)
                values = np.empty((len(own), per_element))
                site_values(
                    start + own, found.first_i, found.j_p, d_pc, mu_i, plan, radial[a], angular, values
                )  # fmt: skip
                rows[own, a * per_element : (a + 1) * per_element] = values
            return rows

        yield from in_order(part, range(0, len(atoms), SITES), available_threads())

    def design_tangent(self, atoms: Atoms, velocity_ic: npt.ArrayLike) -> Floats:
        """Return the exact derivative of the force rows along a motion: minus the functions' Hessians times it.

        Only atoms whose neighbourhood moves cost anything: columns of the Hessian come from one moving atom.

        Parameters
        ----------
        atoms : Atoms
        velocity_ic : (n_atoms, 3) array
            Displacement of each atom for a unit of the parameter, Å.

        Returns
        -------
        (n_atoms, 3, K) array
            eV/Å per unit coefficient and unit of the parameter.

        Raises
        ------
        ValueError
            The motion has another shape.
        """
        velocity = np.array(velocity_ic, dtype=float, order="C")
        if velocity.shape != (len(atoms), 3):
            raise ValueError(
                f"velocity_ic has shape {velocity.shape}; expected ({len(atoms)}, 3), a vector an atom"
            )
        return self._columns(atoms, False, None, velocity)[:, 1:].T.reshape(len(atoms), 3, len(self))

    def _columns(
        self, atoms: Atoms, virial: bool, part: slice | None, velocity_ic: Floats | None = None
    ) -> Floats:
        """Return the columns of every function, (K, n_rows); see `design_columns`."""
        mu_i, found = self.element_indices(atoms), pairs(atoms, self.cutoff)
        hoods = Neighbourhoods(found.first_i, found.j_p, found.vectors(), mu_i)
        planar = velocity_ic is None and not hoods.d_pc[:, 2].any()
        concerned = np.ones(len(atoms), dtype=bool)
        if part is not None:
            concerned[:] = False
            concerned[part] = True
            concerned[found.centres()[concerned[found.j_p]]] = True
        if velocity_ic is not None:
            i_p = found.centres()
            concerned = np.zeros(len(atoms), dtype=bool)
            concerned[i_p[(velocity_ic[found.j_p] != velocity_ic[i_p]).any(axis=1)]] = True
        n_own, per_element = len(mu_i[part or slice(None)]), self.n_functions_per_element
        columns = np.zeros((len(self), 1 + 3 * n_own + (6 if virial else 0)))
        for a in range(len(self.elements)):
            centres = np.flatnonzero(concerned & (mu_i == a))
            if len(centres):
                own = columns[a * per_element : (a + 1) * per_element]
                design_columns(
                    centres, hoods, self.design_plans[planar], self.radial[a], self.angular, own, part, velocity_ic
                )  # fmt: skip
        return columns

    def baseline(self, atoms: Atoms) -> Baseline:
        """Return energy, forces and virial of the repulsive core, which is not fitted."""
        if self.core_tables is None:
            return Baseline(0.0, np.zeros((len(atoms), 3)), np.zeros(6))
        found = evaluate(self._structure(atoms), self._core_alone(self.core_tables))
        return Baseline(float(found.energies_i.sum()), found.forces, found.virial)

    def baseline_tangent(self, atoms: Atoms, velocity_ic: npt.ArrayLike) -> Floats:
        """Return the derivative of the core's forces along a motion, (n_atoms, 3), eV/Å; see `design_tangent`."""
        if self.core_tables is None:
            return np.zeros((len(atoms), 3))
        motion = np.asarray(velocity_ic, dtype=float)[None]
        return -hessian_products(self._structure(atoms), self._core_alone(self.core_tables), motion)[0]

    def _structure(self, atoms: Atoms) -> Structure:
        return Structure(*pairs(atoms, self.cutoff), self.element_indices(atoms))

    def _core_alone(self, cores: CoreTables) -> Potential:
        return Potential(self.cutoff, (), self.radial, self.angular, cores)

    def todict(self) -> dict[str, Any]:
        """Return the parameters from which `from_dict` builds the same basis."""
        names = ("order", "degree", "cutoff", "degree_l", "p", "pcut", "pin", "core", "r0", "r_in")
        return {"elements": list(self.elements), **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_dict(cls, parameters: Mapping[str, Any]) -> "ACEBasis":
        """Return the basis of `todict`."""
        return cls(**parameters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ACEBasis) and self.todict() == other.todict()

    def __hash__(self) -> int:
        return hash(repr(self.todict()))

    def __repr__(self) -> str:
        return f"ACEBasis({list(self.elements)}, order={self.order}, degree={self.degree:g}, cutoff={self.cutoff:g})"
