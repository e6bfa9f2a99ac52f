"""Table 2: the paper's numbers of functions and observations, and rows that hold what they say."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from scipy.linalg import qr

from ase_mlipgen.fit import rows
from ase_mlipgen.fit.weights import Weights
from ase_mlipgen.labels import LabelledCell
from ase_mlipgen.report.studies import figure_of
from ase_mlipgen.studies import table2
from ase_mlipgen.studies.catalogue import STUDIES
from ase_mlipgen.studies.fits import trainer_of
from ase_mlipgen.studies.planar import planar_count
from ase_mlipgen.studies.study import run
from ase_mlipgen.theory.matching import UNWEIGHTED

FUNCTIONS = (51, 110, 211, 383, 668, 1119, 1445, 1809, 2849)
OBSERVATIONS = {4: 6800, 5: 14000, 6: 17600, 7: 28400, 8: 41600}
TINY = replace(
    table2.STUDIED, sizes=(4,), rtols=(1e-3, 1e-6), options={**table2.STUDIED.options, "n_train": 12, "n_test": 3}
)  # fmt: skip
BASES = ((2, 10), (3, 10))
PROTOCOLS = ("default", "paper")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table2")
    study = table2.study_of(TINY, BASES)
    return {protocol: run(study, folder, protocol).records for protocol in PROTOCOLS}


def test_bases_have_the_numbers_of_functions_of_the_paper():
    assert tuple(len(table2.STUDIED.basis(*basis)) for basis in table2.BASES) == FUNCTIONS


@pytest.mark.parametrize("size", OBSERVATIONS)
def test_training_sets_have_the_numbers_of_observations_of_the_paper(size):
    for protocol, more in (("paper", 0), ("default", 20)):
        settings = STUDIES["table2"].select(protocol, {"size": [str(size)], "degree": ["10"], "order": ["2"]})
        trainer = trainer_of(table2.STUDIED.following(protocol), settings[0], None)
        perfect = more * (1 + 3 * len(trainer.cells()[0].perfect))
        assert trainer.census().n_rows - perfect == OBSERVATIONS[size]


def on_cluster(basis, positions):
    cluster = LabelledCell(Atoms("W" * len(positions), positions), 0.0, np.zeros_like(positions))
    return rows(basis, cluster, UNWEIGHTED, {"W": 0.0}, ("energy",)).A[0]


def test_functions_that_are_independent_in_a_plane():
    """By singular values of what the functions are on random atoms in a plane, and in space."""
    basis, rng = table2.STUDIED.basis(3, 12), np.random.default_rng(0)
    for height, count in ((0.0, planar_count(3, 12)), (5.0, len(basis))):
        values = np.array(
            [on_cluster(basis, rng.uniform(0.0, (6.0, 6.0, height), (12, 3))) for _ in range(400)]
        )
        singular = np.linalg.svd(values / np.linalg.norm(values, axis=0), compute_uv=False)
        assert np.sum(singular > 1e-10 * singular[0]) == count
    assert [planar_count(*basis) for basis in table2.BASES[:6]] == [51, 110, 210, 379, 654, 1081]


def test_every_basis_is_fitted_at_every_size_and_tolerance():
    for protocol, variants in (("paper", 1), ("default", 2)):
        settings = STUDIES["table2"].select(protocol)
        assert len(set(settings)) == len(settings) == 5 * 9 * 5 * variants


def test_observations_of_the_paper_are_those_of_defective_cells(found):
    for protocol, n_perfect in (("paper", 0), ("default", 20)):
        for record in found[protocol]:
            assert record.n_atoms == 11
            assert record.n_observations == 12 * (1 + 3 * 11)
            assert record.n_rows - record.n_observations == n_perfect * (1 + 3 * 12)


def test_errors_are_those_of_a_training_run(found):
    for protocol in PROTOCOLS:
        record = found[protocol][-1]
        trainer = trainer_of(TINY.following(protocol), record, None)
        trainer.uncertainty, trainer.on_unstable = False, "warn"
        with warnings.catch_warnings(action="ignore"):  # of small cells, and of none without a defect
            errors = trainer.run().errors
        assert record.rank == errors.rank
        names = {"energy": "energy_rmse", "force": "force_rmse", "force_constants": "force_constants_percent"}
        for name in (
            "energy",
            "force",
            "force_constants",
            "eps_E",
            "eps_F",
            "eps_FC",
            "eps_FC_hom",
            "stability",
        ):
            assert getattr(record, name) == pytest.approx(
                getattr(errors, names.get(name, name)), rel=1e-5, abs=1e-9
            )


def test_rank_is_that_of_the_columns_as_they_are(found):
    """By SciPy's pivoted QR of the whole matrix, where ours works on its triangle."""
    trainer = trainer_of(TINY.following("paper"), found["paper"][0], None)
    for order, degree in BASES:
        basis, E0 = TINY.basis(order, degree), trainer.one_body()
        blocks = [rows(basis, cell, Weights(energy=100.0, forces=1.0), E0) for cell in trainer.label()[0]]
        _, R, _ = qr(np.concatenate([block.A for block in blocks]), mode="economic", pivoting=True)
        pivots = np.abs(np.diagonal(R))
        for record in found["paper"]:
            if (record.order, record.degree) == (order, degree):
                assert record.rank == np.sum(pivots > record.rtol * pivots[0])
                assert record.rank < record.n_functions


def test_tighter_tolerances_and_scaled_columns_keep_more(found):
    for key, fits in table2.by_fit(found["paper"], False).items():
        scaled = table2.by_fit(found["default"], False)[key]
        assert fits[1e-3].rank < fits[1e-6].rank < scaled[1e-6].rank
        assert fits[1e-3].force > fits[1e-6].force


def test_matched_fits_hold_the_conditions(found):
    for record in found["default"]:
        assert bool(record.matched) == bool(record.matching)
        assert (record.constraint_rank > 0) == bool(record.matched)
        assert record.violation < 1e-9
    exact = table2.by_fit(found["default"], True)[4, 110][1e-6]
    assert exact.matched == ("energies", "forces", "force_constants")
    assert exact.force_constants < 1e-7
    assert exact.eps_FC_hom < 1e-7


def test_table_has_the_columns_of_the_paper(found):
    head, body = table2.table(found["paper"])
    assert [row[:3] for row in body] == [["4", "51", "408"], ["4", "110", "408"]]
    assert head[3:8] == ["eps_E (meV/atom)", "eps_F (eV/Å)", "eps_FC_hom (%)", "rank", "in a plane"]
    for row, key in zip(body, ((4, 51), (4, 110)), strict=True):
        record = table2.by_fit(found["paper"], False)[key][1e-6]
        assert float(row[3]) == pytest.approx(1e3 * record.energy, rel=0.05)
        assert float(row[8]) == pytest.approx(record.assembly_time + record.solution_time, abs=0.006)
    wider, body = table2.table(found["default"])
    assert wider[3] == "rows"
    assert wider[-2:] == ["matched: eps_E", "eps_F"]
    assert all(len(row) == len(wider) for row in body)


def test_picture_shows_errors_over_functions_and_tolerances(found):
    figure = figure_of("table2", found["paper"])
    upper, lower = figure.axes[0].lines[0].get_xydata(), figure.axes[4].lines[0].get_xydata()
    assert upper[:, 0].tolist() == [51, 110]
    assert lower[:, 0].tolist() == [1e-3, 1e-6]
    assert upper[0, 1] == lower[1, 1] == found["paper"][1].energy
