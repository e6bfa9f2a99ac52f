"""Assembly: the same bits on every executor, the same system as rows stacked by hand."""

import importlib
import pickle
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ase_mlipgen.fit import Weights, assemble, count_rows, rows
from ase_mlipgen.labels import CellFile, read_cells, write_cells
from tests.fit.fakes import PowerBasis, cells_of

assembly = importlib.import_module("ase_mlipgen.fit.assemble")  # the function has the module's name
E0 = {"W": -2.5}
BY_DEFECT = {"vacancy": {"energy": 50, "forces": 2}, "perfect": {"energy": 9}}


@pytest.fixture(scope="module")
def basis():
    return PowerBasis(30)


@pytest.fixture(scope="module")
def cells(basis):
    return cells_of(basis, 40, E0=-2.5) + cells_of(basis, 9, E0=-2.5, defect="")


@pytest.fixture
def small_leaves(monkeypatch):
    monkeypatch.setattr("ase_mlipgen.fit.factor.SMALLEST_LEAF", 50)


def test_same_system_as_stacked_rows(basis, cells, small_leaves):
    factor = assemble(basis, cells, BY_DEFECT, E0, ("energy", "forces", "stress"))
    blocks = [
        rows(basis, c, Weights(50, 2) if c.defect else Weights(9), E0, ("energy", "forces", "stress"))
        for c in cells
    ]
    A, b = np.concatenate([p.A for p in blocks]), np.concatenate([p.b for p in blocks])
    assert factor.n_rows == len(b) == sum(count_rows(len(c.atoms)) + 6 for c in cells)
    whole, R = np.column_stack([A, b]), factor.triangle()
    norms = np.linalg.norm(whole, axis=0)
    np.testing.assert_allclose((R / norms).T @ (R / norms), (whole / norms).T @ (whole / norms), atol=1e-13)


def test_same_bits_on_every_executor(basis, cells, small_leaves):
    serial = assemble(basis, cells, Weights(), E0).triangle()
    with threadpool_limits(1, user_api="blas"):
        np.testing.assert_array_equal(assemble(basis, cells, Weights(), E0).triangle(), serial)
    for workers in (1, 2, 5):
        with ThreadPoolExecutor(workers) as pool:
            np.testing.assert_array_equal(
                assemble(basis, cells, Weights(), E0, executor=pool).triangle(), serial
            )
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        np.testing.assert_array_equal(assemble(basis, cells, Weights(), E0, executor=pool).triangle(), serial)


def test_blas_threads_are_left_as_they_were(basis, cells, small_leaves):
    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    before = threads()
    with ThreadPoolExecutor(2) as pool:
        assemble(basis, cells, Weights(), E0, executor=pool)
        with pytest.raises(ValueError, match="no E0"):
            assemble(basis, cells, Weights(), {}, executor=pool)
    assert threads() == before


def test_progress_counts_cells(basis, cells, small_leaves):
    seen = []
    assemble(basis, cells, Weights(), E0, progress=lambda *counts: seen.append(counts))
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == (49, 49)


def test_nothing_to_fit_is_an_error(basis, cells):
    with pytest.raises(ValueError, match="no cells to fit"):
        assemble(basis, [], Weights(), E0)
    with pytest.raises(ValueError, match="no weights for the defect 'vacancy'"):
        assemble(basis, cells, {"dumbbell": Weights()}, E0)


class Lazy(Future):
    """The outcome of a task that a far worker computes when it is asked for; tasks and results travel as bytes."""

    def __init__(self, executor, function, *args):
        super().__init__()
        self.executor, self.task = executor, pickle.dumps((function, args))

    def result(self, timeout=None):
        function, args = pickle.loads(self.task)
        self.executor.bases.add(id(args[0]))
        self.executor.waiting -= 1
        return pickle.loads(pickle.dumps(function(*args)))


class Far(Executor):
    """Counts what waits, and how often the basis is unpacked."""

    def __init__(self, workers=None):
        self.waiting = self.most = self.n_tasks = 0
        self.bases = set()
        if workers:
            self._max_workers = workers

    def submit(self, function, /, *args):
        self.n_tasks += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return Lazy(self, function, *args)


@pytest.mark.parametrize("n_cells", [31, 33, 49])
@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_branches_merge_as_the_whole_tree_does(basis, cells, small_leaves, monkeypatch, n_cells, rounds):
    monkeypatch.setattr(assembly, "ROUNDS", rounds)
    monkeypatch.setattr("ase_mlipgen.fit.factor.LEAF", 1)
    serial = assemble(basis, cells[:n_cells], Weights(), E0).triangle()
    sizes = set()
    for workers in (1, 2, 7, None):
        far = Far(workers)
        found = assemble(basis, iter(cells[:n_cells]), Weights(), E0, executor=far)
        np.testing.assert_array_equal(found.triangle(), serial)
        assert len(far.bases) == 1
        sizes.add(far.n_tasks)
    assert len(sizes) > 1 or rounds > 2


@pytest.mark.parametrize(
    ("workers", "bytes_", "most"), [(3, 5e8, 5), (None, 5e8, 18), (1000, 10 * 8 * 31**2, 10)]
)
def test_few_triangles_are_on_their_way(basis, cells, small_leaves, monkeypatch, workers, bytes_, most):
    monkeypatch.setattr(assembly, "IN_FLIGHT", int(bytes_))
    monkeypatch.setattr("ase_mlipgen.fit.factor.SMALLEST_LEAF", 1)
    monkeypatch.setattr("ase_mlipgen.fit.factor.LEAF", 0)
    far = Far(workers)
    assemble(basis, cells, Weights(), E0, executor=far)
    assert far.most == most < far.n_tasks


class Watched(CellFile):
    """Keeps account of what is asked for."""

    def __init__(self, path):
        super().__init__(path)
        self.asked = []

    def __getitem__(self, index):
        self.asked.append(index)
        return super().__getitem__(index)


def test_cells_are_read_leaf_by_leaf(basis, cells, small_leaves, tmp_path):
    write_cells(tmp_path / "cells.xyz", cells)
    lazy = Watched(tmp_path / "cells.xyz")
    found = assemble(basis, lazy, Weights(), E0).triangle()
    np.testing.assert_array_equal(found, assemble(basis, cells, Weights(), E0).triangle())
    assert len(lazy.asked) > 5
    assert [part.start for part in lazy.asked[1:]] == [part.stop for part in lazy.asked[:-1]]
    assert (lazy.asked[0].start, lazy.asked[-1].stop) == (0, len(cells))


def test_a_file_of_cells_is_the_list_of_them(cells, tmp_path):
    path = tmp_path / "cells.xyz"
    write_cells(path, cells)
    lazy, eager = CellFile(path), read_cells(path)
    assert lazy.n_atoms_k == [len(cell.atoms) for cell in cells]
    for mine, theirs in [(lazy[-1], eager[-1]), *zip(lazy, eager, strict=True)]:
        assert (mine.energy, mine.defect, mine.config_type) == (
            theirs.energy,
            theirs.defect,
            theirs.config_type,
        )
        np.testing.assert_array_equal(mine.forces, theirs.forces)
        np.testing.assert_array_equal(mine.atoms.positions, theirs.atoms.positions)
    assert [cell.energy for cell in lazy[3:40:5]] == [cell.energy for cell in eager[3:40:5]]
    assert lazy[4:4] == []
    with pytest.raises(IndexError, match="which has 49"):
        lazy[49]


def test_a_file_that_is_cut_or_no_xyz_is_refused(cells, tmp_path):
    path = tmp_path / "cells.xyz"
    write_cells(path, cells[:3])
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]))
    with pytest.raises(ValueError, match="ends within frame 2"):
        CellFile(path)
    path.write_text("".join([*lines, "atoms\n"]))
    with pytest.raises(ValueError, match=r"frame 3: found b'atoms\\n'; expected a number of atoms"):
        CellFile(path)
    path.write_text("".join(lines).replace("REF_energy", "energy"))
    with pytest.raises(ValueError, match=r"frame 1 .*REF_energy missing"):
        CellFile(path)[1:]
