"""Rows of Hessians and force rows in another metric: squared residuals add up to what they should."""

import numpy as np
import pytest
from ase.build import bulk

from ase_mlipgen import EAM2D, ACEBasis, LinearACE, Vacancy, training_cell, triangular_lattice
from ase_mlipgen.defects import displaced
from ase_mlipgen.fit import TriangularFactor, Weights, assemble, rows, solve
from ase_mlipgen.fit.hessians import cell_blocks, crystal_blocks
from ase_mlipgen.labels import label
from ase_mlipgen.theory import DualNorm, bonds, dual_norm
from ase_mlipgen.theory.cell_hessian import in_components
from ase_mlipgen.theory.force_constants import force_constants

SHEET = triangular_lattice("W", 2.72711)
E0 = {"W": 0.0}


@pytest.fixture(scope="module", params=["sheet", "crystal"])
def case(request):
    """A cell with a vacancy, its host, a basis, random coefficients and a reference with a Hessian."""
    if request.param == "sheet":
        cells = [training_cell(SHEET, d, 4) for d in (Vacancy(), None)]
        reference, basis = EAM2D(), ACEBasis(["W"], order=3, degree=7, cutoff=4.0)
    else:
        cells = [training_cell(bulk("Cu", cubic=True), d, 2) for d in (Vacancy(), None)]
        basis = ACEBasis(["Cu"], order=2, degree=7, cutoff=4.0)
        reference = LinearACE(basis, np.random.default_rng(1).normal(size=len(basis)))
    x = np.random.default_rng(0).normal(size=len(basis))
    start = displaced(cells[0], 0.05, np.random.default_rng(2))
    return start, cells[1], basis, x, reference


def squares(blocks, x):
    return sum(float(np.sum((block.A @ x - block.b) ** 2)) for block in blocks)


def test_a_cell_adds_up_to_the_squared_difference_of_hessians(case):
    atoms, _, basis, x, reference = case
    theirs, ours = (
        in_components(calculator.get_hessian(atoms), atoms) for calculator in (reference, LinearACE(basis, x))
    )
    found = squares(cell_blocks(basis, atoms, theirs, 2.5), x)
    assert found == pytest.approx(2.5 * np.sum((theirs - ours) ** 2), rel=1e-9)


def test_a_crystal_adds_up_to_the_squared_difference_of_hessians(case):
    _, perfect, basis, x, reference = case
    theirs, ours = (
        in_components(calculator.get_hessian(perfect), perfect)
        for calculator in (reference, LinearACE(basis, x))
    )
    constants = force_constants(perfect, reference)
    parts = constants.sites_s, constants.multiplicity_s, constants.columns_sanb
    found = squares(crystal_blocks(basis, perfect, *parts, 0.5), x)
    assert found == pytest.approx(0.5 * np.sum((theirs - ours) ** 2), rel=1e-9)


def test_only_hessians_of_the_cell(case):
    atoms, _, basis, _, _ = case
    with pytest.raises(ValueError, match="expected"):
        next(cell_blocks(basis, atoms, np.zeros((5, 5))))


@pytest.fixture(scope="module")
def labelled():
    start = training_cell(SHEET, Vacancy(), 5)
    rng = np.random.default_rng(0)
    samples = [displaced(start, 0.05, rng) for _ in range(30)]
    return start, label([(s, "defect", "vacancy") for s in samples], EAM2D())


def test_whitened_rows_have_the_dual_norm(labelled):
    start, cells = labelled
    basis = ACEBasis(["W"], order=3, degree=8, cutoff=4.0)
    x, norm = np.random.default_rng(1).normal(size=len(basis)), DualNorm(bonds(start))
    block = rows(basis, cells[0], Weights(forces=4.0), E0, ("forces",), norm.root())
    atoms = cells[0].atoms.copy()
    atoms.calc = LinearACE(basis, x)
    expected = 4.0 * dual_norm(norm, atoms.get_forces() - cells[0].forces) ** 2
    assert np.sum((block.A @ x - block.b) ** 2) == pytest.approx(expected, rel=1e-9)


def test_the_fit_in_the_dual_norm_minimises_it(labelled):
    """Brute force: K^+ in the normal equations. No other coefficients do better; those of plain squares do worse."""
    start, cells = labelled
    basis = ACEBasis(["W"], order=2, degree=8, cutoff=4.0)
    norm = DualNorm(bonds(start))
    fits = {}
    for name, metrics in (("l2", None), ("dual", [norm.root()] * len(cells))):
        factor = assemble(basis, cells, Weights(), E0, ("forces",), metrics=metrics)
        fits[name] = solve(factor, 1e-10).coefficients
    blocks = [rows(basis, cell, Weights(), E0, ("forces",)) for cell in cells]
    inverse = np.kron(np.linalg.pinv(norm_matrix(norm)), np.eye(3))

    def loss(x):
        return sum(float(r @ inverse @ r) for r in (p.A @ x - p.b for p in blocks))

    assert loss(fits["dual"]) < 0.999 * loss(fits["l2"])
    normal = sum(p.A.T @ inverse @ p.A for p in blocks)
    scale = np.sqrt(np.diagonal(normal)) + 1e-300
    gradient = sum(p.A.T @ inverse @ (p.A @ fits["dual"] - p.b) for p in blocks) / scale
    assert np.abs(gradient).max() < 1e-6 * np.sqrt(loss(fits["dual"]))
    whitened = assemble(basis, cells, Weights(), E0, ("forces",), metrics=[norm.root()] * len(cells))
    assert whitened.triangle()[-1, -1] ** 2 == pytest.approx(loss(fits["dual"]), rel=1e-5)


def norm_matrix(norm):
    from ase_mlipgen.theory import laplacian

    return laplacian(norm.bonds).toarray()


def test_metrics_that_do_not_fit_are_refused(labelled):
    _, cells = labelled
    basis = ACEBasis(["W"], order=1, degree=4, cutoff=4.0)
    with pytest.raises(ValueError, match="one each"):
        assemble(basis, cells, Weights(), E0, metrics=[None])
    with pytest.raises(ValueError, match="a row an atom"):
        rows(basis, cells[0], Weights(), E0, metric=np.eye(3))


def test_scaled_triangles_are_those_of_scaled_rows():
    A, b = np.random.default_rng(0).normal(size=(50, 8)), np.random.default_rng(1).normal(size=50)
    factor = TriangularFactor(8).add(A, b)
    np.testing.assert_allclose(
        factor.scaled(9.0).triangle(), TriangularFactor(8).add(3 * A, 3 * b).triangle(), atol=1e-12
    )
    merged = factor.scaled(9.0).merge(factor)
    np.testing.assert_allclose(merged.triangle(), np.sqrt(10.0) * factor.triangle(), atol=1e-12)
    assert (merged.n_rows, factor.n_rows) == (100, 50)
