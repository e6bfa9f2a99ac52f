"""Studies of errors, small: what is measured is what a fit errs by, and a study that was stopped goes on."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from ase_mlipgen.calculators.eam2d import EAM2D
from ase_mlipgen.calculators.linear_ace import LinearACE
from ase_mlipgen.defects import Vacancy, relax, simulation_cell
from ase_mlipgen.studies import errors
from ase_mlipgen.studies.catalogue import STUDIES
from ase_mlipgen.studies.error_tables import slopes_table
from ase_mlipgen.studies.errors import EXACT, PLAIN, SIZE, TOLERANCE, Sweep, study_of
from ase_mlipgen.studies.fits import trainer_of, truths
from ase_mlipgen.studies.study import run
from ase_mlipgen.studies.vacancies import TWO
from ase_mlipgen.theory.norms import bonds, strain_norm

SMALL = replace(
    TWO, name="small", options={**TWO.options, "n_train": 12, "n_test": 3, "n_perfect": 4},
    large=lambda size: [simulation_cell(TWO.crystal, [Vacancy()] * n, 16, size) for n in (2, 3)],
)  # fmt: skip
SWEEPS = (
    Sweep(TOLERANCE, "small", (5,), (0, 1), ((3, 10),), (1e-3, 1e-5), (PLAIN, EXACT)),
    Sweep(SIZE, "small", (5, 6), (0,), ((2, 8),), (1e-6,)),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


@pytest.fixture(scope="module")
def study():
    return study_of("small", "small ones", {"small": SMALL}, SWEEPS, slopes_table)


@pytest.fixture(scope="module")
def whole(study, store, tmp_path_factory):
    """The study undisturbed."""
    return run(study, tmp_path_factory.mktemp("whole"), store=store)


def timeless(records):
    return [{name: value for name, value in asdict(r).items() if name != "fit_time"} for r in records]


def test_record_has_what_the_fit_errs_by(whole, store):
    """Forces asked of both calculators, sample by sample; relaxations with the usual optimiser, from the same start."""
    plain = [r for r in whole.records if not r.matching and r.sweep == TOLERANCE][:2]
    setting = errors.Setting("small", 5, 0, 3, 10, "fixed", (), 1e-3, TOLERANCE)
    case = replace(SMALL, matchings=(None,))
    trainer = trainer_of(case, setting, store, errors.FMAX)
    model = LinearACE(trainer.basis, trainer.fit().coefficients, trainer.one_body())
    assert [r.n_defects for r in plain] == [2, 3]
    squares, energies = [], []
    for sample in trainer.label()[1]:
        one, other = sample.atoms.copy(), sample.atoms.copy()
        one.calc, other.calc = model, EAM2D()
        squares += list(((one.get_forces() - other.get_forces()) ** 2).ravel())
        energies.append(one.get_potential_energy() - other.get_potential_energy())
    for record, truth in zip(plain, truths(case, 5, store, errors.FMAX), strict=True):
        assert record.force_rmse == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-6)
        assert record.eps_E == pytest.approx(np.max(np.abs(energies)), rel=1e-6)
        assert record.rank < record.n_functions == len(trainer.basis)
        found, there = (relax(truth.start, calculator, fmax=3e-7) for calculator in (model, EAM2D()))
        off = found.atoms.positions - there.atoms.positions
        assert record.geometry == pytest.approx(strain_norm(bonds(truth.atoms), off), rel=1e-4)
        found.atoms.calc = EAM2D()
        assert record.excess == pytest.approx(found.atoms.get_potential_energy() - there.energy, rel=1e-3)


def test_matched_fit_has_the_crystals_force_constants_and_errs_less(whole):
    plain, exact = (
        [r for r in whole.records if r.sweep == TOLERANCE and bool(r.matched) == m] for m in (False, True)
    )
    assert max(r.eps_FC_hom for r in exact) < 1e-9 < min(r.eps_FC_hom for r in plain)
    assert max(r.eps_FC_hom_percent for r in exact) < 1e-7
    assert np.median([r.geometry for r in exact]) < 0.5 * np.median([r.geometry for r in plain])


def test_study_that_was_stopped_goes_on_to_the_same_rows(study, whole, store, tmp_path):
    def stopped(settings, context):
        for k, found in enumerate(study.compute(settings, context)):
            if k == 3:
                raise KeyboardInterrupt
            yield found

    with pytest.raises(KeyboardInterrupt):
        run(replace(study, compute=stopped), tmp_path, store=store)
    again = run(study, tmp_path, store=store)
    assert timeless(again.records) == timeless(whole.records)


def test_rows_stand_in_the_order_of_the_study_whatever_was_made_first(study, whole, store, tmp_path):
    run(study, tmp_path, store=store, only={"sweep": ["size"], "size": ["6"]})
    run(study, tmp_path, store=store, only={"sweep": ["tolerance"], "seed": ["1"]})
    found = run(study, tmp_path, store=store)
    assert timeless(found.records) == timeless(whole.records)


def test_paper_protocol_has_plain_fits_of_small_displacements(study, store, tmp_path):
    settings = study.settings("paper")
    assert {s.matching for s in settings} == {()}
    assert len(settings) == 6
    found = run(
        study, tmp_path, "paper", store, only={"sweep": ["tolerance"], "seed": ["0"], "rtol": ["1e-3"]}
    )
    assert [(r.cell, r.n_defects) for r in found.records] == [(0, 2), (1, 3)]
    trainer = trainer_of(SMALL.following("paper"), settings[0], store)
    assert (trainer.amplitude, trainer.n_perfect, trainer.scaling) == (0.01, 0, None)


@pytest.mark.parametrize("name", ["fig3", "fig4", "fig6", "fig7"])
def test_studies_have_five_seeds_in_both_protocols_and_no_setting_twice(name):
    for protocol in ("default", "paper"):
        settings = STUDIES[name].settings(protocol)
        assert len(settings) == len(set(settings))
        by_fit = {}
        for s in settings:
            by_fit.setdefault(replace(s, seed=0), set()).add(s.seed)
        assert set(map(frozenset, by_fit.values())) == {frozenset(range(5))}
