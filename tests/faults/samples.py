"""One small, sound file of every format that the package reads, and what a reader of it yields. Enter at `FORMATS`."""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk

from ase_mlipgen import ACEBasis, LinearACE
from ase_mlipgen.calculators.eam2d import EAM2D, PotentialJumpWarning
from ase_mlipgen.config import load_any
from ase_mlipgen.data import read_data
from ase_mlipgen.defects import Relaxation
from ase_mlipgen.defects.checkpoint import Checkpoint, Origin, load, save
from ase_mlipgen.eam import setfl
from ase_mlipgen.fit import LinearFit
from ase_mlipgen.labels import LabelledCell, LabelStore, write_cells
from ase_mlipgen.labels.claims import state_of
from ase_mlipgen.labels.reference import Label
from ase_mlipgen.posterior import Posterior
from ase_mlipgen.result import Census, TrainingCell, TrainingResult
from ase_mlipgen.studies import results
from ase_mlipgen.theory.certificate import Certificate, Share
from ase_mlipgen.theory.comparison import Comparison
from ase_mlipgen.theory.errors import Errors
from ase_mlipgen.theory.force_constants import ForceConstants
from ase_mlipgen.tightbinding.parameters import parameter_sets, read_parameters
from ase_mlipgen.trainer.records import Records, packed
from tests.eam import synthetic

BASIS = ACEBasis(["W"], order=2, degree=4, cutoff=4.5)
CELL = bulk("W", "bcc", a=3.165, cubic=True)
CELL.rattle(0.1, seed=0)
KEY = "ab" + "0" * 62
TOML = """# A tungsten sheet, with a comment
[crystal]
kind = "triangular"
element = "W"
r0 = 2.72711

[[defects]]
kind = "vacancy"

[basis]
elements = ["W"]
order = 3
degree = 10.0
cutoff = 5.5

[training]
size = 6  # rings
seed = 0

[simulation]
size = 30
"""


@dataclass(frozen=True)
class Row:
    """Of a study."""

    case: str
    size: int
    exact: bool
    matched: tuple[str, ...]
    geometry: float
    energy: float


def model():
    rng = np.random.default_rng(0)
    n = len(BASIS)
    posterior = Posterior(rng.normal(size=(n, n)), rng.normal(size=(n, n)), 0.1, 1.0, 1.5)
    return LinearACE(BASIS, rng.normal(size=n), {"W": -1.5}, posterior=posterior, metadata={"made": "here"})


def cells(n=3):
    rng = np.random.default_rng(1)
    kinds = ["defect"] * (n - 1) + ["perfect"]
    return [
        LabelledCell(
            CELL, -3.0 - k, rng.normal(size=(2, 3)), rng.normal(size=6), kind, "vacancy" * (k < n - 1)
        )
        for k, kind in enumerate(kinds)
    ]


def result():
    made = model()
    n = len(made.coefficients)
    errors = Errors(*[0.5] * 7, *[3] * 4, 2.0)
    fit = LinearFit(made.coefficients, n, n, 100, 1e-6, "column", 0.5, np.linspace(1, 0.1, n))
    cell = TrainingCell("vacancy, L = 2", "vacancy", 2, CELL, CELL, CELL, 5, 0.5)
    constants = ForceConstants(np.array([0]), np.array([2]), np.ones((1, 3, 2, 3)))
    return TrainingResult(
        made, [cell], cells(), cells(2), fit, errors, errors, {"vacancy": errors}, ("energies",),
        Census(1, 3, 2, 100, n, 1000), {"fit": 0.5}, {"seed": 0}, {"energy": 1.0}, "", constants,
    )  # fmt: skip


def relaxation(forces=True):
    return Relaxation(
        CELL, -3.0, -2.0, True, 5, 1e-4, 0.5, None, 6, None, np.ones((2, 3)) if forces else None
    )


def comparison():
    strain = np.linspace(0, 1, 2)
    return Comparison(
        0.5, 1.0, -1.0, -1.1, -0.1, None, None, None, 0.01, strain, strain, strain, strain, relaxation(), relaxation(),
        None,
    )  # fmt: skip


def certificate():
    shares = (
        Share("vacancy", 0, (0.0, 1.0, 2.0), 0.1, 0.2, 0.3, 0),
        Share("far field", -1, None, 0.1, 0.2, 0.3, -1),
    )
    return Certificate(
        0.2, 0.4, 0.6, (0.1, 0.3), (0.2, 0.5), (0.3, 0.9), shares, -1.0, None, CELL, CELL, CELL, True, 1e-5,
        np.array([0.1, 0.2]), (cells(1)[0],), 3, 1, "ok", ("a note",), (), {"label": 0.5}, "a study",
    )  # fmt: skip


def _atoms(atoms):
    return atoms.positions, atoms.cell.array, atoms.numbers


def _labelled(found):
    for cell in found:
        yield from (
            cell.energy,
            cell.forces,
            0.0 if cell.stress is None else cell.stress,
            *_atoms(cell.atoms),
        )


def read_model(path):
    found = LinearACE.load(path)
    at = CELL.copy()
    at.calc = found
    return (
        found.coefficients,
        found.cutoff,
        list(found.E0.values()),
        at.get_potential_energy(),
        at.get_forces(),
    )


def read_posterior(path):
    found = Posterior.load(path, model().coefficients)
    return found.root, found.grade_root, found.sigma, found.tau, found.inflation


def read_result(path):
    found = TrainingResult.load(path.parent)
    fit, constants = found.fit, found.constants
    yield from (
        fit.coefficients,
        fit.r_diagonal,
        fit.rank,
        fit.rtol,
        fit.residual_norm,
        found.calculator.coefficients,
    )
    yield from () if constants is None else (constants.columns_sanb, constants.sites_s)
    yield from _labelled([*found.train, *found.test])
    for cell in found.cells:
        yield from (
            *_atoms(cell.unrelaxed),
            *_atoms(cell.relaxed),
            *_atoms(cell.perfect),
            cell.size,
            cell.wall_time,
        )


def read_comparison(path):
    found = Comparison.load(path)
    yield from (found.geometry_error, found.energy_excess, found.strain_reference_i, found.reference.fmax)
    yield from (*_atoms(found.reference.atoms), *_atoms(found.surrogate.atoms), found.relaxation_energy_error)


def read_certificate(path):
    found = Certificate.load(path)
    yield from (found.geometry_error, found.relaxation_energy_error, found.site_error_i)
    yield from (*_atoms(found.start), *_atoms(found.relaxed), *_labelled(found.transplants))


def read_checkpoint(path):
    found = load(path, Origin.of(CELL, "a model"))
    return found.positions, found.forces, found.energy, found.step, found.history["s"]


def read_tables(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PotentialJumpWarning)  # a changed last value is one
        made = EAM2D(path)
    elements, r = len(made.elements), np.linspace(0.5, 6.0, 12)
    yield made.cutoff
    for a in range(elements):
        yield from made.functions.site_terms(np.linspace(0, 80, 12), np.full(12, a))
        for b in range(elements):
            yield from made.functions.pair_terms(r, np.full(12, a), np.full(12, b))


def read_yace(path):
    found = LinearACE.from_yace(path)
    at = CELL.copy()
    at.calc = found
    return found.coefficients, found.cutoff, at.get_potential_energy(), at.get_forces()


def read_toml(path):
    config = load_any(path)
    return (
        config.basis.degree,
        config.basis.cutoff,
        config.basis.order,
        config.training.size,
        config.crystal.r0,
    )


def read_labels(path):
    found = read_data(path, test_fraction=0.0)
    return list(_labelled([*found.train, *found.test]))


def read_csv(path):
    found = results.read(path, Row)
    yield found.wall_time
    for row in found.records:
        yield from (row.size, row.exact, row.energy)


def read_parameter_sets(path):
    for found in read_parameters(path).values():
        yield from (found.cutoff, found.width, found.decay, found.electrons)
        yield from (found.onsite_ok, found.hopping_bk, found.overlap_bk)


@dataclass(frozen=True)
class Format:
    """How to write and read a sample.

    Attributes
    ----------
    write : function (folder) -> path
    read : function (path) -> numbers
    place : pattern of messages, of lines or keys
    errors : classes
    binary : an npz file
    comment : bytes before which a comment in Latin-1 may stand; None for formats without comments
    """

    write: Any
    read: Any
    place: str = ""
    errors: tuple[type[Exception], ...] = (ValueError,)
    binary: bool = False
    comment: bytes | None = None


def _saved(make, name):
    return lambda folder: make().save(folder / name)


def _result(name):
    return lambda folder: result().save(folder / "run") / name


def _checkpoint(folder):
    state = Checkpoint(
        CELL.positions, -3.0, np.ones((2, 3)), -2.0, 0.1, 3, 4, 0.5, "LBFGS", False, {"s": np.ones((2, 6))}
    )
    save(folder / "relaxation.npz", state, Origin.of(CELL, "a model"))
    return folder / "relaxation.npz"


def _posterior(folder):
    model().save(folder / "model.json")
    return folder / "model.posterior.npz"


def _tables(kind):
    def write(folder):
        path = folder / f"FeCu.{kind.replace('/', '.')}"
        setfl.write(
            path, synthetic.tables(30, 30, kind == "eam/alloy"), [26, 29], [55.8, 63.5], kind, "a comment"
        )
        return path

    return write


def _yace(folder):
    # Without core: one file, small.
    basis = ACEBasis(["W"], order=2, degree=3, cutoff=4.5)
    made = LinearACE(basis, np.linspace(1, 2, len(basis)), {"W": -1.5})
    return made.export_lammps(folder / "W.yace", [CELL]).potentials[0]


def _toml(folder):
    (folder / "run.toml").write_text(TOML)
    return folder / "run.toml"


def _labels(folder):
    write_cells(folder / "labels.xyz", cells())
    return folder / "labels.xyz"


def _csv(folder):
    rows = [
        Row(f"sheet {k}", k, k > 1, ("energies", "forces"), np.nan if k == 2 else 0.5**k, -1.25 * k)
        for k in range(5)
    ]
    results.write(folder / "rows.csv", results.Results("a study", "default").extended(rows, 12.5))
    return folder / "rows.csv"


def _parameters(folder):
    from ase_mlipgen.tightbinding import parameters

    assert parameter_sets()
    return Path(shutil.copy(Path(parameters.__file__).with_name("nrl_parameters.json"), folder))


LINE = r"line \d+"
FORMATS = {
    "model.json": Format(_saved(model, "model.json"), read_model),
    "posterior.npz": Format(_posterior, read_posterior, binary=True),
    "result.json": Format(_result("result.json"), read_result),
    "result.npz": Format(_result("result.npz"), read_result, binary=True),
    "result labels": Format(_result("labels_train.extxyz"), read_result, r"frame \d+", comment=b"Lattice="),
    "comparison.npz": Format(_saved(comparison, "comparison.npz"), read_comparison, binary=True),
    "certificate": Format(_saved(certificate, "certificate.json"), read_certificate),
    "checkpoint": Format(_checkpoint, read_checkpoint, binary=True),
    "eam/alloy": Format(_tables("eam/alloy"), read_tables, LINE, comment=b"# "),
    "eam/fs": Format(_tables("eam/fs"), read_tables, LINE, comment=b"# "),
    "yace": Format(_yace, read_yace, comment=b"elements"),
    "toml": Format(_toml, read_toml, comment=b"[basis]"),
    "extxyz": Format(_labels, read_labels),
    "csv": Format(_csv, read_csv, r"line \d+|wall_time", comment=b"# machine"),
    "nrl": Format(_parameters, read_parameter_sets),
}


def label(folder):
    """Return a store with one label that has arrays, and a record of each kind."""
    store = LabelStore(folder)
    found = Label(-3.5, np.ones((2, 3)), np.arange(6.0))
    store.put(KEY, found, CELL, "a reference", arrays={"hessian": np.eye(6)})
    return store


def read_store(path):
    """What a store makes of its file; ValueError where it would make the label anew, which is what it logs."""
    store = LabelStore(path.parent.parent)
    if path.suffix == ".npz":
        found = store.arrays(KEY)
        return _or_logged(found, lambda: list(found.values()), path)
    cell = store.cell(KEY)
    return _or_logged(cell, lambda: list(_labelled([cell])), path)


def read_record(path):
    found = Records(path.parent).get(path.stem)
    return _or_logged(found, lambda: list(found.values()), path)


def read_claim(path):
    state = state_of(path)
    assert state is not None
    return (state.owner.pid, state.alive)


def records(folder):
    """Return a record of each kind, by name."""
    import scipy.sparse as sp

    kept = Records(folder)
    kept.put("relaxation", {"positions": CELL.positions, "steps": 3, "wall_time": 0.5})
    kept.put("constants", vars(ForceConstants(np.array([0]), np.array([2]), np.ones((1, 3, 2, 3)), 3)))
    kept.put("dense", packed(np.eye(6)))
    kept.put("sparse", packed(sp.csr_matrix(np.eye(6))))
    return [kept.path(name) for name in ("relaxation", "constants", "dense", "sparse")]


def _or_logged(found, numbers, path):
    if found is not None:
        return numbers()
    raise ValueError(f"{path.name} is made again")
