"""Certificates: against the truth on large cells, against closed forms, and where they must refuse."""

import dataclasses

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.defects import (
    Interstitial,
    Substitution,
    Vacancy,
    relax,
    simulation_cell,
    training_cell,
    triangular_lattice,
)
from ase_mlipgen.eam.analytic import TUNGSTEN
from ase_mlipgen.labels import LabelStore
from ase_mlipgen.result import TrainingCell
from ase_mlipgen.theory import bonds, compare, strain_norm
from ase_mlipgen.theory.certificate import Certificate, CertificateFileError
from ase_mlipgen.theory.certify import Labelling, certify, warm_start
from ase_mlipgen.theory.cores import UnknownCoreError
from ase_mlipgen.theory.correction import Response
from ase_mlipgen.theory.far_field import difference_stencil
from ase_mlipgen.theory.force_constants import force_constants, full_hessian
from ase_mlipgen.theory.norms import DualNorm
from ase_mlipgen.theory.sites import host_sites, nearest_images, on_all_sites, primitive
from ase_mlipgen.theory.transplant import trained_core, transplant

SHEET = triangular_lattice("W", 2.72711)
HOLLOW = Interstitial((0.5, 1.0 / 6.0))
COPPER = bulk("Cu", cubic=True, a=3.58982559)


def softer(by=1.005):
    """Tungsten with a slightly different repulsion: a surrogate that was not fitted."""
    return EAM2D(dataclasses.replace(TUNGSTEN, A=by * TUNGSTEN.A))


def trained(defects, size, crystal=SHEET):
    """Training cells, unrelaxed: a certificate needs no more of them."""
    perfect = training_cell(crystal, None, size)
    cells = [training_cell(crystal, defect, size) for defect in defects]
    return [
        TrainingCell(d.name, d.name, size, c, c, perfect, 0, 0.0) for d, c in zip(defects, cells, strict=True)
    ]


@pytest.fixture(scope="module")
def pair():
    """Two vacancies in the sheet, certified on cells of L = 7, and the truth."""
    large, perfect = simulation_cell(SHEET, [Vacancy()] * 2, 18, 8), simulation_cell(SHEET, [], 18, 8)
    certificate = certify(Labelling(EAM2D), softer(), trained([Vacancy()], 7), large)
    return certificate, compare(EAM2D(), softer(), large, perfect), large


def test_two_vacancies_are_predicted_without_the_reference_on_the_large_cell(pair):
    """Measured: geometry to 1 %, energies to 2 %, most of the geometry's error taken away."""
    certificate, true, large = pair
    assert certificate.verdict == "ok"
    assert certificate.geometry_error == pytest.approx(true.geometry_error, rel=0.1)
    assert certificate.relaxation_energy_error == pytest.approx(true.relaxation_energy_error, rel=0.1)
    assert certificate.formation_energy_error == pytest.approx(true.formation_energy_error, rel=0.1)
    assert certificate.corrected_formation_energy == pytest.approx(
        true.formation_energy_reference, abs=0.1 * abs(true.formation_energy_error)
    )
    left = strain_norm(bonds(large), certificate.corrected.positions - true.reference.atoms.positions)
    assert left < 0.3 * true.geometry_error
    assert certificate.corrected_geometry_usable


def test_shares_sum_to_the_errors_and_equivalent_cores_share_labels(pair):
    certificate, _, _ = pair
    assert [share.name for share in certificate.shares] == ["vacancy", "vacancy", "far field"]
    for name in ("geometry", "relaxation_energy", "formation_energy"):
        total = sum(getattr(share, name) for share in certificate.shares)
        assert total == pytest.approx(getattr(certificate, f"{name}_error"))
    assert np.linalg.norm(certificate.site_error_i) == pytest.approx(certificate.geometry_error)
    first, second, _ = certificate.shares
    assert first.label == second.label == 0
    assert certificate.n_labels == 2 == len(certificate.transplants)
    assert first.geometry == pytest.approx(second.geometry, rel=0.02)


def test_a_certificate_reads_back(pair, tmp_path):
    certificate, _, _ = pair
    again = Certificate.load(certificate.save(tmp_path / "c.json"))
    assert str(again) == str(certificate)
    assert np.array_equal(again.corrected.positions, certificate.corrected.positions)
    assert np.array_equal(again.transplants[0].forces, certificate.transplants[0].forces)
    assert again.numbers() == certificate.numbers()
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(CertificateFileError, match="make it again"):
        Certificate.load(tmp_path / "c.json")


def test_the_reference_has_no_error():
    large = simulation_cell(SHEET, [Vacancy()] * 2, 18, 6)
    found = certify(Labelling(EAM2D), EAM2D(), trained([Vacancy()], 6), large)
    assert found.geometry_error < 1e-9
    assert abs(found.relaxation_energy_error) < 1e-9
    assert abs(found.formation_energy_error) < 1e-9


def test_several_kinds_without_word_of_where_they_are(tmp_path):
    """An interstitial and a vacancy, found from the atoms alone; repeating it costs no label."""
    defects = [Vacancy(), HOLLOW]
    large, perfect = simulation_cell(SHEET, defects, 22, 8), simulation_cell(SHEET, [], 22, 8)
    true = compare(EAM2D(), softer(), large, perfect)
    large.info = {}
    counted = []
    labelling = Labelling(
        EAM2D, store=LabelStore(tmp_path), progress=lambda done, total: counted.append(done)
    )
    found = certify(labelling, softer(), trained(defects, 8), large)
    assert sorted(share.name for share in found.shares) == ["far field", "interstitial", "vacancy"]
    assert found.geometry_error == pytest.approx(true.geometry_error, rel=0.3)
    assert found.relaxation_energy_error == pytest.approx(true.relaxation_energy_error, rel=0.3)
    assert found.formation_energy_error == pytest.approx(true.formation_energy_error, rel=0.3)
    assert counted == list(range(1, 8))
    counted.clear()
    again = certify(labelling, softer(), trained(defects, 8), large)
    assert counted == [7]
    assert again.geometry_error == found.geometry_error


def test_three_dimensions_and_a_foreign_atom():
    """Copper with a vacancy and a gold atom; the surrogate is the reference with another equilibrium distance."""

    class Softer(EMT):
        def initialize(self, atoms):
            super().initialize(atoms)
            self.par["V0"] = 1.01 * self.par["V0"]

    defects = [Vacancy(), Substitution("Au")]
    large, perfect = (simulation_cell(COPPER, d, 4, 2) for d in (defects, []))
    found = certify(Labelling(EMT), Softer(), trained(defects, 2, COPPER), large, mu={"Au": 0.0}, fmax=1e-3)
    true = compare(EMT(), Softer(), large, perfect, mu={"Au": 0.0}, fmax=1e-3)
    assert true.formation_energy_error != pytest.approx(0.0, abs=1e-3)
    assert found.formation_energy_error == pytest.approx(true.formation_energy_error, rel=0.1)
    assert found.geometry_error == pytest.approx(true.geometry_error, rel=0.5)
    assert found.corrected_formation_energy == pytest.approx(true.formation_energy_reference, abs=0.01)


def test_overlapping_cores_are_told_and_offered_as_one_defect():
    large = simulation_cell(SHEET, [Vacancy()] * 2, 20, 3)
    found = certify(Labelling(EAM2D), softer(), trained([Vacancy()], 7), large)
    assert found.verdict == "overlapping"
    assert "outside the theory" in found.notes[0]
    (cluster,) = found.clusters
    assert len(training_cell(SHEET, cluster, 9)) == len(training_cell(SHEET, None, 9)) - 2


def test_what_was_not_trained_is_refused():
    large = simulation_cell(SHEET, [Vacancy(), HOLLOW], 20, 8)
    with pytest.raises(UnknownCoreError, match="none of the training defects"):
        certify(Labelling(EAM2D), softer(), trained([Vacancy()], 6), large)
    with pytest.raises(ValueError, match="no defect"):
        certify(Labelling(EAM2D), softer(), trained([Vacancy()], 6), simulation_cell(SHEET, [], 20, 8))
    moved = simulation_cell(SHEET, [Vacancy()], 20, 8)
    moved.positions[:, 0] += np.random.default_rng(0).normal(0, 0.8, len(moved))
    with pytest.raises(ValueError, match="unrelaxed"):
        certify(Labelling(EAM2D), softer(), trained([Vacancy()], 6), moved)


def test_a_model_that_runs_away_has_the_verdict_diverged():
    large = simulation_cell(SHEET, [Vacancy()], 14, 8)
    found = certify(Labelling(EAM2D), softer(), trained([Vacancy()], 6), large, steps=1)
    assert found.verdict == "diverged"
    assert not found.has_numbers
    assert np.isnan(found.geometry_error)
    assert found.numbers()["geometry_error"] is None


@pytest.mark.parametrize("crystal", [SHEET, bulk("Si", cubic=True)], ids=["sheet", "diamond"])
def test_stencil_is_the_hessian(crystal):
    """On the cell that the force constants are from, the stencil is H~ - H; a strain of a sheet gives no force."""
    perfect = training_cell(crystal, None, 2 if len(crystal) > 2 else 6)
    rng = np.random.default_rng(3)
    if len(crystal) > 2:
        from ase.calculators.lj import LennardJones

        models = [LennardJones(sigma=2.0, epsilon=e, rc=4.2, smooth=True) for e in (0.3, 0.31)]
    else:
        models = [softer(), EAM2D()]
    constants = [force_constants(perfect, model) for model in models]
    host = primitive(perfect)
    stencil = difference_stencil(host, perfect, *constants)
    sites = host_sites(host, perfect)
    d = constants[0].columns_sanb.shape[1]
    u = np.zeros((len(perfect), 3))
    u[:, :d] = rng.normal(0, 0.1, (len(perfect), d))
    on_sites = u[sites.atom_s]
    found, energy = stencil.apply(stencil.targets(sites), on_sites)
    difference = full_hessian(constants[0], perfect) - full_hessian(constants[1], perfect)
    expected = (difference @ u[:, :d].ravel()).reshape(-1, d)
    scale = np.abs(expected).max()
    assert np.abs(found[sites.site_i][:, :d] - expected).max() < 1e-6 * scale
    assert energy.sum() == pytest.approx(0.5 * np.sum(u[:, :d] * expected), rel=1e-6)
    if d == 2:
        strain = np.zeros((3, 3))
        strain[:2, :2] = rng.normal(0, 0.1, (2, 2))
        assert np.abs(stencil.apply(stencil.targets(sites), 0 * on_sites, strain)[0]).max() < 1e-9


def test_a_homogeneous_strain_is_transplanted_as_strain_alone():
    """Displacements that are linear around the core: the transplant is the strained cell, exactly."""
    large = simulation_cell(SHEET, [Vacancy()], 30, 8)
    cell = training_cell(SHEET, Vacancy(), 7)
    host = primitive(training_cell(SHEET, None, 7))
    sites, core = host_sites(host, large), trained_core("vacancy", cell, host)
    centre = np.array(large.info["defect_centres"][0])
    gradient = np.array([[0.01, 0.004, 0], [-0.002, -0.006, 0], [0, 0, 0.0]])
    u_sc = (sites.positions_sc - centre) @ gradient.T
    moved = transplant(core, centre, large, sites, u_sc, u_sc[sites.site_i])
    assert np.abs(moved.strain - gradient).max() < 1e-12
    assert np.abs(moved.u_sc).max() < 1e-12
    assert np.allclose(moved.defective().cell, cell.cell @ (np.eye(3) + gradient).T)


def test_sites_know_vacancies_and_added_atoms():
    large = simulation_cell(COPPER, [Vacancy(), Interstitial((0.5, 0.5, 0.5))], 5, 2)
    sites = host_sites(primitive(training_cell(COPPER, None, 2)), large)
    assert len(sites.vacant_s) == len(sites.added_i) == 1
    places = np.array(large.info["defect_centres"])
    assert np.allclose(sites.positions_sc[sites.vacant_s[0]], places[0])
    assert np.allclose(large.positions[sites.added_i[0]], places[1])
    u = np.ones((len(large), 3))
    assert np.allclose(on_all_sites(sites, u), 1.0)


def test_nearest_images_share_ties():
    (found,) = nearest_images(
        np.array([[1.0, 1.0, 0.3]]), np.diag([2.0, 2.0, 4.0]), np.array([True, True, True])
    )
    assert len(found) == 4
    assert np.allclose(np.abs(found), [1.0, 1.0, 0.3])


@pytest.mark.parametrize("exact", [True, False], ids=["Hessian", "differences"])
def test_response_inverts_the_hessian(exact):
    """Against the dense pseudo-inverse."""
    large = training_cell(SHEET, Vacancy(), 6)
    atoms = relax(large, EAM2D(), fmax=1e-8).atoms
    response = Response(EAM2D(), atoms, DualNorm(bonds(large)))
    response._exact = exact
    f = np.zeros((len(atoms), 3))
    f[:, :2] = np.random.default_rng(1).normal(0, 1e-3, (len(atoms), 2))
    f -= f.mean(axis=0)
    H = EAM2D().get_hessian(atoms, format="dense")
    plane = np.arange(3 * len(atoms)).reshape(-1, 3)[:, :2].ravel()
    expected = np.linalg.pinv(H[np.ix_(plane, plane)], rcond=1e-10) @ f[:, :2].ravel()
    assert np.abs(response.solve(f)[:, :2].ravel() - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("defect", [Vacancy(), HOLLOW], ids=["vacancy", "interstitial"])
def test_a_warm_start_is_the_relaxed_training_cell(defect):
    """On a large cell that is the training cell itself; the interstitial's neighbours move by half an ångström."""
    (cell,) = trained([defect], 7)
    moved = relax(cell.unrelaxed, EAM2D(), fmax=1e-3).atoms
    cell = dataclasses.replace(cell, relaxed=moved)
    assert np.allclose(warm_start(cell.unrelaxed, [cell]).positions, moved.positions, atol=1e-12)
    large = simulation_cell(SHEET, [defect], 20, 8)
    started = warm_start(large, [cell])
    started.calc, large.calc = EAM2D(), EAM2D()
    assert started.get_potential_energy() < large.get_potential_energy()
