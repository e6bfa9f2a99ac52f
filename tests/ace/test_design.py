"""The design kernel against the NumPy oracle, and its tangents against extrapolated differences of its own rows."""

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from ase_mlipgen.ace.design import Neighbourhoods, design_columns, one_register
from ase_mlipgen.ace.design_plan import build_design_plan
from ase_mlipgen.ace.plan import build_angular, build_plan, build_radial, largest_n
from ase_mlipgen.ace.radial import RadialBasis
from ase_mlipgen.ace.reference import site
from ase_mlipgen.ace.specification import blocks
from ase_mlipgen.simd import Lanes

CASES = [
    (1, 1, 8), (1, 2, 10), (1, 3, 10), (2, 3, 6), (3, 2, 5), (1, 4, 9), (2, 4, 5.5), (1, 5, 7), (1, 6, 7.5),
]  # fmt: skip
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class Setup:
    """Rattled silicon with a vacancy and random elements, lists by ASE, and the tables of one centre element."""

    def __init__(self, n_elements, order, degree, *, flat=False, cutoff=4.2, **envelope):
        rng = np.random.default_rng(7)
        self.atoms = bulk("Si", cubic=True)
        self.atoms.rattle(0.1, seed=1)
        del self.atoms[3]
        if flat:  # two of the four layers are 2.7 Å apart; all atoms of a layer go to its height
            self.atoms.positions[:, 2] = 0.0
            self.atoms.positions[:, 0] *= 1.5
            self.atoms.set_cell(self.atoms.cell.array * [[1.5], [1.0], [1.0]])
            self.atoms.pbc = (True, True, False)
        self.mu_i = rng.integers(0, n_elements, len(self.atoms))
        self.cutoff = cutoff
        self.blocks = blocks(n_elements, order, degree)
        self.bases = [
            RadialBasis(cutoff - 0.3 * k, 1.5 + 0.1 * k, 2.35 + 0.2 * k, **envelope)
            for k in range(n_elements)
        ]
        self.plan = build_plan(self.blocks, n_elements)
        self.angular, self.radial = (
            build_angular(self.blocks),
            build_radial(self.bases, largest_n(self.blocks)),
        )
        self.K = len(self.plan.term_first) - 1

    def hoods(self, shift=0.0):
        moved = self.atoms.copy()
        moved.positions += shift
        i_p, j_p, d_pc = neighbor_list("ijD", moved, self.cutoff + 0.4)
        first_i = np.searchsorted(i_p, np.arange(len(moved) + 1)).astype(np.int64)
        return Neighbourhoods(first_i, j_p.astype(np.int32), d_pc, self.mu_i)

    def rows(self, shift=0.0, planar=False, virial=True, part=None, **options):
        n_own = len(self.mu_i[part or slice(None)])
        columns = np.zeros((self.K, 1 + 3 * n_own + (6 if virial else 0)))
        design_columns(
            np.arange(len(self.mu_i)), self.hoods(shift), build_design_plan(self.plan, planar),
            self.radial, self.angular, columns, part, **options,
        )  # fmt: skip
        return columns

    def expected(self):
        """Rows by the NumPy evaluator: energy, forces, virial."""
        hoods, n_atoms = self.hoods(), len(self.mu_i)
        energy, forces, virial = np.zeros(self.K), np.zeros((self.K, n_atoms, 3)), np.zeros((self.K, 6))
        for i in range(n_atoms):
            own = slice(hoods.first_i[i], hoods.first_i[i + 1])
            j_p, d_pc = hoods.j_p[own], hoods.d_pc[own]
            B, dB = site(self.blocks, self.bases, self.mu_i[j_p], d_pc)
            energy += B
            forces[:, i] += dB.sum(axis=1)
            np.subtract.at(forces.transpose(1, 0, 2), j_p, dB.transpose(1, 0, 2))
            w = np.einsum("pa,kpb->kab", d_pc, dB)
            virial += np.stack([w[:, a, b] for a, b in VOIGT], axis=1)
        return np.column_stack([energy, forces.reshape(self.K, -1), virial])


def assert_equal_rows(found, expected, tolerance):
    scale = np.abs(expected).max(axis=1, keepdims=True)
    assert np.all(np.abs(found - expected) <= tolerance * scale + 1e-16 * scale.max())


@pytest.mark.parametrize("case", CASES)
def test_rows_against_numpy(case):
    setup = Setup(*case)
    assert_equal_rows(setup.rows(), setup.expected(), 1e-12)


@pytest.mark.parametrize("envelope", [{"p": 3, "pcut": 3, "pin": 1}, {"p": 1, "pin": 0}, {"pin": 4}], ids=str)
def test_rows_of_every_envelope_against_numpy(envelope):
    setup = Setup(2, 3, 6, **envelope)
    assert_equal_rows(setup.rows(), setup.expected(), 1e-12)


@pytest.mark.parametrize("case", [(1, 3, 10), (2, 3, 6), (1, 4, 9), (1, 5, 7)])
def test_planar_tables_leave_out_only_zeros(case):
    setup = Setup(*case, flat=True)
    full, planar, plane = setup.rows(), build_design_plan(setup.plan, True), setup.rows(planar=True)
    assert planar.rows.n < build_design_plan(setup.plan, False).rows.n
    assert_equal_rows(plane, setup.expected(), 1e-12)
    assert not full[:, 3:-6:3].any()
    assert not plane[:, 3:-6:3].any()


@pytest.mark.parametrize("width", [4, 8])
def test_every_width_gives_the_same_rows(width):
    setup = Setup(2, 3, 6)
    assert_equal_rows(setup.rows(lanes=Lanes(width)), setup.rows(), 1e-13)
    assert one_register().width in (4, 8)


def test_parts_of_a_structure_add_up():
    setup = Setup(1, 3, 10)
    whole, parts = setup.rows(), [setup.rows(part=slice(0, 3)), setup.rows(part=slice(3, None))]
    forces = np.concatenate([part[:, 1:-6] for part in parts], axis=1)
    np.testing.assert_array_equal(forces, whole[:, 1:-6])
    for rest in (0, slice(-6, None)):
        np.testing.assert_allclose(
            parts[0][:, rest] + parts[1][:, rest], whole[:, rest], atol=1e-13 * np.abs(whole).max()
        )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("envelope", [{}, {"p": 3, "pcut": 3, "pin": 1}, {"p": 1, "pin": 0}], ids=str)
def test_tangents_against_extrapolated_differences(case, envelope):
    setup = Setup(*case, **envelope)
    motion = np.random.default_rng(5).normal(size=(len(setup.mu_i), 3))
    found = setup.rows(virial=False, velocity_ic=motion)

    def slope(h):
        return (setup.rows(h * motion, virial=False) - setup.rows(-h * motion, virial=False)) / (2 * h)

    expected = (64 * slope(2.5e-4) - 20 * slope(5e-4) + slope(1e-3)) / 45
    assert_equal_rows(found, expected, 1e-8)


def test_tangents_in_a_plane_and_out_of_it():
    """At z = 0 the Hessian couples z to z only: where the rows themselves vanish, their tangents do not."""
    setup = Setup(1, 3, 10, flat=True)
    out_of_plane = np.zeros((len(setup.mu_i), 3))
    out_of_plane[2, 2] = 1.0
    found = setup.rows(virial=False, velocity_ic=out_of_plane)[:, 1:].reshape(setup.K, -1, 3)
    assert not found[:, :, :2].any()
    assert np.abs(found[:, :, 2]).max() > 1e-3 * np.abs(setup.rows()).max()
