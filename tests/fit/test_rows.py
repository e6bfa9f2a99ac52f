"""Rows against the loss written out by hand, and against coefficients that make them vanish."""

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen.basis import ACEBasis
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.fit import Weights, count_rows, hessian_rows, rows
from ase_mlipgen.fit.rows import row_blocks
from ase_mlipgen.labels import LabelledCell
from tests.fit.fakes import PowerBasis, cell_of

ALL = ("energy", "forces", "stress")
E0 = {"W": -2.5}


@pytest.fixture(scope="module")
def basis():
    return PowerBasis(5)


def test_paper_counts():
    counts = [200 * count_rows(n) for n in (11, 23, 29, 47, 69)]
    assert counts == [6800, 14000, 17600, 28400, 41600]
    assert count_rows(4, ALL) == 1 + 12 + 6


def test_exact_coefficients_leave_no_residual(basis):
    x = np.arange(1.0, 6.0)
    cell = cell_of(basis, x, E0=-2.5)
    block = rows(basis, cell, Weights(7, 3, 2), E0, ALL)
    np.testing.assert_allclose(block.A @ x, block.b, atol=1e-12 * np.abs(block.b).max())
    assert {kind: (s.start, s.stop) for kind, s in block.slices.items()} == {
        "energy": (0, 1),
        "forces": (1, 13),
        "stress": (13, 19),
    }


def test_squared_norm_is_the_weighted_loss(basis):
    x, weights = np.ones(5), Weights(7, 3, 2)
    cell = cell_of(basis, np.arange(1.0, 6.0), noise=0.3, E0=-2.5)
    block = rows(basis, cell, weights, E0, ALL)
    model, fixed = basis.design(cell.atoms), basis.baseline(cell.atoms)
    loss = (
        7 * (cell.energy - 4 * -2.5 - fixed.energy - model.energy @ x) ** 2
        + 3 * np.sum((cell.forces - fixed.forces - model.forces @ x) ** 2)
        + 2 * np.sum((cell.stress * cell.atoms.get_volume() - fixed.virial - model.virial @ x) ** 2)
    )
    assert np.sum((block.b - block.A @ x) ** 2) == pytest.approx(loss, rel=1e-12)


def test_force_rows_go_atom_by_atom(basis):
    cell = cell_of(basis, np.ones(5))
    block = rows(basis, cell, Weights(), E0)
    np.testing.assert_array_equal(block.A[1 + 3 * 2 + 1], basis.design(cell.atoms).forces[2, 1])


def test_order_of_observations_does_not_matter(basis):
    cell = cell_of(basis, np.ones(5))
    a, b = rows(basis, cell, Weights(), E0, ALL), rows(basis, cell, Weights(), E0, ALL[::-1])
    np.testing.assert_array_equal(a.A, b.A)
    only = rows(basis, cell, Weights(), E0, "forces")
    np.testing.assert_array_equal(only.b, a.b[a.slices["forces"]])


def test_errors_name_what_is_missing(basis):
    cell = cell_of(basis, np.ones(5), stress=False)
    with pytest.raises(ValueError, match="no E0 for 'W'; E0 has Si"):
        rows(basis, cell, Weights(), {"Si": 0.0})
    with pytest.raises(ValueError, match="a cell has no stress label"):
        rows(basis, cell, Weights(), E0, ALL)
    with pytest.raises(ValueError, match="unknown observation 'virial'"):
        rows(basis, cell, Weights(), E0, ("virial",))
    with pytest.raises(ValueError, match="no observations"):
        rows(basis, cell, Weights(), E0, ())


def test_broken_basis_is_found(basis):
    cell = cell_of(basis, np.ones(5))

    class Short(PowerBasis):
        def design(self, atoms, virial=True, part=None):
            return basis.design(atoms, virial, part)

    with pytest.raises(ValueError, match=r"the basis gave energy rows \(1, 5\); expected \(1, 6\)"):
        rows(Short(6), cell, Weights(), E0)

    class NotFinite(PowerBasis):
        def baseline(self, atoms):
            return super().baseline(atoms)._replace(energy=np.nan)

    with pytest.raises(ValueError, match=r"rows of a cell of 4 atoms \(vacancy\) are not finite"):
        rows(NotFinite(5), cell, Weights(), E0)


def test_perfect_cells_count_like_others(basis):
    cell = cell_of(basis, np.ones(5), defect="")
    assert isinstance(cell, LabelledCell)
    assert len(rows(basis, cell, Weights(), E0).b) == count_rows(4)


@pytest.mark.parametrize("kinds", [ALL, ("energy",), ("forces",), ("energy", "stress")])
def test_parts_of_a_large_cell_are_its_rows(kinds):
    """A real basis: its sites add up to energy and virial over the parts."""
    basis, atoms = ACEBasis(["W"], order=2, degree=5, cutoff=4.0), bulk("W", cubic=True) * (2, 2, 1)
    atoms.rattle(0.1, seed=1)
    rng = np.random.default_rng(0)
    cell = LabelledCell(atoms, -3.0, rng.normal(size=(8, 3)), rng.normal(size=6), "perfect", "")
    whole = rows(basis, cell, Weights(7, 3, 2), E0, kinds)
    parts = list(row_blocks(basis, cell, Weights(7, 3, 2), E0, kinds, most=9))
    assert max(len(part.b) for part in parts) <= 9
    A, b = np.concatenate([p.A for p in parts]), np.concatenate([p.b for p in parts])
    order = np.concatenate([np.flatnonzero(np.isclose(whole.b, value)) for value in b])
    np.testing.assert_array_equal(np.sort(order), np.arange(len(whole.b)))
    np.testing.assert_allclose(A, whole.A[order], atol=1e-12 * np.abs(whole.A).max())
    (same,) = row_blocks(basis, cell, Weights(7, 3, 2), E0, kinds)
    np.testing.assert_array_equal(same.A, whole.A)


def test_hessian_rows_against_the_calculators_forces():
    """Second algorithm: extrapolated differences of LinearACE's forces, core included."""
    basis, atoms = ACEBasis(["W"], order=3, degree=7, cutoff=4.5), bulk("W", cubic=True)
    atoms.rattle(0.2, seed=2)
    coefficients = np.random.default_rng(3).normal(size=len(basis))
    moved = atoms.copy()
    moved.calc = LinearACE(basis, coefficients)

    def forces(h):
        moved.positions = atoms.positions
        moved.positions[1, 2] += h
        return moved.get_forces()

    slopes = [(forces(h) - forces(-h)) / (2 * h) for h in (2.5e-4, 5e-4, 1e-3)]
    column = -(64 * slopes[0] - 20 * slopes[1] + slopes[2]) / 45
    assert np.abs(basis.baseline_tangent(atoms, [[0, 0, 0], [0, 0, 1]])).max() > 1e-3
    block = hessian_rows(basis, atoms, 1, 2, column, weight=4.0)
    np.testing.assert_allclose(block.A @ coefficients, block.b, atol=1e-8 * np.abs(block.b).max())
    np.testing.assert_allclose(block.A, 2.0 * hessian_rows(basis, atoms, 1, 2, column).A)
    with pytest.raises(ValueError, match=r"shape \(3, 3\); expected \(2, 3\)"):
        hessian_rows(basis, atoms, 1, 2, np.zeros((3, 3)))
