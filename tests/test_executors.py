"""Executors by name: what a name means, what is refused, workers that start, close, and end with the program."""

import importlib.util
import os
import re
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlipgen import EAM2D, ACEBasis, DefectTrainer, Vacancy, triangular_lattice
from ase_mlipgen.config import ConfigError, build, parse
from ase_mlipgen.executors import is_remote, named, pickler_of, workers_of
from ase_mlipgen.executors import opening as rooms
from ase_mlipgen.labels import LabelledCell, as_factory, label
from ase_mlipgen.trainer import fitting
from tests.executor_tasks import blas, die, double, where

ROOT = Path(__file__).parent.parent
MINIMAL = '[crystal]\nkind="triangular"\nelement="W"\nr0=2.7\n[[defects]]\nkind="vacancy"\n'


def needs(library):
    missing = importlib.util.find_spec(library) is None
    return pytest.mark.skipif(missing, reason=f"{library} is not installed")


@pytest.fixture(scope="module")
def dask():
    with named("dask:2", timeout=400) as executor:
        yield executor


@pytest.fixture(scope="module")
def nodes():
    with named("executorlib", workers=2) as executor:
        yield executor


def trainer(**changes):
    basis = ACEBasis(["W"], order=2, degree=8, cutoff=4.0)
    sheet = triangular_lattice("W", 2.72711)
    return DefectTrainer(sheet, Vacancy(), EAM2D, basis, 5, 15, 5, n_perfect=4, progress=False, **changes)


@pytest.fixture(scope="module")
def serial():
    return trainer().run()


def assert_same(result, serial):
    for mine, theirs in zip([*result.train, *result.test], [*serial.train, *serial.test], strict=True):
        assert mine.energy == theirs.energy
        np.testing.assert_array_equal(mine.forces, theirs.forces)
    np.testing.assert_array_equal(result.calculator.coefficients, serial.calculator.coefficients)
    assert (result.errors, result.train_errors) == (serial.errors, serial.train_errors)
    assert result.settings == serial.settings


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("slurm", {}, r"executor = 'slurm': expected \"serial\", \"processes\", \"dask\" or \"executorlib\""),
        ("serial:2", {}, "expected"),
        ("serial", {"workers": 2}, 'name "processes", or one worker'),
        ("processes:two", {}, "expected"),
        ("processes:0", {}, "0 workers; expected at least 1"),
        ("processes:2", {"workers": 3}, "give one number of workers"),
        ("processes", {"settings": {"cores": 1}}, "takes no settings; given are cores"),
        ("executorlib:PBSExecutor", {}, "SlurmClusterExecutor"),
        ("dask", {"timeout": 0.0}, "expected a positive number"),
    ],
)
def test_what_is_no_executor_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        named(name, **options)


@pytest.mark.parametrize(("name", "library"), [("dask", "distributed"), ("executorlib", "executorlib")])
def test_a_missing_library_is_named_with_its_extra(name, library, monkeypatch):
    monkeypatch.setattr(
        rooms.importlib.util, "find_spec", lambda module: None if module == library else module
    )
    with pytest.raises(
        ImportError, match=rf'needs the package {library}: pip install "ase-mlipgen\[{name}\]"'
    ):
        named(name)
    with pytest.raises(ConfigError, match=r"in \[run\].*pip install"):
        build.executor(parse(MINIMAL, changes=[f"run.executor={name}"]))


def test_serial_is_none_and_others_are_counted():
    assert named("serial") is named("serial", workers=1) is None
    assert workers_of(None) == 1
    with ThreadPoolExecutor(3) as pool:
        assert (workers_of(pool), is_remote(pool), pickler_of(pool)) == (3, False, None)


def test_processes_start_when_asked_and_again_after_they_were_closed():
    executor = named("processes:2")
    assert "not open" in repr(executor)
    pid = executor.submit(where).result()
    assert pid != os.getpid()
    assert (executor.n_workers, is_remote(executor)) == (2, False)
    executor.shutdown()
    assert "not open" in repr(executor)
    assert executor.submit(where).result() not in (pid, os.getpid())
    executor.shutdown(cancel_futures=True)


def test_processes_are_replaced_after_one_died():
    with named("processes:1") as executor:
        with pytest.raises(BrokenExecutor):
            executor.submit(die).result()
        assert executor.submit(double, 21).result() == 42


def test_references_must_travel():
    cells = [bulk("Cu", cubic=True)]
    with pytest.raises(TypeError, match="cannot be pickled for worker processes"):
        label(cells, lambda: EMT(), named("processes:2"))
    assert as_factory(EMT, named("processes:2")) is EMT


def test_trainer_opens_and_closes_what_it_names(serial):
    one = trainer(executor="processes:2", fit_executor=True)
    assert_same(one.run(), serial)
    assert "not open" in repr(one.executor)
    with pytest.raises(ValueError, match="fit_executor = True without an executor"):
        trainer(fit_executor=True)


@needs("distributed")
def test_dask_cluster_of_two_processes_gives_the_serial_run(serial, dask, monkeypatch):
    """The bar: labels, coefficients and errors, bit for bit; rows folded by dask in many tasks."""
    monkeypatch.setattr("ase_mlipgen.fit.factor.SMALLEST_LEAF", 150)
    serial_of_leaves = trainer().run()
    processes = {future.result() for future in [dask.submit(where, 0.1) for _ in range(8)]}
    assert len(processes - {os.getpid()}) == 2
    assert_same(trainer(executor=dask, fit_executor=True).run(), serial_of_leaves)


@needs("distributed")
def test_dask_scheduler_by_its_address(dask, serial):
    address = dask.open()[0]._client.scheduler.address
    with named(f"dask:{address}", workers=2, timeout=400) as executor:
        assert (executor.n_workers, is_remote(executor)) == (2, True)
        assert set(executor.submit(blas).result()) <= {1}
        assert_same(trainer(executor=executor).run(), serial)


@needs("distributed")
def test_an_address_that_does_not_answer_is_given_up_in_time():
    begun = time.perf_counter()
    with pytest.raises(ConnectionError, match=r"no dask scheduler answers at tcp://127.0.0.1:9 within 0.5 s"):
        named("dask:tcp://127.0.0.1:9", timeout=0.5).open()
    assert time.perf_counter() - begun < 15
    with pytest.raises(ValueError, match="unknown address scheme"):
        named("dask:nonsense://host").open()
    with pytest.raises(ConfigError, match=r"in \[run\]: executor = .*no dask scheduler answers"):
        build.executor(parse(MINIMAL, changes=["run.executor=dask:tcp://127.0.0.1:9", "run.timeout=0.5"]))


@needs("distributed")
def test_a_scheduler_without_workers_is_given_up_in_time():
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        pytest.raises(ConnectionError, match=r"has 0 of 3 workers after 0.5 s; start them with `dask worker"),
    ):
        named(f"dask:{cluster.scheduler_address}", workers=3, timeout=0.5).open()


@needs("executorlib")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_executorlib_gives_the_serial_run(nodes, serial):
    assert (nodes.n_workers, is_remote(nodes)) == (2, False)
    assert set(nodes.submit(blas).result()) <= {1}
    assert_same(trainer(executor=nodes, fit_executor=True).run(), serial)


class Recorded:
    """Stands in for a class of executorlib."""

    def __init__(self, **options):
        self.options, self.closed = options, False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.closed = True

    def submit(self, function, *args):
        return SimpleNamespace(result=lambda: function(*args))

    def shutdown(self, wait=True, cancel_futures=False):
        self.closed = True


@pytest.mark.parametrize("cls", rooms.CLASSES)
def test_settings_reach_executorlib(cls, monkeypatch):
    """SLURM and Flux are not here: this is the way of the arguments, not a job."""
    monkeypatch.setitem(sys.modules, "executorlib", SimpleNamespace(**{cls: Recorded}))
    monkeypatch.setattr(rooms.importlib.util, "find_spec", lambda module: module)
    resources = {"cores": 4, "slurm_cmd_args": ["--account=x"]}
    config = parse(
        MINIMAL + f'[run]\nexecutor="executorlib:{cls}"\nworkers=7\n'
        '[run.settings.resource_dict]\ncores=4\nslurm_cmd_args=["--account=x"]\n'
    )
    with build.executor(config) as executor:
        made, n_workers = executor.open()
        assert n_workers == 7
        stay = {} if "Cluster" in cls else {"block_allocation": True}
        assert made.options == {"max_workers": 7, "resource_dict": resources, **stay}
        assert executor.submit(double, 4).result() == 8
        assert is_remote(executor) == (cls != "SingleNodeExecutor")
    assert made.closed


def test_rows_travel_where_the_executor_is_much_larger(monkeypatch):
    def asks(n_workers, remote=True, much=0.0):
        monkeypatch.setattr(fitting, "workers_of", lambda executor: n_workers)
        monkeypatch.setattr(fitting, "is_remote", lambda executor: remote)
        monkeypatch.setattr(fitting, "available_threads", lambda: 4)
        monkeypatch.setattr(fitting, "MUCH", much)
        cells = [LabelledCell(atoms, 0.0, np.zeros((len(atoms), 3))) for atoms in [bulk("W", cubic=True)]]
        return trainer()._rows_travel(cells, ["energy", "forces"])

    assert asks(8)
    assert not asks(7)
    assert not asks(8, remote=False)
    assert not asks(8, much=1e15)
    assert not asks(None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], None),
        (["run.workers=1"], None),
        (["run.workers=3"], ("processes", 3)),
        (["run.executor=processes:2"], ("processes:2", 2)),
        (["run.executor=processes", "run.workers=2"], ("processes", 2)),
    ],
)
def test_configurations_name_executors(changes, expected):
    executor = build.executor(parse(MINIMAL, changes=changes))
    assert (executor and (executor.name, executor.n_workers)) == expected
    if executor:
        executor.shutdown()


def test_workers_on_the_command_line_replace_those_of_the_file():
    config = parse(MINIMAL, changes=["run.workers=3", "run.fit=true"])
    with build.executor(config, 2) as executor:
        assert executor.n_workers == 2
        assert build.trainer(config, executor, progress=False).fit_executor is True
    assert build.trainer(config, None, progress=False).fit_executor is None
    with pytest.raises(ConfigError, match="serial"):
        build.executor(parse(MINIMAL, changes=["run.executor=serial"]), 4)


@pytest.mark.parametrize(
    "kind",
    ["processes", pytest.param("executorlib", marks=needs("executorlib"))],
)
def test_workers_end_with_a_program_that_forgets_them(kind):
    code = f"""
from ase_mlipgen.executors import named
from tests.executor_tasks import double
if __name__ == "__main__":
    executor = named("{kind}", workers=1)
    print(executor.submit(double, 4).result())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "8\n"


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_processes_end_with_a_program_that_is_killed():
    code = """
import time
from ase_mlipgen.executors import named
from tests.executor_tasks import where
if __name__ == "__main__":
    executor = named("processes:2")
    print(executor.submit(where).result(), flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as program:
        worker = int(program.stdout.readline())
        assert is_running(worker)
        program.kill()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and is_running(worker):
        time.sleep(0.05)
    assert not is_running(worker)


def test_tables_of_the_how_to_are_accepted(monkeypatch):
    """Each [run] table of the page names an executor that there is, with settings that its kind takes."""
    monkeypatch.setattr(rooms.importlib.util, "find_spec", lambda module: module)
    text = (ROOT / "docs" / "how-to-executors.md").read_text()
    tables = [parse(MINIMAL + block).run for block in re.findall(r"```toml\n(.*?)```", text, flags=re.S)]
    found = [named(table.executor, table.workers, table.settings, table.timeout) for table in tables]
    assert [executor.name for executor in found] == [table.executor for table in tables]
    assert len(found) == 5
