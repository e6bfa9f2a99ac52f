"""The error of a model on a large cell, from one or two labels a core: no reference calculation on the large cell.

The surrogate relaxes the large cell to u~. The reference's force there is approximated: near a core, by that on the
training cell with u~ transplanted into it, under u~'s mean strain; elsewhere, by the difference of the homogeneous
force constants. With g these forces and H~ the surrogate's Hessian, one solve H~ x = g gives the correction x, so that

    geometry error   ||D x||
    energy error     (E~ - E)(u~) - (E~ - E)(0) + g.x / 2

where (E~ - E) of a core is the defective training cell, transplanted less unrelaxed, less the same of the perfect
crystal under the strain alone, less the quadratic energy of the displacements, which the far field counts everywhere.
Source of the setting: Ortner and Wang, Sec. 3; the certificate is not in their paper. No fitted constant.
Cost: the surrogate's relaxation, two labels for each class of equivalent cores, some forty Hessian products.
Enter at `certify`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import Guards, Relaxation, is_planar, nearest_distances, potential_energy, relax
from ase_mlipgen.labels import LabelledCell, LabelStore, as_factory, label
from ase_mlipgen.theory.certificate import Certificate, Share
from ase_mlipgen.theory.compare import formation_energy
from ase_mlipgen.theory.cores import Core, cluster_cell, clusters, find_cores
from ase_mlipgen.theory.correction import Response, UnstableError
from ase_mlipgen.theory.equivalence import Image, classes
from ase_mlipgen.theory.far_field import Stencil, difference_stencil
from ase_mlipgen.theory.force_constants import ForceConstants, force_constants
from ase_mlipgen.theory.intervals import SOURCE, interval
from ase_mlipgen.theory.norms import DualNorm, bonds, laplacian, site_strains
from ase_mlipgen.theory.sites import Primitive, Sites, host_sites, on_all_sites, primitive
from ase_mlipgen.theory.transplant import TrainedCore, Transplant, spread, trained_core, transplant

Floats = npt.NDArray[np.float64]

USABLE_WIDTH = 5.9
"""Nearest-neighbour distances: training cells this wide (L = 7 of the triangular lattice) give a corrected geometry
that is better than the surrogate's; in narrower ones the norm of the correction is right, its field is not."""


class Trained(Protocol):
    """What is needed of a training cell."""

    @property
    def defect(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102
    @property
    def unrelaxed(self) -> Atoms: ...  # noqa: D102
    @property
    def perfect(self) -> Atoms: ...  # noqa: D102


@dataclass(frozen=True)
class Labelling:
    """How the reference is asked.

    Attributes
    ----------
    reference : calculator or factory
    executor, store, tag : as in `ase_mlipgen.labels.label`
    progress : callable (labels done, in all)
    """

    reference: Any
    executor: Executor | None = None
    store: LabelStore | None = None
    tag: str | None = None
    progress: Callable[[int, int], None] | None = None

    def __call__(self, cells: Sequence[Atoms]) -> list[LabelledCell]:
        """Label cells whose info says what they are."""
        jobs = [(a, a.info.get("config_type", "defect"), a.info.get("defect", "")) for a in cells]
        return label(
            jobs, self.reference, self.executor, progress=self.progress, store=self.store, tag=self.tag
        )


@dataclass(eq=False)
class _Setting:
    """The large cell, its lattice and what was trained."""

    atoms: Atoms
    surrogate: Any
    host: Primitive
    sites: Sites
    trained: list[TrainedCore]
    cores: list[Core]
    perfect: Atoms
    size: int
    times: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.times[stage] = self.times.get(stage, 0.0) + time.perf_counter() - begun


@dataclass(frozen=True, eq=False)
class _Moved:
    """All cores in their training cells, labelled: model differences, surrogate's minus reference's."""

    transplants: list[Transplant]
    images: list[Image]
    energies: list[float]
    forces: list[Floats]
    unrelaxed_formation: list[float]
    cells: list[LabelledCell]
    label_of: list[int]


def certify(
    labelling: Labelling,
    surrogate: Any,
    cells: Sequence[Trained],
    atoms: Atoms,
    *,
    constants: ForceConstants | None = None,
    fmax: float = 1e-5,
    optimizer: Callable[..., Any] | None = None,
    mu: Mapping[str, float] | None = None,
    guards: Guards | None = None,
    steps: int = 1000,
    progress: Callable[[int, float, float], None] | None = None,
    relaxed: Relaxation | None = None,
) -> Certificate:
    """Predict the errors of a surrogate on a large cell.

    Parameters
    ----------
    labelling : how to ask the reference
    surrogate : ASE calculator, the trained model
    cells : training cells; of each defect the one with most atoms is used
    atoms : the large cell, unrelaxed; `info["defect_centres"]` (Å) if it was made by `simulation_cell`
    constants : the reference's force constants of the largest perfect training cell; computed if not given
    fmax : eV/Å, tolerance of the surrogate's relaxation
    mu : eV an atom, chemical potentials of foreign elements, for formation energies
    relaxed : the surrogate's relaxation of `atoms`, where it is known already

    Returns
    -------
    Certificate
        Its `verdict` says "diverged" or "unstable" where there are no numbers.

    Raises
    ------
    UnknownCoreError
        A core is none of the training defects.
    ValueError
        The cell is not made of the crystal, or not unrelaxed.
    LabelError
        The reference fails.
    """
    setting = _setting(surrogate, cells, atoms)
    found = relaxed or relax(atoms, surrogate, optimizer, fmax, steps, guards, progress)
    setting.times["relaxation by the model"] = found.wall_time
    if not found.converged:
        return _without_numbers(setting, found, "diverged", f"the model's relaxation failed: {found.failure}")
    u_ic = found.atoms.positions - atoms.positions
    u_sc = on_all_sites(setting.sites, u_ic)
    perfect = _largest(cells).perfect
    with setting.timed("force constants"):
        stencil = _stencil(setting, perfect, labelling, constants)
    with setting.timed("labels"):
        moved = _labelled(setting, labelling, perfect, u_sc, u_ic)
    with setting.timed("far field"):
        pieces = _pieces(setting, stencil, moved, u_sc)
    try:
        with setting.timed("linear solve"):
            answer = _solved(setting, found.atoms, pieces)
    except UnstableError as error:
        return _without_numbers(setting, found, "unstable", str(error))
    return _certificate(setting, found, moved, pieces, answer, mu)


def _largest(cells: Sequence[Trained], defect: str | None = None) -> Trained:
    own = [cell for cell in cells if defect in (None, cell.defect)]
    return max(own, key=lambda cell: len(cell.perfect))


def _setting(surrogate: Any, cells: Sequence[Trained], atoms: Atoms) -> _Setting:
    host = primitive(_largest(cells).perfect)
    sites = host_sites(host, atoms)
    names = list(dict.fromkeys(cell.defect for cell in cells))
    trained = [trained_core(name, _largest(cells, name).unrelaxed, host) for name in names]
    perfect = Atoms(
        numbers=host.numbers_b[sites.sublattice_s],
        positions=sites.positions_sc,
        cell=atoms.cell,
        pbc=atoms.pbc,
    )
    cores = find_cores(atoms, sites, host, trained)
    return _Setting(atoms, surrogate, host, sites, trained, cores, perfect, _largest(cells).size)


def _stencil(
    setting: _Setting, perfect: Atoms, labelling: Labelling, constants: ForceConstants | None
) -> Stencil:
    if constants is None:
        constants = force_constants(perfect, as_factory(labelling.reference)())
    own = force_constants(perfect, setting.surrogate)
    return difference_stencil(setting.host, perfect, own, constants)


def _labelled(setting: _Setting, labelling: Labelling, perfect: Atoms, u_sc: Floats, u_ic: Floats) -> _Moved:
    """Transplant every core, label one of each class and take the model's difference from the labels."""
    transplants = [
        transplant(setting.trained[core.kind], core.centre, setting.atoms, setting.sites, u_sc, u_ic)
        for core in setting.cores
    ]
    images = classes(transplants)
    firsts = sorted({image.of for image in images})
    kinds = sorted({core.kind for core in setting.cores})
    unrelaxed = [_tagged(setting.trained[k].cell, "defect", setting.trained[k].name) for k in kinds]
    wanted = [_tagged(transplants[k].defective(), "defect", transplants[k].core.name) for k in firsts]
    strained = [_tagged(transplants[k].strained_host(), "perfect", "") for k in firsts]
    found = labelling([*wanted, *strained, *unrelaxed, _tagged(perfect, "perfect", "")])
    energies, forces = zip(*(_difference(setting.surrogate, cell) for cell in found), strict=True)
    n = len(firsts)
    bulk = energies[-1] / len(perfect)
    of_kind = dict(zip(kinds, energies[2 * n : -1], strict=True))
    e_k, f_k, formation = [], [], []
    for core, image, moved in zip(setting.cores, images, transplants, strict=True):
        k, n_sites = firsts.index(image.of), len(moved.core.perfect)
        e_k.append(energies[k] - of_kind[core.kind] - (energies[n + k] - bulk * n_sites))
        f_k.append(image.forces(forces[k]))
        formation.append(of_kind[core.kind] - bulk * _host_atoms(setting.host, moved.core))
    return _Moved(
        transplants, images, e_k, f_k, formation, found[: 2 * n], [firsts.index(i.of) for i in images]
    )


def _host_atoms(host: Primitive, core: TrainedCore) -> int:
    """Atoms whose energy in the host a formation energy counts: those of the host's element; all sites if several."""
    elements = np.unique(host.numbers_b)
    if len(elements) > 1:
        return len(core.perfect)
    return int(np.sum(core.cell.numbers == elements[0]))


def _difference(surrogate: Any, cell: LabelledCell) -> tuple[float, Floats]:
    """Energy and forces, surrogate's minus reference's."""
    probe = cell.atoms.copy()
    probe.calc = surrogate
    return potential_energy(probe) - cell.energy, np.array(probe.get_forces()) - cell.forces


def _tagged(atoms: Atoms, config_type: str, defect: str) -> Atoms:
    copy = atoms.copy()
    copy.info = {**atoms.info, "config_type": config_type, "defect": defect}
    return copy


@dataclass(frozen=True, eq=False)
class _Piece:
    """What one core, or the far field, adds: reference's force at u~ (n_atoms, 3), energy difference (eV)."""

    forces: Floats
    relaxation: float
    unrelaxed: float


def _pieces(setting: _Setting, stencil: Stencil, moved: _Moved, u_sc: Floats) -> list[_Piece]:
    """Give forces and energies of every core, the far field last; a site belongs to the cores whose images cover it."""
    sites, n_atoms = setting.sites, len(setting.atoms)
    far_sc, far_energy_s = stencil.apply(stencil.targets(sites), u_sc)
    targets = {id(core): stencil.targets(core.sites) for core in setting.trained}
    left_s = np.ones(len(u_sc))
    pieces = []
    for transplanted, energy, difference, unrelaxed in zip(
        moved.transplants, moved.energies, moved.forces, moved.unrelaxed_formation, strict=True
    ):
        core = transplanted.core
        own_sc, own_energy_s = stencil.apply(targets[id(core)], transplanted.u_sc, transplanted.strain)
        _, strain_energy_s = stencil.apply(
            targets[id(core)], np.zeros_like(transplanted.u_sc), transplanted.strain
        )
        f_sc = np.zeros_like(own_sc)
        occupied = np.flatnonzero(core.sites.atom_s >= 0)
        f_sc[occupied] = -difference[core.sites.atom_s[occupied]] - own_sc[occupied]
        forces = spread(transplanted, f_sc, -difference[core.sites.added_i], sites, n_atoms)
        share_s = np.zeros(len(u_sc))
        np.add.at(share_s, transplanted.large_site_m, core.weight_m)
        share_s = np.minimum(share_s, left_s)
        left_s = left_s - share_s
        forces += _on_atoms(sites, share_s[:, None] * far_sc, n_atoms)
        quadratic = float(np.sum(own_energy_s - strain_energy_s))
        pieces.append(_Piece(forces, energy - quadratic + float(share_s @ far_energy_s), unrelaxed))
    rest = _on_atoms(sites, left_s[:, None] * far_sc, n_atoms)
    return [*pieces, _Piece(rest, float(left_s @ far_energy_s), 0.0)]


def _on_atoms(sites: Sites, f_sc: Floats, n_atoms: int) -> Floats:
    f_ic = np.zeros((n_atoms, 3))
    occupied = np.flatnonzero(sites.atom_s >= 0)
    f_ic[sites.atom_s[occupied]] = f_sc[occupied]
    return f_ic


@dataclass(frozen=True, eq=False)
class _Answer:
    """The correction, its size at every site, each piece's share of norm and energy, and what fmax left."""

    x_ic: Floats
    strain_i: Floats
    geometry_p: list[float]
    relaxation_p: list[float]
    resolution: float


def _solved(setting: _Setting, relaxed: Atoms, pieces: list[_Piece]) -> _Answer:
    dual = DualNorm(bonds(setting.atoms))
    response = Response(setting.surrogate, relaxed, dual)
    g_ic = np.sum([piece.forces for piece in pieces], axis=0)
    x_ic = response.solve(g_ic)
    strain_i = site_strains(dual.bonds, x_ic)
    size = float(np.linalg.norm(strain_i))
    # ||Dx||^2 = x'Kx = (H^-1 K x)'g, linear in g: so every piece of g has its share of the norm.
    y_ic = response.solve(laplacian(dual.bonds) @ x_ic) if size > 0.0 else x_ic
    geometry = [float(np.sum(y_ic * piece.forces)) / size if size > 0.0 else 0.0 for piece in pieces]
    relaxation = [piece.relaxation + 0.5 * float(np.sum(x_ic * piece.forces)) for piece in pieces]
    left_ic = response.solve(np.array(_with(relaxed, setting.surrogate).get_forces()))
    return _Answer(
        x_ic, strain_i, geometry, relaxation, float(np.linalg.norm(site_strains(dual.bonds, left_ic)))
    )


def _certificate(
    setting: _Setting,
    found: Relaxation,
    moved: _Moved,
    pieces: list[_Piece],
    answer: _Answer,
    mu: Mapping[str, float] | None,
) -> Certificate:
    relaxing = float(sum(answer.relaxation_p))
    errors = {
        "geometry": float(np.linalg.norm(answer.strain_i)),
        "relaxation": relaxing,
        "formation": relaxing + sum(piece.unrelaxed for piece in pieces),
    }
    corrected = found.atoms.copy()
    corrected.positions += answer.x_ic
    host_energy = potential_energy(_with(setting.perfect, setting.surrogate))
    forming = formation_energy(found.energy, setting.atoms, setting.perfect, host_energy, mu)
    groups = clusters(setting.cores, setting.trained, setting.atoms)
    width, planar = _width(setting.trained), is_planar(setting.atoms)
    usable = width >= USABLE_WIDTH
    intervals = {kind: interval(kind, error, width, planar) for kind, error in errors.items()}
    return Certificate(
        geometry_error=errors["geometry"],
        relaxation_energy_error=errors["relaxation"],
        formation_energy_error=errors["formation"],
        geometry_interval=intervals["geometry"],
        relaxation_energy_interval=intervals["relaxation"],
        formation_energy_interval=intervals["formation"],
        shares=_shares(setting, moved, pieces, answer),
        corrected_relaxation_energy=found.energy - found.initial_energy - errors["relaxation"],
        corrected_formation_energy=None if forming is None else forming - errors["formation"],
        start=setting.atoms.copy(),
        relaxed=found.atoms,
        corrected=corrected,
        corrected_geometry_usable=usable,
        resolution=answer.resolution,
        site_error_i=answer.strain_i,
        transplants=tuple(moved.cells),
        size=setting.size,
        n_labels=len(moved.cells),
        verdict="overlapping" if groups else "ok",
        notes=_notes(setting, groups, usable, errors["geometry"], answer.resolution),
        clusters=tuple(
            cluster_cell(group, setting.cores, setting.atoms, setting.sites, setting.host) for group in groups
        ),
        wall_times=dict(setting.times),
        interval_source=SOURCE,
    )


def _shares(setting: _Setting, moved: _Moved, pieces: list[_Piece], answer: _Answer) -> tuple[Share, ...]:
    shares, geometry, relaxation = [], answer.geometry_p, answer.relaxation_p
    for k, core in enumerate(setting.cores):
        x, y, z = (float(c) for c in core.centre)
        name = setting.trained[core.kind].name
        forming = relaxation[k] + pieces[k].unrelaxed
        shares.append(Share(name, k, (x, y, z), geometry[k], relaxation[k], forming, moved.label_of[k]))
    shares.append(Share("far field", -1, None, geometry[-1], relaxation[-1], relaxation[-1], -1))
    return tuple(shares)


def _width(trained: Sequence[TrainedCore]) -> float:
    """Shortest vector of the narrowest training cell, in nearest-neighbour distances of the host."""
    return min(core.reach / float(np.median(nearest_distances(core.perfect))) for core in trained)


def _notes(
    setting: _Setting, groups: Sequence[Sequence[int]], usable: bool, geometry: float, resolution: float
) -> tuple[str, ...]:
    notes = []
    for group in groups:
        reach = max(setting.trained[setting.cores[k].kind].reach for k in group)
        notes.append(
            f"cores {', '.join(map(str, group))} stand closer than the training cell's reach of {reach:.1f} Å: outside "
            "the theory; the numbers leave out what is new in their overlap. Train the cluster as a defect of its own "
            "(`clusters` holds it ready-made)"
        )
    if 0.0 < geometry < resolution:
        notes.append(
            f"the model's relaxation stopped {resolution:.1e} Å (bond norm) from its minimum, further than the "
            "predicted error: relax with a smaller fmax to make use of so good a model"
        )
    if not usable:
        notes.append(
            f"the training cell is {_width(setting.trained):.1f} nearest-neighbour distances wide, less than "
            f"{USABLE_WIDTH}: use the corrected energies, not the corrected geometry"
        )
    return tuple(notes)


def _with(atoms: Atoms, calculator: Any) -> Atoms:
    probe = atoms.copy()
    probe.calc = calculator
    return probe


def _without_numbers(setting: _Setting, found: Relaxation, verdict: str, note: str) -> Certificate:
    nan = float("nan")
    finite = bool(np.all(np.isfinite(found.atoms.positions)))
    last = found.atoms if finite else setting.atoms.copy()
    return Certificate(
        nan, nan, nan, (nan, nan), (nan, nan), (nan, nan), (), nan, None,
        setting.atoms.copy(), last, last.copy(), False, nan, np.full(len(setting.atoms), nan), (),
        setting.size, 0, verdict, (note,), (), dict(setting.times), SOURCE,
    )  # fmt: skip
