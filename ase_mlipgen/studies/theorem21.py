"""Theorem 2.1 of Ortner and Wang: equilibria of cells with several defects exist, and what they are made of.

The equilibrium of cores at least L_D apart is the sum of single cores, each cut off at L_D / 2, and a rest with
||D rest|| <= C sqrt(n_D) L_D^(-d/2), (2.4) and (2.5); a single core decays as |Du(l)| <= C (1 + |l|)^(-d), (6.11).
Relaxations begin at the superposed cores; no surrogate is involved. There is one record an arrangement, and for the
decay one a shell of sites. Also measured, though the theorem does not say it: the rest without any cut-off, whole
fields of a single defect in the same cell superposed, which is how cores change one another. Enter at `STUDY`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.defects import Relaxation, Vacancy, relax, simulation_cell
from ase_mlipgen.defects.arrangement import closest_approach
from ase_mlipgen.defects.lattices import triangular_primitive
from ase_mlipgen.studies.cases import HOLLOW, SHEET
from ase_mlipgen.studies.confidence import Estimate, exponents
from ase_mlipgen.studies.study import DEFAULT, Context, Study, Table
from ase_mlipgen.theory.cell_hessian import analytic_hessian
from ase_mlipgen.theory.compare import core_distances
from ase_mlipgen.theory.norms import bonds, site_strains, strain_norm
from ase_mlipgen.theory.operator_norms import stability_constant
from ase_mlipgen.theory.superposition import CoreField, closest_cores, core_field, superposed

FMAX = 1e-6
"""eV/Å."""
NAN = float("nan")
GRID, RANDOM, DECAY = "grid", "random", "decay"


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
    scattered: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    dimension: int = 2

    def of(self, n_defects: int) -> list[Any]:
        """Return the defects of a cell."""
        return [self.defects[k % len(self.defects)] for k in range(n_defects)]


FAR = (4, 6, 8, 12, 18, 24)
COUNTS = (1, 2, 4, 9, 16)
TUNGSTEN = bulk("W", cubic=True, a=3.1648)
SYSTEMS = {
    "vacancy": System(SHEET, 2.72711, (Vacancy(),), 72, 120, COUNTS, FAR, (4,), (0, 1, 2, 3, 4)),
    "interstitial": System(SHEET, 2.72711, (HOLLOW,), 72, 120, COUNTS, FAR, (4,), (0, 1, 2, 3, 4)),
    "mixed": System(SHEET, 2.72711, (Vacancy(), HOLLOW), 72, 120, (4,), FAR[1:]),
    "tungsten": System(TUNGSTEN, 3.1648, (Vacancy(),), 12, 14, (1, 2, 4, 8), (2, 3, 4, 6), dimension=3),
}


@dataclass(frozen=True)
class Setting:
    """One arrangement, or ("decay") the single core of a system with one defect."""

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
    `stability` the smallest eigenvalue of the Hessian in the bond norm, eV/Å^2, of grids. nan where there is none.
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
    """Return all settings: grids as far as they fit into the cell, scattered ones, decays."""
    found = []
    for name, system in systems.items():
        if len(system.defects) == 1:
            found.append(Setting(name, DECAY, 1, 0, 0))
        for n in system.counts:
            edge = round(n ** (1.0 / system.dimension) + 0.499)
            found += [
                Setting(name, GRID, n, L, 0)
                for L in system.separations
                if n == 1 or max(edge, 2) * L <= system.size
            ]
        found += [
            Setting(name, RANDOM, n, L, seed) for n in system.scattered for L in system.separations
            for seed in system.seeds
        ]  # fmt: skip
    return found


def compute(
    settings: Sequence[Setting], context: Context, systems: dict[str, System]
) -> Iterator[list[Record]]:
    """Relax single cores once a system, then every arrangement, from superposed cores."""
    known: dict[tuple[str, int], list[tuple[Atoms, Relaxation]]] = {}

    def alone(name: str, size: int) -> list[tuple[Atoms, Relaxation]]:
        if (name, size) not in known:
            known[name, size] = [single(systems[name], defect, size) for defect in systems[name].defects]
        return known[name, size]

    for setting in settings:
        system = systems[setting.case]
        if setting.arrangement == DECAY:
            yield list(shells(setting, system, *alone(setting.case, system.alone)[0]))
        else:
            yield [arranged(setting, system, partial(alone, setting.case))]


def single(system: System, defect: Any, size: int) -> tuple[Atoms, Relaxation]:
    """Relax a cell with one defect.

    Raises
    ------
    RelaxationError
        It does not reach `FMAX`.
    """
    atoms = simulation_cell(system.crystal, [defect], size, 1)
    return atoms, relax(atoms, EAM2D(), fmax=FMAX, strict=True)


def shells(setting: Setting, system: System, atoms: Atoms, relaxed: Relaxation) -> Iterator[Record]:
    """Measure |Du(l)| in shells of a unit length around a single core, out to 0.35 of the cell."""
    strain = site_strains(bonds(atoms), relaxed.atoms.positions - atoms.positions)
    found = core_distances(atoms)
    assert found is not None
    r = found / system.unit
    for radius in range(1, int(0.35 * system.alone) + 1):
        here = np.abs(r - radius) <= 0.5
        if here.any():
            rms = float(np.sqrt(np.mean(strain[here] ** 2)))
            yield Record(**vars(setting), n_atoms=len(atoms), distance=float(radius), converged=relaxed.converged,
                         steps=relaxed.steps, norm=rms, rest=NAN, whole=NAN, stability=NAN)  # fmt: skip


def arranged(
    setting: Setting, system: System, alone: Callable[[int], list[tuple[Atoms, Relaxation]]]
) -> Record:
    """Relax one arrangement and compare it with superposed cores."""
    atoms = cell_of(setting, system)
    closest = closest_cores(atoms)
    truncated, whole = (
        superposed(atoms, fields_of(setting, alone(size)), radius)
        for size, radius in ((system.alone, 0.5 * closest), (system.size, None))
    )
    start = atoms.copy()
    start.positions += whole  # nearer than the truncated ones: half the steps
    found = relax(start, EAM2D(), fmax=FMAX)
    links, u_ic = bonds(atoms), found.atoms.positions - atoms.positions
    made: dict[str, Any] = {"norm": NAN, "rest": NAN, "whole": NAN, "stability": NAN}
    if found.converged:
        made |= {
            "norm": strain_norm(links, u_ic),
            "rest": strain_norm(links, u_ic - truncated),
            "whole": strain_norm(links, u_ic - whole),
        }
    if found.converged and setting.arrangement == GRID:
        made["stability"] = stability_constant(analytic_hessian(found.atoms, EAM2D()), links).value
    return Record(**vars(setting), n_atoms=len(atoms), distance=closest / system.unit, converged=found.converged,
                  steps=found.steps, **made)  # fmt: skip


def fields_of(setting: Setting, cells: Sequence[tuple[Atoms, Relaxation]]) -> list[CoreField]:
    """Return the field of every core of an arrangement."""
    fields = [core_field(atoms, found.atoms) for atoms, found in cells]
    return [fields[k % len(fields)] for k in range(setting.n_defects)]


def cell_of(setting: Setting, system: System) -> Atoms:
    """Build the cell of an arrangement."""
    places = None
    if setting.arrangement == RANDOM:
        places = scattered(system, setting.n_defects, setting.separation, setting.seed)
    return simulation_cell(
        system.crystal, system.of(setting.n_defects), system.size, setting.separation, places
    )


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
    for _ in range(1000):
        places = np.zeros((1, 3), dtype=int)
        for _ in range(50 * n_defects):
            more = places[rng.integers(len(places))] + steps[rng.integers(len(steps))]
            tried = np.concatenate([places, [more]])
            if closest_approach(tried @ vectors, lattice, size) > (separation - 1e-6) * system.unit:
                places = tried
            if len(places) == n_defects:
                return [[int(x) for x in place] for place in places]
    raise ValueError(f"{n_defects} cores do not fit {system.size} at random, {separation} apart; take fewer")


def rates(dimension: int, what: str) -> tuple[str, str]:
    """Return the exponents of L_D (or the distance) and n_D that theory has, as text."""
    return {"rest": (f"{-dimension / 2:g}", "0.5"), "decay": (f"{-dimension:g}", "-")}.get(what, ("-", "-"))


def summarise(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Fit the exponents.

    Returns
    -------
    list of dict
        For each case and arrangement, and for "rest" and "whole" of the cores and the "decay": "values", means over
        what has that distance by n_defects; "distance" and "count", the exponents of L_D (or of the distance from the
        core, from 3 lengths on) and of n_D as `Estimate`, None where nothing determines one; "n", how many; "lost",
        arrangements that did not converge; "softest", the smallest stability constant.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.case, record.arrangement), []).append(record)
    found = []
    for (case, arrangement), own in groups.items():
        kinds = ("decay",) if arrangement == DECAY else ("rest", "whole")
        found += [
            {"case": case, "arrangement": arrangement, "what": what, **_summary(own, what)} for what in kinds
        ]
    return found


def _summary(records: Sequence[Record], what: str) -> dict[str, Any]:
    name = "norm" if what == DECAY else what
    # A single core superposed from the same cell leaves round-off.
    good = [r for r in records if r.converged and not (what == "whole" and r.n_defects == 1)]
    used = [r for r in good if what != DECAY or r.distance >= 3]
    y, L, n = (np.array([getattr(r, x) for r in used]) for x in (name, "distance", "n_defects"))
    distance: Estimate | None = None
    count: Estimate | None = None
    if len(set(n)) > 1 and len(set(L)) > 1:
        distance, count = exponents(y, L, n)
    elif len(set(L)) > 2:
        (distance,) = exponents(y, L)
    return {
        "values": {
            m: {
                D: float(
                    np.mean([getattr(r, name) for r in good if (r.n_defects, round(r.distance)) == (m, D)])
                )
                for D in sorted({round(r.distance) for r in good if r.n_defects == m})
            }
            for m in sorted({r.n_defects for r in good})
        },
        "distance": distance,
        "count": count,
        "n": len(used),
        "lost": sum(not r.converged for r in records),
        "softest": min((r.stability for r in good if np.isfinite(r.stability)), default=NAN),
    }


def table(records: Sequence[Record], dimensions: dict[str, int]) -> Table:
    """Return head and rows: values by distance, exponents beside the theory's."""
    shown = (2, 3, *FAR)
    head = ["case", "what, Å", "cores", "n_D", *map(str, shown), "slope", "theory", "in n_D", "theory"]
    rows = []
    for s in summarise(records):
        line = [s["case"], {"decay": "|Du|", "rest": "rest", "whole": "rest, whole fields"}[s["what"]]]
        theory = rates(dimensions[s["case"]], s["what"])
        last = list(s["values"])[-1:]
        for n, values in s["values"].items():
            numbers = [f"{values[D]:.2e}" if D in values else "-" for D in shown]
            where = "alone" if s["arrangement"] == DECAY else s["arrangement"]
            fits = (
                [_text(s["distance"]), theory[0], _text(s["count"]), theory[1]]
                if [n] == last
                else ["", "", "", ""]
            )
            rows.append([*line, where, str(n), *numbers, *fits])
    return head, rows


def _text(estimate: Estimate | None) -> str:
    return "-" if estimate is None else str(estimate)


def study_of(systems: dict[str, System]) -> Study:
    """Return the study of some systems, by name."""
    return Study(
        "theorem21", "superposed cores against equilibria with many defects: Theorem 2.1", Setting, Record,
        lambda protocol: settings_of(systems),
        lambda settings, context: compute(settings, context, systems),
        lambda records: table(records, {name: system.dimension for name, system in systems.items()}),
        (DEFAULT,), 3, "20 minutes",
    )  # fmt: skip


STUDY = study_of(SYSTEMS)
