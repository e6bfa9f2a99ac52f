"""The pieces of a certificate: what each core and the far field add to the reference's force and to the energy.

`labelled` transplants the cores and has them labelled; `pieces_of` turns model differences into forces and energies on
the large cell; `solved` is the one linear solve and every piece's share of it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ase_mlipgen.defects import potential_energy
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.theory.correction import Response
from ase_mlipgen.theory.equivalence import Image, classes
from ase_mlipgen.theory.far_field import Stencil, difference_stencil
from ase_mlipgen.theory.force_constants import ForceConstants, force_constants
from ase_mlipgen.theory.norms import DualNorm, bonds, laplacian, site_strains
from ase_mlipgen.theory.setting import Labelling, Setting
from ase_mlipgen.theory.sites import Primitive, Sites
from ase_mlipgen.theory.transplant import TrainedCore, Transplant, spread, transplant

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moved:
    """All cores in their training cells, labelled: model differences, surrogate's minus reference's."""

    transplants: list[Transplant]
    images: list[Image]
    energies: list[float]
    forces: list[Floats]
    unrelaxed_formation: list[float]
    cells: list[LabelledCell]
    label_of: list[int]


def stencil_of(
    setting: Setting, perfect: Atoms, labelling: Labelling, constants: ForceConstants | None
) -> Stencil:
    """Build the stencil of H~ - H on a perfect training cell; the reference's constants are computed if not given."""
    if constants is None:
        constants = force_constants(perfect, labelling.calculator())
    own = force_constants(perfect, setting.surrogate)
    return difference_stencil(setting.host, perfect, own, constants)


def labelled(setting: Setting, labelling: Labelling, perfect: Atoms, u_sc: Floats, u_ic: Floats) -> Moved:
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
    return Moved(
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


def with_calculator(atoms: Atoms, calculator: Any) -> Atoms:
    """Give a copy of the atoms with a calculator."""
    probe = atoms.copy()
    probe.calc = calculator
    return probe


@dataclass(frozen=True, eq=False)
class Piece:
    """What one core, or the far field, adds: reference's force at u~ (n_atoms, 3), energy difference (eV)."""

    forces: Floats
    relaxation: float
    unrelaxed: float


def pieces_of(setting: Setting, stencil: Stencil, moved: Moved, u_sc: Floats) -> list[Piece]:
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
        pieces.append(Piece(forces, energy - quadratic + float(share_s @ far_energy_s), unrelaxed))
    rest = _on_atoms(sites, left_s[:, None] * far_sc, n_atoms)
    return [*pieces, Piece(rest, float(left_s @ far_energy_s), 0.0)]


def _on_atoms(sites: Sites, f_sc: Floats, n_atoms: int) -> Floats:
    f_ic = np.zeros((n_atoms, 3))
    occupied = np.flatnonzero(sites.atom_s >= 0)
    f_ic[sites.atom_s[occupied]] = f_sc[occupied]
    return f_ic


@dataclass(frozen=True, eq=False)
class Answer:
    """The correction, its size at every site, each piece's share of norm and energy, and what fmax left."""

    x_ic: Floats
    strain_i: Floats
    geometry_p: list[float]
    relaxation_p: list[float]
    resolution: float


def solved(setting: Setting, relaxed: Atoms, pieces: list[Piece]) -> Answer:
    """Solve H~ x = g where the surrogate relaxed to, once for x and once for the shares of its norm.

    Raises
    ------
    UnstableError
        The surrogate has no minimum there to second order.
    """
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
    left_ic = response.solve(np.array(with_calculator(relaxed, setting.surrogate).get_forces()))
    return Answer(
        x_ic, strain_i, geometry, relaxation, float(np.linalg.norm(site_strains(dual.bonds, left_ic)))
    )
