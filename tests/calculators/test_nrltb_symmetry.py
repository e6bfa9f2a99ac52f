"""NRLTB in blocks of the symmetry group against the dense eigenproblem of the whole cell."""

import logging
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from ase.optimize import BFGS

from ase_mlipgen.calculators.nrltb import NRLTB
from ase_mlipgen.tightbinding import solver as solvers
from ase_mlipgen.tightbinding.eigensolvers import with_torch
from ase_mlipgen.tightbinding.memory import InsufficientMemoryError
from tests.symmetry.structures import silicon as with_vacancies
from tests.tightbinding.structures import (
    assert_same_results,
    cluster,
    generated_by,
    hexagonal,
    operations_of,
    primitive,
    silicon,
    with_symmetry,
)


def vacancy():
    return with_vacancies(2, (0, 0, 0))


def swapped_pair():
    """Two vacancies that a translation takes onto one another."""
    return with_vacancies(2, (0, 0, 0), (1, 1, 1))


def sheet():
    atoms = graphene("C2", size=(3, 3, 1), vacuum=6.0)
    del atoms[0]
    return atoms


def tungsten(*missing):
    atoms = bulk("W", a=3.165, cubic=True).repeat(2)
    del atoms[list(missing)]
    return atoms


# name -> (parent, generators (order, angle) or None for all of its group, order); angles below zero: with inversion
CASES = {
    "mirror": (vacancy, [(2, -180)], 2),
    "inversion": (lambda: with_vacancies(2, (0, 0, 0), (0.25, 0.25, 0.25)), [(2, -360)], 2),
    "a pure translation": (swapped_pair, [(2, 0)], 2),
    "C3, complex": (vacancy, [(3, 120)], 3),
    "three translations, complex": (lambda: hexagonal(2), [(3, 0)], 3),
    "S4, complex": (vacancy, [(4, -90)], 4),
    "C3i, complex": (lambda: hexagonal(2), [(6, -120)], 6),
    "C2v": (vacancy, [(2, 180), (2, -180)], None),
    "D2d": (vacancy, [(4, -90), (2, 180)], 8),
    "T, complex": (vacancy, [(3, 120), (2, 180)], 12),
    "a cyclic group of twelve, complex": (lambda: hexagonal(2), [(12, -180)], 12),
    "D3d": (lambda: with_vacancies(2, (0, 0, 0), (0.25, 0.25, 0.25)), None, 12),
    "D2d with a translation": (lambda: with_vacancies(2, (0, 0, 0), (1, 0, 0)), None, 16),
    "Td": (vacancy, None, 24),
    "Td of a rhombohedral cell": (lambda: primitive(2), None, 24),
    "Td with a translation": (swapped_pair, None, 48),
    "hexagonal cell": (hexagonal, None, 36),
    "larger hexagonal cell": (lambda: hexagonal(2), None, 144),
    "Td of a molecule": (cluster, None, 24),
    "C3 of a molecule": (cluster, [(3, 120)], 3),
    "D3h of a sheet": (sheet, None, 12),
}
IN_SPD = ["C3, complex", "S4, complex", "D2d", "Td of a rhombohedral cell", "hexagonal cell"]


def build(case):
    """Return a structure with the symmetry of a case, and the order of its group."""
    parent, generators, order = CASES[case]
    atoms = parent()
    operations = operations_of(atoms)
    if generators is not None:
        operations = generated_by(operations, *generators)
    assert order in (None, operations.order)
    return with_symmetry(atoms, operations), operations.order


def solved(atoms, element, solver, **options):
    """Return the calculator after it has solved a copy of the atoms."""
    calculator = NRLTB(element, solver=solver, **{"threads": 1, **options})
    atoms = atoms.copy()
    atoms.calc = calculator
    atoms.get_potential_energy()
    return calculator


def assert_blocks_are_exact(atoms, order, name, n_orbitals, **options):
    found, expected = (solved(atoms, name, solver, **options) for solver in ("symmetric", "dense"))
    assert found.plan.order == order
    assert expected.plan.order == 1
    assert expected.plan.block_sizes == (len(atoms) * n_orbitals,)
    assert max(found.plan.block_sizes) < len(atoms) * n_orbitals
    assert_same_results(found.results, expected.results)
    assert abs(expected.results["forces"]).max() > 0.1


@pytest.mark.parametrize("case", CASES)
def test_blocks_equal_the_whole(case):
    atoms, order = build(case)
    assert_blocks_are_exact(atoms, order, "C" if "C" in atoms.symbols else "Si", 4, kT=0.05)


@pytest.mark.parametrize("case", IN_SPD)
def test_blocks_equal_the_whole_with_d_orbitals(case):
    atoms, order = build(case)
    if len(atoms) > 40:  # the same kind of group about a vacancy, in fewer atoms
        atoms, order = small(case)
    assert_blocks_are_exact(atoms, order, "Si", 9, basis="spd", kT=0.05)


def small(case):
    atoms = primitive(2)
    operations = operations_of(atoms)
    chosen = {"C3, complex": [(3, 120)], "S4, complex": [(4, -90)], "D2d": [(4, -90), (2, 180)]}[case]
    operations = generated_by(operations, *chosen)
    return with_symmetry(atoms, operations), operations.order


@pytest.mark.parametrize("cutoff", ["original", "forceshift"])
def test_blocks_equal_the_whole_for_other_cutoffs(cutoff):
    atoms, order = build("S4, complex")
    assert_blocks_are_exact(atoms, order, "Si", 4, cutoff=cutoff)


@pytest.mark.parametrize("missing", [(0,), (0, 9)])
def test_metal_with_vacancies(missing):
    """Cubic cells with an O_h vacancy, and two of them in a cell; the group is larger than a vacancy's in silicon."""
    atoms = tungsten(*missing)
    operations = operations_of(atoms)
    assert operations.order >= 12
    assert_blocks_are_exact(with_symmetry(atoms, operations), operations.order, "W", 9, kT=0.1)


@pytest.mark.parametrize(
    "kpts", [(3, 3, 3), {"size": (2, 2, 2), "gamma": True}, {"size": (2, 2, 2), "gamma": False}]
)
@pytest.mark.parametrize("case", ["hexagonal cell", "C3i, complex", "Td of a rhombohedral cell"])
def test_symmetry_reduces_k_points(case, kpts):
    """The same energies, forces and stress from fewer eigenproblems."""
    atoms, order = build(case)
    centred = kpts == (3, 3, 3) or kpts["gamma"]  # others may have less symmetry than the atoms
    found, expected = (solved(atoms, "Si", solver, kpts=kpts) for solver in ("symmetric", "dense"))
    if centred:
        assert found.plan.order == order
        assert found.plan.n_kpoints < expected.plan.n_kpoints
    assert found.plan.order > 1
    for name in ("energy", "energies", "charges", "fermi_level", "forces", "stress"):
        np.testing.assert_allclose(found.results[name], expected.results[name], rtol=0, atol=1e-10)


def test_mesh_with_less_symmetry_than_the_atoms():
    """Only those operations are used that take the mesh onto itself."""
    atoms, order = build("Td of a rhombohedral cell")
    found, expected = (solved(atoms, "Si", solver, kpts=(3, 2, 1)) for solver in ("symmetric", "dense"))
    assert 1 <= found.plan.order < order
    for name in ("energy", "energies", "forces", "stress"):
        np.testing.assert_allclose(found.results[name], expected.results[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("atoms", "name"),
    [
        (silicon(2), "Si"),
        (bulk("Si", a=5.43).repeat((4, 4, 2)), "Si"),
        (bulk("Pb", a=4.95).repeat((3, 3, 4)), "Pb"),
    ],
    ids=["64 Si", "primitive cells in an oblong", "36 Pb"],
)
def test_perfect_supercell_is_folded(atoms, name):
    """Solved at the k-points of its primitive cell that fold to Gamma; blocks show it."""
    atoms.set_cell(
        atoms.cell.array @ [[1.01, 0.0, 0.0], [0.0, 1.0, 0.02], [0.0, 0.0, 0.99]], scale_atoms=True
    )
    found, expected = (solved(atoms, name, solver, kT=0.05) for solver in ("symmetric", "dense"))
    assert found.plan.n_atoms < 3
    assert_same_results(found.results, expected.results)
    np.testing.assert_allclose(found.results["forces"], 0, atol=1e-12 if name == "Pb" else 5)
    assert found.results["forces"].shape == (len(atoms), 3)


def test_shuffled_perfect_supercell():
    """Per-atom results go to their atoms: a basis of two with different charges is what tells them apart."""
    atoms = bulk("Si", a=5.43)
    atoms.positions[1] += (0.2, 0.1, -0.05)
    atoms = atoms.repeat((4, 4, 2))[np.random.default_rng(0).permutation(64)]
    atoms.positions += np.random.default_rng(1).integers(-2, 3, (64, 3)) @ atoms.cell.array
    found, expected = (solved(atoms, "Si", solver) for solver in ("symmetric", "dense"))
    assert found.plan.n_atoms == 2
    assert_same_results(found.results, expected.results)
    assert abs(found.results["forces"]).max() > 0.5


def test_broken_symmetry_is_noticed_and_solved_without(caplog):
    atoms = vacancy()
    atoms.calc = NRLTB("Si", solver="symmetric", threads=1)
    atoms.get_potential_energy()
    assert atoms.calc.plan.order == 24
    atoms.positions[10] += (0.01, 0.02, 0.03)
    with caplog.at_level(logging.INFO, logger="ase_mlipgen"):
        atoms.get_potential_energy()
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "symmetry group of order 24 is broken" in record.getMessage()
    assert atoms.calc.plan.order == 1
    assert_same_results(atoms.calc.results, solved(atoms, "Si", "dense").results)


def test_no_symmetry_is_said_where_it_was_asked_for(caplog):
    with caplog.at_level(logging.INFO, logger="ase_mlipgen"):
        solved(silicon(amplitude=0.1), "Si", "symmetric")
    assert "no symmetry within 1e-07 Å" in caplog.text


def test_relaxation_keeps_the_group(caplog):
    atoms, order = build("D2d")
    atoms.calc = NRLTB("Si", kT=0.1, solver="symmetric", threads=1)
    relaxed = BFGS(atoms, logfile=None)
    with caplog.at_level(logging.WARNING, logger="ase_mlipgen"):
        for _ in relaxed.irun(fmax=0.02, steps=12):
            assert atoms.calc.plan.order == order
    assert not caplog.records
    assert operations_of(atoms).order == order
    assert_same_results(atoms.calc.results, solved(atoms, "Si", "dense", kT=0.1).results)


def test_history_does_not_influence_results(monkeypatch):
    """A calculator that has seen symmetric, rattled and other cells, and a new one for each."""
    monkeypatch.setattr(solvers, "WORTH_A_SEARCH", 0.0)
    rattled = vacancy()
    rattled.rattle(0.05, seed=2)
    small_move = vacancy()
    small_move.positions[5] += (1e-5, 2e-5, -3e-5)
    strained = vacancy()
    strained.set_cell(strained.cell.array * [1.0, 1.0, 1.01], scale_atoms=True)
    steps = [
        vacancy(),
        rattled,
        vacancy(),
        small_move,
        strained,
        silicon(2),
        swapped_pair(),
        silicon(),
        vacancy(),
    ]
    walking, orders = NRLTB("Si", threads=1), []
    for atoms in steps:
        walking.get_potential_energy(atoms.copy())
        fresh = solved(atoms, "Si", "auto")
        orders.append(walking.plan.order)
        assert walking.plan.order == fresh.plan.order
        assert_same_results(walking.results, fresh.results, energy=1e-12, force=1e-12)
    assert orders[0] == orders[2] == orders[-1] == 24
    assert orders[1] == orders[3] == 1
    assert orders[4] == 8


@pytest.mark.parametrize("solver", ["auto", "symmetric"])
def test_supersets_are_found_again(solver, monkeypatch):
    """A cell that becomes more symmetric is solved with the larger group after the smaller one is lost."""
    monkeypatch.setattr(solvers, "WORTH_A_SEARCH", 0.0)
    calculator = NRLTB("Si", solver=solver, threads=1)
    atoms, _ = build("mirror")
    calculator.get_potential_energy(atoms)
    assert calculator.plan.order == 2
    calculator.get_potential_energy(hexagonal())
    assert calculator.plan.order == 36


def test_noisy_positions_need_a_larger_symprec():
    atoms, order = build("D2d")
    atoms.positions += np.random.default_rng(0).uniform(-1e-5, 1e-5, (len(atoms), 3))
    strict, loose = (solved(atoms, "Si", "symmetric", symprec=p) for p in (1e-7, 1e-4))
    assert (strict.plan.order, loose.plan.order) == (1, order)
    assert loose.results["energy"] == pytest.approx(strict.results["energy"], abs=1e-4)


@pytest.mark.parametrize(
    ("options", "remedies"),
    [
        ({"solver": "dense"}, ["solver='auto'", "smaller cell"]),
        ({"solver": "symmetric"}, ["symprec = 1e-07", "a cell with symmetry"]),
        ({"solver": "symmetric", "kpts": (2, 2, 2)}, ["fewer k-points"]),
    ],
)
def test_too_little_memory_is_refused_with_figures(options, remedies):
    atoms = silicon(2, amplitude=0.1)
    with pytest.raises(InsufficientMemoryError) as caught:
        solved(atoms, "Si", max_memory=1e6, **options)
    message = str(caught.value)
    assert "64 atoms" in message
    assert "256" in message
    assert "1 MB are left" in message
    for remedy in remedies:
        assert remedy in message


def test_symmetry_fits_where_dense_does_not():
    atoms = vacancy()
    needs = {kind: solved(atoms, "Si", kind).plan.memory for kind in ("dense", "symmetric")}
    assert needs["symmetric"] < needs["dense"]
    between = (needs["symmetric"] + needs["dense"]) / 2
    solved(atoms, "Si", "symmetric", max_memory=between)
    with pytest.raises(InsufficientMemoryError):
        solved(atoms, "Si", "dense", max_memory=between)


@pytest.mark.parametrize("solver", ["dense", "symmetric"])
@pytest.mark.parametrize("kpts", [(1, 1, 1), (2, 2, 1)])
def test_threads_do_not_influence_results(solver, kpts):
    """Within rounding: eigensolvers of one block on several threads sum in another order."""
    atoms, _ = small("D2d")
    one, two, three = (solved(atoms, "Si", solver, kpts=kpts, threads=n) for n in (1, 2, 3))
    assert_same_results(two.results, one.results, energy=1e-11, force=1e-12)
    assert_same_results(three.results, one.results, energy=1e-11, force=1e-12)


def test_atom_and_empty_directions():
    """An atom has an infinite group, a dimer too: finite subgroups are used."""
    for positions in ([[0, 0, 0]], [[0, 0, 0], [0, 0, 2.4]], [[0, 0, 0], [1.4, 1.4, 1.4], [2.8, 2.8, 2.8]]):
        atoms = Atoms("Si" * len(positions), positions)
        found, expected = (solved(atoms, "Si", solver) for solver in ("symmetric", "dense"))
        assert found.plan.order > 1
        assert_same_results(found.results, expected.results)


@pytest.mark.parametrize("case", ["S4, complex", "D2d"])
@pytest.mark.parametrize("solver", ["dense", "symmetric"])
def test_torch_equals_lapack(case, solver):
    pytest.importorskip("torch", reason="torch is not installed: pip install '.[torch]'")
    atoms, order = build(case)
    found = solved(atoms, "Si", solver, eigensolver="torch:cpu")
    assert found.plan.order == (order if solver == "symmetric" else 1)
    assert_same_results(found.results, solved(atoms, "Si", solver).results)


def test_torch_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with_torch.cache_clear()
    with pytest.raises(
        ImportError, match=r"pip install 'ase-mlipgen\[torch\]', or take eigensolver='lapack'"
    ):
        NRLTB("Si", eigensolver="torch")


def test_device_that_torch_has_not():
    pytest.importorskip("torch", reason="torch is not installed: pip install '.[torch]'")
    with pytest.raises(ValueError, match="torch has no device 'moon' here"):
        NRLTB("Si", eigensolver="torch:moon")


@pytest.mark.parametrize("executor", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_executors_give_the_same_bits(executor):
    """Calculators of workers, some symmetric cells among others, against one calculator for all in turn."""
    cells = [build(case)[0] for case in ("hexagonal cell", "Td of a rhombohedral cell", "C3 of a molecule")]
    cells += [silicon(amplitude=0.1, seed=seed) for seed in range(3)]
    one = NRLTB("Si", solver="symmetric", threads=1)
    expected = [one.get_forces(atoms) for atoms in cells]
    options = {"mp_context": multiprocessing.get_context("spawn")} if executor is ProcessPoolExecutor else {}
    with executor(2, **options) as pool:
        found = list(pool.map(one_by_one, cells))
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def one_by_one(atoms):
    return NRLTB("Si", solver="symmetric", threads=1).get_forces(atoms)
