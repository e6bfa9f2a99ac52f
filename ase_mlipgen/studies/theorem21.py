"""Theorem 2.1 of Ortner and Wang: equilibria of cells with several defects exist, and what they are made of.

The equilibrium of cores at least L_D apart is the sum of single cores, each cut off at L_D / 2, and a rest with
||D rest|| <= C sqrt(n_D) L_D^(-d/2), (2.4) and (2.5); a single core decays as |Du(l)| <= C (1 + |l|)^(-d), (6.11).
Relaxations begin at the superposed cores; no surrogate is involved. There is one record an arrangement, and for the
decay one a shell of sites. Also measured, though the theorem does not say it: the rest without any cut-off, whole
fields of a single defect in the same cell superposed, which is how cores change one another. Enter at `STUDY`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.defects import Relaxation, Vacancy, relax, simulation_cell
from ase_mlipgen.defects.arrangement import closest_approach
from ase_mlipgen.defects.lattices import triangular_primitive
from ase_mlipgen.studies.cases import HOLLOW, SHEET
from ase_mlipgen.studies.study import DEFAULT, Context, Study
from ase_mlipgen.studies.theorem21_tables import DECAY, GRID, LATTICE, NAN, RANDOM, table
from ase_mlipgen.theory.cell_hessian import analytic_hessian
from ase_mlipgen.theory.compare import core_distances
from ase_mlipgen.theory.norms import bonds, site_strains, strain_norm
from ase_mlipgen.theory.operator_norms import stability_constant
from ase_mlipgen.theory.superposition import CoreField, closest_cores, core_field, superposed

FMAX = 1e-6
"""eV/Å."""


@dataclass(frozen=True)
class System:
    """One crystal with defects, the cells that are made of it, and the exponents that theory has.

    Attributes
    ----------
    crystal, unit : unit cell, and the length that sizes count, Å
    defects : taken in turn
    size : of cells with several defects
    alone : size of the cell for single cores
    counts, separations : n_D and L_D of grids, as far as they fit
    lattices : L_D of cells with one defect, whose images are the others
    scattered : n_D of random arrangements
    seeds : of those
    dimension : d
    """

    crystal: Atoms
    unit: float
    defects: tuple[Any, ...]
    size: int
    alone: int
    counts: tuple[int, ...]
    separations: tuple[int, ...]
    lattices: tuple[int, ...] = ()
    scattered: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    dimension: int = 2

    def of(self, n_defects: int) -> list[Any]:
        """Return the defects of a cell."""
        return [self.defects[k % len(self.defects)] for k in range(n_defects)]


FAR = (4, 6, 8, 12, 18, 24)
COUNTS = (2, 4, 9, 16)
WIDE = (4, 6, 8, 12, 18, 24, 36)
SEEDS = (0, 1, 2, 3, 4)
TUNGSTEN = bulk("W", cubic=True, a=3.1648)
SYSTEMS = {
    "vacancy": System(SHEET, 2.72711, (Vacancy(),), 72, 120, COUNTS, FAR, WIDE, (4,), SEEDS),
    "interstitial": System(SHEET, 2.72711, (HOLLOW,), 72, 120, COUNTS, FAR, WIDE, (4,), SEEDS[:2]),
    "mixed": System(SHEET, 2.72711, (Vacancy(), HOLLOW), 72, 120, (4,), FAR[1:]),
    "tungsten": System(
        TUNGSTEN, 3.1648, (Vacancy(),), 12, 18, (2, 4), (3, 4, 6), (3, 4, 6, 8, 10, 12), dimension=3
    ),
}


@dataclass(frozen=True)
class Setting:
    """One arrangement, `separation` is L_D; or ("decay") a shell around the single core, `separation` its radius."""

    case: str
    arrangement: str
    n_defects: int
    separation: int
    seed: int


@dataclass(frozen=True)
class Record(Setting):
    """One arrangement, or one shell of sites around a single core; lengths in Å, bond norms.

    `distance` is L_D as built, or the shell's radius, in unit lengths; `norm` is ||Du||, or the root mean square of
    |Du(l)| over the shell; `rest` what superposed, truncated cores leave; `whole` what fields without a cut-off leave;
    `stability` the smallest eigenvalue of the Hessian in the bond norm, eV/Å^2, but for random ones. nan where there is
    none.
    """

    n_atoms: int
    distance: float
    converged: bool
    steps: int
    norm: float
    rest: float
    whole: float
    stability: float


def settings_of(systems: dict[str, System]) -> list[Setting]:
    """Return all settings: decays, lattices, grids as far as they fit into the cell, scattered ones."""
    found = []
    for name, system in systems.items():
        if len(system.defects) == 1:
            found += [Setting(name, DECAY, 1, r, 0) for r in range(1, int(0.35 * system.alone) + 1)]
        found += [Setting(name, LATTICE, 1, L, 0) for L in system.lattices]
        for n in system.counts:
            edge = int(np.ceil(np.sqrt(n) - 1e-9))
            found += [Setting(name, GRID, n, L, 0) for L in system.separations if edge * L <= system.size]
        found += [
            Setting(name, RANDOM, n, L, seed) for n in system.scattered for L in system.separations
            for seed in system.seeds
        ]  # fmt: skip
    return found


@dataclass(frozen=True)
class Cores:
    """Single cores of a system, relaxed.

    Attributes
    ----------
    cells : unrelaxed and relaxed large cell, one a defect
    fields : of those
    whole : fields of cells as large as those with several defects
    """

    cells: tuple[tuple[Atoms, Relaxation], ...]
    fields: tuple[CoreField, ...]
    whole: tuple[CoreField, ...]

    @cached_property
    def strain_i(self) -> npt.NDArray[np.float64]:
        """Return |Du(l)| of the first cell's sites, Å."""
        atoms, found = self.cells[0]
        return site_strains(bonds(atoms), found.atoms.positions - atoms.positions)


def compute(
    settings: Sequence[Setting], context: Context, systems: dict[str, System]
) -> Iterator[list[Record]]:
    """Relax single cores once a system, then every arrangement, from superposed cores."""
    known: dict[str, Cores] = {}
    for setting in settings:
        system = systems[setting.case]
        if setting.case not in known:
            known[setting.case] = cores_of(system)
        if setting.arrangement == DECAY:
            cores = known[setting.case]
            yield [shell(setting, system.unit, *cores.cells[0], cores.strain_i)]
        else:
            yield [arranged(setting, system, known[setting.case])]


def cores_of(system: System) -> Cores:
    """Relax the large cell of each defect, and from there the smaller one.

    An interstitial that breaks its site's symmetry so does it in the same direction everywhere.

    Raises
    ------
    RelaxationError
        One does not reach `FMAX`.
    """
    cells, fields, whole = [], [], []
    for defect in system.defects:
        atoms = simulation_cell(system.crystal, [defect], system.alone, 1)
        cells.append((atoms, relax(atoms, EAM2D(), fmax=FMAX, strict=True)))
        fields.append(core_field(atoms, cells[-1][1].atoms))
        smaller = simulation_cell(system.crystal, [defect], system.size, 1)
        start = displaced(smaller, superposed(smaller, fields[-1:], 0.5 * closest_cores(smaller)))
        whole.append(core_field(smaller, relax(start, EAM2D(), fmax=FMAX, strict=True).atoms))
    return Cores(tuple(cells), tuple(fields), tuple(whole))


def displaced(atoms: Atoms, u_ic: Any) -> Atoms:
    """Return a copy that is displaced, Å."""
    moved = atoms.copy()
    moved.positions += u_ic
    return moved


def shell(setting: Setting, unit: float, atoms: Atoms, relaxed: Relaxation, strain_i: Any) -> Record:
    """Measure |Du(l)| of a single core in a shell of a unit length: the root mean square over its sites."""
    r = core_distances(atoms)
    assert r is not None
    here = np.abs(r / unit - setting.separation) <= 0.5
    rms = float(np.sqrt(np.mean(strain_i[here] ** 2)))
    return Record(**vars(setting), n_atoms=len(atoms), distance=float(setting.separation), converged=relaxed.converged,
                  steps=relaxed.steps, norm=rms, rest=NAN, whole=NAN, stability=NAN)  # fmt: skip


def arranged(setting: Setting, system: System, cores: Cores) -> Record:
    """Relax one arrangement and compare it with superposed cores."""
    atoms = cell_of(setting, system)
    closest, turns = closest_cores(atoms), [k % len(cores.fields) for k in range(setting.n_defects)]
    truncated = superposed(atoms, [cores.fields[k] for k in turns], 0.5 * closest)
    start, whole = truncated, np.full_like(truncated, NAN)
    if setting.arrangement != LATTICE:
        start = whole = superposed(atoms, [cores.whole[k] for k in turns], None)  # nearer: half the steps
    found = relax(displaced(atoms, start), EAM2D(), fmax=FMAX)
    links, u_ic = bonds(atoms), found.atoms.positions - atoms.positions
    made: dict[str, Any] = dict.fromkeys(("norm", "rest", "whole", "stability"), NAN)
    if found.converged:
        for name, other in (("norm", 0.0), ("rest", truncated), ("whole", whole)):
            made[name] = strain_norm(links, u_ic - other)
        if setting.arrangement != RANDOM:
            made["stability"] = stability_constant(analytic_hessian(found.atoms, EAM2D()), links).value
    return Record(**vars(setting), n_atoms=len(atoms), distance=closest / system.unit, converged=found.converged,
                  steps=found.steps, **made)  # fmt: skip


def cell_of(setting: Setting, system: System) -> Atoms:
    """Build the cell of an arrangement."""
    places = None
    if setting.arrangement == RANDOM:
        places = scattered(system, setting.n_defects, setting.separation, setting.seed)
    size = setting.separation if setting.arrangement == LATTICE else system.size
    return simulation_cell(system.crystal, system.of(setting.n_defects), size, setting.separation, places)


def scattered(system: System, n_defects: int, separation: int, seed: int) -> list[list[int]]:
    """Choose lattice translations at random: each next core between L_D and L_D + 1 from one that is there.

    So the cores are about as close as L_D allows, which is what the theorem's bound is about. In a plane.
    """
    lattice = triangular_primitive(system.crystal) or system.crystal
    vectors, size = np.asarray(lattice.cell.complete()), (system.size, system.size, 1)
    rng = np.random.default_rng([seed, separation, n_defects])
    reach = np.arange(-separation - 2, separation + 3) * 2
    steps = np.array([(i, j, 0) for i in reach // 2 for j in reach // 2])
    lengths = np.linalg.norm(steps @ vectors, axis=1) / system.unit
    steps = steps[(lengths > separation - 1e-6) & (lengths < separation + 1)]
    for _ in range(20):
        places = np.zeros((1, 3), dtype=int)
        for _ in range(20 * n_defects):
            more = places[rng.integers(len(places))] + steps[rng.integers(len(steps))]
            tried = np.concatenate([places, [more]])
            if closest_approach(tried @ vectors, lattice, size) > (separation - 1e-6) * system.unit:
                places = tried
            if len(places) == n_defects:
                return [[int(x) for x in place] for place in places]
    raise ValueError(f"{n_defects} cores do not fit {system.size} at random, {separation} apart; take fewer")


def study_of(systems: dict[str, System]) -> Study:
    """Return the study of some systems, by name."""
    return Study(
        "theorem21", "superposed cores against equilibria with many defects: Theorem 2.1", Setting, Record,
        lambda protocol: settings_of(systems),
        lambda settings, context: compute(settings, context, systems),
        lambda records: table(records, {name: system.dimension for name, system in systems.items()}),
        (DEFAULT,), 3, "half an hour",
    )  # fmt: skip


STUDY = study_of(SYSTEMS)
