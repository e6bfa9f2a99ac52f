"""Labels against direct calls of the calculator; the same on every executor; failures, named."""

import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from ase_mlipgen.labels import LabelError, LabelStore, as_factory, label, label_one
from tests.labels.references import Broken, Spring, broken, emt, spring


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool


def copper(n=6):
    cells = []
    for seed in range(n):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=seed)
        cells.append((atoms, "perfect" if seed == 0 else "defect", "" if seed == 0 else "vacancy"))
    return cells


def far(n, where):
    """n springs, those at `where` stretched beyond breaking."""
    return [
        (Atoms("W2", [[200.0 if i in where else i, 0, 0], [0, 0, i]]), "defect", "vacancy") for i in range(n)
    ]


def numbers(cells):
    return [(c.energy, c.forces.tobytes(), None if c.stress is None else c.stress.tobytes()) for c in cells]


def test_labels_are_those_of_the_calculator():
    cells = copper()
    labelled = label(cells, emt, observations=("energy", "forces", "stress"))
    for (atoms, config_type, defect), got in zip(cells, labelled, strict=True):
        direct = atoms.copy()
        direct.calc = EMT()
        assert got.energy == direct.get_potential_energy()
        np.testing.assert_array_equal(got.forces, direct.get_forces())
        np.testing.assert_array_equal(got.stress, direct.get_stress())
        np.testing.assert_array_equal(got.atoms.positions, atoms.positions)
        assert (got.config_type, got.defect, got.atoms.calc) == (config_type, defect, None)


@pytest.mark.parametrize("make", [lambda: EMT, lambda: emt, EMT], ids=["class", "function", "instance"])
def test_same_on_every_executor(make, processes):
    cells, reference = copper(), make()
    serial = numbers(label(cells, reference, observations=("stress",)))
    assert numbers(label(cells[::-1], reference, observations=("stress",)))[::-1] == serial
    with ThreadPoolExecutor(3) as threads:
        assert numbers(label(cells, reference, threads, ("stress",))) == serial
    assert numbers(label(cells, make(), processes, ("stress",))) == serial


def test_energy_is_the_free_energy_and_forces_are_unconstrained():
    atoms = Atoms("W2", [[1.0, 0, 0], [0, 2.0, 0]])
    atoms.set_constraint(FixAtoms([0]))
    (got,) = label([atoms], partial(spring, 2.0))
    assert got.energy == pytest.approx(5.0)
    np.testing.assert_array_equal(got.forces, -2.0 * atoms.positions)
    assert got.stress is None
    assert len(atoms.constraints) == 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "Refused: spring refused to stretch"),
        ("nan", "forces are not finite on 1 atoms, first on atom 1"),
        ("shape", r"forces have shape \(3, 3\); expected \(2, 3\)"),
    ],
)
@pytest.mark.parametrize("where", ["serial", "threads", "processes"])
def test_failure_names_the_configuration(how, message, where, processes):
    executor = {"serial": None, "threads": ThreadPoolExecutor(2), "processes": processes}[where]
    with pytest.raises(
        LabelError, match=r"configuration 3 \(defect vacancy, 2 atoms\): .*" + message
    ) as failure:
        label(far(5, {3}), partial(broken, how), executor)
    assert failure.value.number == 3
    assert failure.value.__cause__ is not None
    assert pickle.loads(pickle.dumps(failure.value)).number == 3
    if where == "threads":
        executor.shutdown()


def test_a_failure_does_not_stop_the_others_and_all_are_listed():
    calls = []

    class Counting(Broken):
        def calculate(self, *args, **kwargs):
            calls.append(1)
            super().calculate(*args, **kwargs)

    with ThreadPoolExecutor(1) as pool, pytest.raises(LabelError, match="2 of 9 configurations") as failure:
        label(far(9, {0, 4}), Counting, pool, retries=1)
    assert len(calls) == 9 + 2
    assert [(f.number, f.verdict, f.attempts) for f in failure.value.failures] == [
        (0, "raised", 2),
        (4, "raised", 2),
    ]


def test_progress_counts_up(processes):
    seen = []
    label(copper(3), emt, processes, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_instance_is_used_as_it_is_serially():
    calculator = EMT()
    assert as_factory(calculator)() is calculator
    with ThreadPoolExecutor(1) as pool:
        assert as_factory(calculator, pool)() is not calculator


def test_unusable_references_are_refused(processes):
    with pytest.raises(TypeError, match="expected an ASE calculator"):
        label(copper(1), "EMT")
    with pytest.raises(TypeError, match=r"cannot be pickled for worker processes .*top of a module"):
        label(copper(1), lambda: EMT(), processes)
    used = EMT()
    label(copper(1), used)
    with pytest.raises(TypeError, match="cannot be pickled for worker processes"):
        label(copper(1), used, processes)
    stuck = Spring()
    stuck.lock = threading.Lock()
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(TypeError, match="cannot be copied, one for each label"),
    ):
        label(copper(1), stuck, pool)
    with pytest.raises(TypeError, match="factory returned 3"):
        label_one(lambda: 3, copper(1)[0][0])
    with pytest.raises(ValueError, match="cannot label 'dipole'"):
        label(copper(1), emt, observations=("dipole",))


def test_labels_made_before_a_failure_are_kept(tmp_path):
    store = LabelStore(tmp_path)
    cells = far(5, {3})
    with pytest.raises(LabelError):
        label(cells, partial(broken, "raise"), store=store)
    assert len(store) == 4
    with ThreadPoolExecutor(5) as pool, pytest.raises(LabelError):
        label(cells, partial(broken, "nan"), pool, store=LabelStore(tmp_path / "threads"))
    assert len(LabelStore(tmp_path / "threads")) == 4
