"""Which way a cell is solved: dense, by the blocks of its symmetry group, or by k-points of its primitive cell.

The group is looked for where the dense eigenproblems would take long, kept while a cell relaxes, and checked at every
call. What was decided is a `Plan`, in figures and in words; what does not fit into memory is refused before it starts.
Enter at `Solver`.
"""

import logging
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ase_mlipgen.symmetry.operations import Operations, find_operations
from ase_mlipgen.tightbinding.bonds import Model
from ase_mlipgen.tightbinding.eigensolvers import seconds
from ase_mlipgen.tightbinding.kpoints import KPoints, merged
from ase_mlipgen.tightbinding.memory import InsufficientMemoryError, available_memory, readable
from ase_mlipgen.tightbinding.setup import Group, Pairs, no_symmetry, set_up, wedge
from ase_mlipgen.tightbinding.solution import Solution, System, Workers, solve

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
SOLVERS = ("auto", "dense", "symmetric")
WORTH_A_SEARCH = 0.15
"""Seconds: symmetry is looked for where dense eigenproblems would take longer."""
REMEMBERED = 3
"""Groups of one crystal that are kept, the largest first."""
SMALLEST = 3e-4
"""Seconds that a k-point takes at least."""


class Cell(NamedTuple):
    """Atoms as numbers: positions (n, 3) and cell (3, 3, complete) in Å, periodic directions, atomic numbers."""

    positions: Floats
    cell: Floats
    pbc: npt.NDArray[np.bool_]
    numbers: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """How a cell is solved.

    Attributes
    ----------
    n_atoms, order : atoms, and order of the symmetry group that was used, 1 if none
    block_sizes : orders of the eigenproblems, in the order in which they are solved
    n_kpoints : k-points with an eigenproblem of their own
    at_once, threads : blocks solved side by side, and threads of the BLAS for each
    memory : bytes, estimate of the peak
    seconds : on one core, rough estimate for the eigenproblems
    """

    n_atoms: int
    order: int
    block_sizes: tuple[int, ...]
    n_kpoints: int
    at_once: int
    threads: int
    memory: float
    seconds: float

    def __str__(self) -> str:
        sizes = sorted(set(self.block_sizes))
        n = len(self.block_sizes)
        span = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        blocks = f"one block of {span}" if n == 1 else f"{n} blocks of {span}"
        group = "no symmetry" if self.order == 1 else f"symmetry group of order {self.order}"
        points = "" if self.n_kpoints == 1 else f", {self.n_kpoints} k-points"
        return (
            f"{self.n_atoms} atoms, {group}{points}: {blocks}, "
            f"about {readable(self.memory)} and {self.seconds:.2g} s of one core"
        )


@dataclass
class Solver:
    """Chooses, remembers the group, solves.

    Parameters
    ----------
    n_orbitals : of an atom
    kind : one of `SOLVERS`
    symprec : Å, how far atoms may be from where an operation takes them
    max_memory : bytes; None for what the machine has left
    """

    n_orbitals: int
    kind: str = "auto"
    symprec: float = 1e-7
    max_memory: float | None = None
    plan: Plan | None = field(default=None, init=False)
    _last: Cell | None = field(default=None, init=False, repr=False)
    _known: list[tuple[Cell, Group]] = field(default_factory=list, init=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "plan": None, "_last": None, "_known": []}

    def solve(
        self,
        atoms: Cell,
        pairs: Pairs,
        model: Model,
        electrons: float,
        kT: float,
        points: KPoints | None,
        workers: Workers,
    ) -> Solution:
        """Return the solution at kT (rydberg); `points` None for Gamma alone.

        Raises
        ------
        InsufficientMemoryError
            The plan does not fit.
        NotPositiveDefiniteError, ElectronCountError
            The overlap matrix makes no sense; see `solve`.
        """
        group, points, symmetry = self._choose(atoms, points, pairs.images_sc)
        system = set_up(pairs, model, electrons, group, points, symmetry)
        workers.memory = available_memory() if self.max_memory is None else self.max_memory
        plan = self._plan(system, points, workers)
        if self.plan is None or (plan.order, plan.block_sizes) != (self.plan.order, self.plan.block_sizes):
            self._announce(plan, self._last is not None and _same_crystal(self._last, atoms))
        self.plan, self._last = plan, atoms
        if plan.memory > workers.memory:
            raise InsufficientMemoryError(self._refusal(plan, workers.memory))
        return solve(system, model, kT, workers)

    def searches(self, n_atoms: int, points: KPoints | None) -> bool:
        """Say whether symmetry is worth looking for."""
        if self.kind != "auto":
            return self.kind == "symmetric"
        n_k = 1 if points is None else len(points.weights_k)
        return n_k * max(SMALLEST, seconds(n_atoms * self.n_orbitals, points is None)) > WORTH_A_SEARCH

    def _choose(
        self, atoms: Cell, points: KPoints | None, images_sc: npt.NDArray[np.int64]
    ) -> tuple[Group, KPoints | None, Operations]:
        group = self._group(atoms, self.searches(len(atoms.positions), points))
        if points is None:
            return group, None, group.operations
        trivial = Group.of(no_symmetry(len(atoms.positions)), self.n_orbitals)
        if group.operations.order == 1:
            return trivial, merged(points), trivial.operations
        kept, symmetry = wedge(points, group.operations, atoms.cell)
        return trivial, kept, symmetry

    def _group(self, atoms: Cell, searched: bool) -> Group:
        """Return the group of the atoms: the largest of those known that holds, or a new one."""
        for before, group in self._known:
            if self._still_holds(before, group, atoms, searched):
                return group
        operations = no_symmetry(len(atoms.positions))
        if searched:
            operations = find_operations(*atoms, symprec=self.symprec)
        group = Group.of(operations, self.n_orbitals)
        alike = [known for known in self._known if _same_crystal(known[0], atoms)]
        # A step of a line search, or of a finite difference, may break a symmetry that the next one has again.
        self._known = sorted([(atoms, group), *alike], key=lambda known: -known[1].operations.order)[
            :REMEMBERED
        ]
        return group

    def _still_holds(self, before: Cell, group: Group, atoms: Cell, searched: bool) -> bool:
        if not _same_crystal(before, atoms):
            return False
        if group.operations.order == 1:
            return not searched or np.array_equal(before.positions, atoms.positions)
        return searched and group.operations.deviation(*atoms[:3]) <= self.symprec

    def _plan(self, system: System, points: KPoints | None, workers: Workers) -> Plan:
        at_once, threads = workers.split(system)
        return Plan(
            len(system.orbits.orbit_i),
            system.operations.order,
            tuple(block.adapted.size for block in system.blocks),
            1 if points is None else len(points.weights_k),
            at_once,
            threads,
            system.memory(at_once),
            system.seconds(),
        )

    def _announce(self, plan: Plan, is_same_crystal: bool) -> None:
        """Say how atoms are solved; loudly if they lost a symmetry without being strained."""
        if self.plan is not None and is_same_crystal and plan.order < self.plan.order:
            logger.warning("the symmetry group of order %d is broken; now %s", self.plan.order, plan)
        elif self.kind == "symmetric" and plan.order == 1:
            logger.warning("no symmetry within %g Å, so it is solved dense: %s", self.symprec, plan)
        else:
            logger.info("%s", plan)

    def _refusal(self, plan: Plan, memory: float) -> str:
        remedies = []
        if self.kind == "dense":
            remedies.append("solver='auto', which uses the symmetry that most defect cells have")
        elif plan.order == 1:
            remedies.append(
                f"a cell with symmetry (two defects related by an operation of the crystal; none was found within "
                f"symprec = {self.symprec:g} Å, a larger one helps where positions were rounded)"
            )
        if plan.n_kpoints > 1:
            remedies.append("fewer k-points, or k-points one by one")
        remedies += ["a smaller cell", "a machine with more memory"]
        return f"{plan}; {readable(memory)} are left. What helps: {'; '.join(remedies)}"


def _same_crystal(a: Cell, b: Cell) -> bool:
    """Say whether two sets of atoms differ in their positions at most."""
    return all(np.array_equal(x, y) for x, y in zip(a[1:], b[1:], strict=True))
