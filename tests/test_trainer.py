"""DefectTrainer end to end: copper in three dimensions (EMT), tungsten in two (EAM), and what can go wrong."""

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.optimize import LBFGS

from ase_mlipgen import (
    EAM2D,
    ACEBasis,
    DefectTrainer,
    Interstitial,
    LinearACE,
    Substitution,
    TrainingResult,
    Vacancy,
    simulation_cell,
    triangular_lattice,
)
from ase_mlipgen.calculators.linear_ace import UnstableModelError, UnstableModelWarning
from ase_mlipgen.census import NarrowCellWarning, UndeterminedEnergyWarning
from ase_mlipgen.labels import LabelError
from ase_mlipgen.result import ResultDirectoryError
from ase_mlipgen.theory.compare import compare
from ase_mlipgen.theory.stability import InstabilityWarning, StabilityError
from tests.references import Failing

COPPER = bulk("Cu", cubic=True, a=3.58982559)  # the minimum of EMT
SHEET = triangular_lattice("W", 2.72711)


def small(**changes):
    """A planar tungsten trainer of a second."""
    arguments = {"size": 5, "n_train": 15, "n_test": 5, "n_perfect": 4, "progress": False, **changes}
    basis = arguments.pop("basis", ACEBasis(["W"], order=2, degree=8, cutoff=4.0))
    crystal = arguments.pop("crystal", SHEET)
    return DefectTrainer(
        crystal, arguments.pop("defects", Vacancy()), arguments.pop("reference", EAM2D), basis, **arguments
    )


@pytest.fixture(scope="module")
def copper():
    basis = ACEBasis(["Cu"], order=3, degree=12, cutoff=5.0)
    trainer = DefectTrainer(COPPER, [Vacancy()], EMT, basis, 3, 30, 10, n_perfect=5, progress=False)
    return trainer.run()


@pytest.mark.parametrize("matching", ["exact", None])
def test_copper_vacancy_formation_energy_on_a_large_cell(matching):
    """6^3 cubic cells, EMT relaxed on its own: formation energy within 2 meV (0.02 meV seen with exact matching)."""
    basis = ACEBasis(["Cu"], order=3, degree=12, cutoff=5.0)
    trainer = DefectTrainer(
        COPPER, [Vacancy()], EMT, basis, 3, 30, 10, n_perfect=5, matching=matching, progress=False
    )
    result = trainer.run()
    cells = [simulation_cell(COPPER, d, size=6, separation=3) for d in ([Vacancy()], [])]
    found = compare(EMT(), result.calculator, *cells)
    assert found.failure is None
    assert found.formation_energy_reference == pytest.approx(1.2236, abs=1e-3)
    assert abs(found.formation_energy_error) < 2e-3
    assert found.geometry_error < 0.02 * found.geometry_norm


def test_another_fit_to_the_same_rows_is_that_of_a_trainer_of_its_own():
    trainer = small()
    for matching, rtol in (("exact", 1e-4), (("energies",), 1e-6), (None, 1e-5)):
        again = trainer.refitted(matching, rtol)
        own = small(matching=matching, rtol=rtol)
        np.testing.assert_array_equal(again.fit().coefficients, own.fit().coefficients)
        assert again.matched == own.matched
    with pytest.raises(ValueError, match="has no forces, force_constants to match"):
        small(matching=("energies",)).refitted("exact", 1e-6)


def test_weights_by_the_theory_are_looked_for_anew_at_another_tolerance():
    trainer = small(weights="theory", matching=("energies",), rtol=1e-2)
    again = trainer.refitted(("energies",), 1e-5)
    own = small(weights="theory", matching=("energies",), rtol=1e-5)
    np.testing.assert_array_equal(again.fit().coefficients, own.fit().coefficients)
    assert again.balance().trials == own.balance().trials != trainer.balance().trials


def test_errors_are_those_of_the_calculator(copper):
    """Energy and force RMSEs against a direct evaluation by EMT itself on the test cells."""
    energy, force = [], []
    for cell in copper.test:
        ours, theirs = cell.atoms.copy(), cell.atoms.copy()
        ours.calc, theirs.calc = copper.calculator, EMT()
        energy.append((ours.get_potential_energy() - theirs.get_potential_energy()) / len(ours))
        force.append(ours.get_forces() - theirs.get_forces())
    assert copper.errors.energy_rmse == pytest.approx(np.sqrt(np.mean(np.square(energy))), rel=1e-5)
    assert copper.errors.force_rmse == pytest.approx(np.sqrt(np.mean(np.square(force))), rel=1e-6)
    assert copper.errors.force_rmse < 1e-3
    assert copper.errors.eps_E >= copper.errors.eps_E_rmse
    assert copper.errors.eps_F >= copper.errors.eps_F_rmse
    assert copper.by_defect["vacancy"] == copper.errors
    assert copper.errors.n_rows == 30 * (1 + 3 * 107) + 5 * (1 + 3 * 108)


def test_matching_holds_exactly(copper):
    """With constraints, energies and forces at the equilibrium agree although no sample sits there."""
    (cell,) = copper.cells
    for atoms, tolerance in ((cell.relaxed, 1e-7), (cell.unrelaxed, 1e-7), (cell.perfect, 1e-7)):
        ours, theirs = atoms.copy(), atoms.copy()
        ours.calc, theirs.calc = copper.calculator, EMT()
        assert ours.get_potential_energy() == pytest.approx(theirs.get_potential_energy(), abs=tolerance)
    relaxed = cell.relaxed.copy()
    relaxed.calc = copper.calculator
    assert np.abs(relaxed.get_forces()).max() < 2e-5
    assert copper.errors.force_constants_percent < 1e-4
    assert copper.fit.constraint_rank > 10
    assert copper.fit.constraint_violation < 1e-8


def test_save_and_load(copper, tmp_path):
    copper.save(tmp_path / "run")
    again = TrainingResult.load(tmp_path / "run")
    assert str(again) == str(copper)
    assert again.errors == copper.errors
    assert again.census == copper.census
    assert again.settings == copper.settings
    np.testing.assert_array_equal(again.calculator.coefficients, copper.calculator.coefficients)
    np.testing.assert_array_equal(again.fit.r_diagonal, copper.fit.r_diagonal)
    np.testing.assert_array_equal(again.cells[0].relaxed.positions, copper.cells[0].relaxed.positions)
    assert again.cells[0].relaxed.info == copper.cells[0].relaxed.info
    for before, after in zip(copper.train, again.train, strict=True):
        assert before.energy == after.energy
        np.testing.assert_array_equal(before.forces, after.forces)


def test_load_refuses_what_is_not_a_result(copper, tmp_path):
    with pytest.raises(ResultDirectoryError, match=r"lacks result\.json"):
        TrainingResult.load(tmp_path)
    copper.save(tmp_path)
    content = json.loads((tmp_path / "result.json").read_text())
    content.pop("matched")
    (tmp_path / "result.json").write_text(json.dumps(content))
    with pytest.raises(ResultDirectoryError, match="do not fit"):
        TrainingResult.load(tmp_path)
    copper.save(tmp_path)
    (tmp_path / "result.json").write_text((tmp_path / "result.json").read_text()[:100])
    with pytest.raises(ResultDirectoryError, match="truncated"):
        TrainingResult.load(tmp_path)
    (tmp_path / "result.json").write_text('{"format": "other"}')
    with pytest.raises(ResultDirectoryError, match="'other'"):
        TrainingResult.load(tmp_path)


def test_same_seed_same_bits_whatever_the_workers():
    spawned = get_context("spawn")
    with ThreadPoolExecutor(3) as threads, ProcessPoolExecutor(2, mp_context=spawned) as processes:
        results = [small(executor=executor).run() for executor in (None, threads, processes)]
    for other in results[1:]:
        np.testing.assert_array_equal(other.calculator.coefficients, results[0].calculator.coefficients)
        assert other.errors == results[0].errors
    assert small(seed=1).run().errors != results[0].errors


def test_two_defects_and_nested_sizes_in_one_fit():
    defects = [Vacancy(), Interstitial((0.5, 0.5 / 3, 0.0))]
    weights = {"vacancy": {"energy": 100, "forces": 1}, "interstitial": {"energy": 100, "forces": 10}}
    with pytest.warns(
        InstabilityWarning, match="the surrogate is not stable on the perfect crystal, 12 atoms"
    ):
        result = small(defects=defects, size=[4, 5], weights=weights, on_unstable="warn").run()
    assert result.errors.stability < 0.0
    assert (
        result.by_defect["interstitial"].reference_stability
        < 0.0
        < result.by_defect["vacancy"].reference_stability
    )
    assert [c.name for c in result.cells] == [
        "vacancy, L = 4", "interstitial, L = 4", "vacancy, L = 5", "interstitial, L = 5",
    ]  # fmt: skip
    assert set(result.by_defect) == {"vacancy", "interstitial"}
    assert result.census.n_rows == result.fit.n_rows
    assert len(result.train) == 4 * 15 + 2 * 4


def test_two_elements_and_stress():
    """A silver atom in copper: two elements, and stress rows that improve the stress."""
    errors = {}
    for observations in (("energy", "forces"), ("energy", "forces", "stress")):
        basis = ACEBasis(["Cu", "Ag"], order=2, degree=8, cutoff=4.5)
        trainer = DefectTrainer(
            COPPER, Substitution("Ag"), EMT, basis, 2, 20, 4, n_perfect=4, observations=observations, matching=None,
            weights={"energy": 100, "forces": 1, "stress": 100}, progress=False,
        )  # fmt: skip
        with pytest.warns(NarrowCellWarning):
            result = trainer.run()
        atoms = result.cells[0].relaxed.copy()
        atoms.calc = result.calculator
        ours = atoms.get_stress()
        atoms.calc = EMT()
        errors[len(observations)] = np.abs(ours - atoms.get_stress()).max()
        assert result.errors.force_rmse < 0.02
    assert errors[3] < 0.5 * errors[2]


@pytest.mark.parametrize(
    ("degree", "matched"),
    [
        (12, ("energies", "forces", "force_constants")),
        (7, ("energies", "forces")),
        (5, ("energies",)),
        (2, ()),
    ],
)
def test_a_small_basis_matches_what_it_can_and_says_so(degree, matched, capsys):
    result = small(basis=ACEBasis(["W"], order=3, degree=degree, cutoff=5.0), progress=True).run()
    assert result.matched == matched
    assert ("not matched exactly" in result.fit.note) == (len(matched) < 3)
    assert ("not matched exactly" in capsys.readouterr().err) == (len(matched) < 3)


def test_stages_are_useful_alone():
    trainer = small()
    assert len(trainer.cells()) == 1
    (cell,) = trainer.relax()
    assert cell.steps > 0
    train, test = trainer.sample()
    assert (len(train), len(test)) == (19, 5)
    moved = np.abs(train[0].positions - cell.relaxed.positions)
    assert 0.03 < moved.max() <= 0.05
    assert not moved[:, 2].any()
    labelled, _ = trainer.label()
    assert labelled[0].energy == pytest.approx(EAM2D().get_potential_energy(train[0]), abs=1e-12)
    assert trainer.fit().n_rows == trainer.census().n_rows


def test_store_makes_the_second_run_free(tmp_path):
    class Counting(EAM2D):
        calls = 0

        def calculate(self, *args, **kwargs):
            type(self).calls += 1
            super().calculate(*args, **kwargs)

    first = small(reference=Counting, store=tmp_path, tag="counting")
    first.label()
    assert Counting.calls > 20
    Counting.calls = 0
    again = small(reference=Counting, store=tmp_path, tag="counting")
    again.label()
    assert Counting.calls == 0
    assert np.array_equal(again.relax()[0].relaxed.positions, first.relax()[0].relaxed.positions)
    small(reference=Counting, store=tmp_path, tag="counting", fmax=1e-4).relax()
    assert Counting.calls > 0  # another tolerance is another relaxation


def test_the_reference_gives_force_constants_once():
    """One Hessian of the perfect cell, one of the relaxed training cell."""

    class Counting(EAM2D):
        hessians = 0

        def get_hessian(self, *args, **kwargs):
            type(self).hessians += 1
            return super().get_hessian(*args, **kwargs)

    small(reference=Counting, basis=ACEBasis(["W"], order=3, degree=10, cutoff=4.0)).run()
    assert Counting.hessians == 2


def test_operator_norms_are_those_of_both_hessians_and_cost_labels_where_asked():
    """eps_FC from the analytic Hessian and, to the accuracy of differences, from labels; without either, unknown."""

    class WithoutHessian(EAM2D):
        pass

    WithoutHessian.implemented_properties = [
        name for name in EAM2D.implemented_properties if name != "hessian"
    ]

    basis = ACEBasis(["W"], order=3, degree=10, cutoff=4.0)
    found = {
        asked: small(reference=reference, basis=basis, force_constants=asked, matching=None).run().errors
        for asked, reference in ((None, EAM2D), (True, WithoutHessian), (False, WithoutHessian))
    }
    assert found[True].eps_FC == pytest.approx(found[None].eps_FC, rel=2e-2)
    assert found[True].reference_stability == pytest.approx(found[None].reference_stability, rel=1e-3)
    assert found[False].eps_FC is None
    assert found[False].reference_stability is None
    assert found[False].stability == pytest.approx(found[None].stability)
    assert found[False].eps_FC_hom == pytest.approx(found[None].eps_FC_hom, rel=1e-3)
    assert found[None].eps_FC > 0.0
    assert "not measured" in str(small(reference=WithoutHessian, basis=basis, matching=None).run())


def test_an_unstable_reference_is_refused_before_labels(monkeypatch):
    """The hollow interstitial of a cell of 13 atoms is a saddle point, where the symmetric start relaxes to."""
    trainer = small(defects=Interstitial((0.5, 0.5 / 3, 0.0)), size=4)
    monkeypatch.setattr(trainer, "label", lambda: pytest.fail("labels are made for nothing"))
    with pytest.raises(StabilityError, match="the reference is not stable on interstitial, L = 4") as caught:
        trainer.run()
    atoms = trainer.relax()[0].relaxed.copy()
    energies = []
    for step in (0.0, 0.2):
        moved = atoms.copy()
        moved.positions += step * caught.value.mode_ic
        energies.append(EAM2D().get_potential_energy(moved))
    assert energies[1] < energies[0]


def test_an_unstable_model_is_refused_and_kept(tmp_path):
    """The gate names model, cell and soft mode, and gives the result all the same."""
    pair = ACEBasis(["W"], order=1, degree=2, cutoff=6.0)
    with (
        pytest.warns(NarrowCellWarning),
        pytest.raises(StabilityError, match="surrogate is not stable") as caught,
    ):
        small(basis=pair, size=4, matching=None, n_train=6, n_perfect=2).run()
    error = caught.value
    assert error.value < 0.0
    assert error.result.errors.stability <= error.value
    assert error.result.unstable == str(error)
    cell = error.result.cells[0]
    atoms = (cell.relaxed if error.cell == cell.name else cell.perfect).copy()
    atoms.calc = error.result.calculator
    curvature = np.sum(error.mode_ic * atoms.calc.hessian_product(atoms, error.mode_ic))
    assert curvature == pytest.approx(error.value, rel=1e-6)
    the_mark_of(error.result, tmp_path)


def the_mark_of(result, folder):
    """The model knows that it is unstable, after files and in a committee, and is exported by force only."""
    said = result.unstable
    assert result.calculator.metadata["unstable"] == said
    assert all(member.unstable == said for member in result.committee(2))
    result.save(folder / "run")
    with pytest.warns(UnstableModelWarning, match="is not stable on") as told:
        again = LinearACE.load(folder / "run" / "model.json")
    assert len(told) == 1
    for model in (result.calculator, again):
        with pytest.raises(UnstableModelError, match=r"not exported: .* is not stable on .* force=True"):
            model.export_lammps(folder / "W.yace")
    assert not list(folder.glob("*W*"))
    assert again.export_lammps(folder / "W.yace", force=True).energy_deviation < 1e-8
    with pytest.warns(UnstableModelWarning):
        assert TrainingResult.load(folder / "run").calculator.unstable == said


def test_weights_by_the_theory_do_not_spoil_forces_and_are_told(tmp_path, capsys):
    """Against fits with numbers: the same system, forces as good as with the paper's weights, energies no worse."""
    basis = ACEBasis(["W"], order=3, degree=10, cutoff=4.0)
    found = small(basis=basis, weights="theory", n_train=30, progress=True).run()
    assert "weights by the theory: W_E = " in capsys.readouterr().err
    paper = small(basis=basis, n_train=30).run()
    assert found.train_errors.eps_F_rmse <= 1.1 * paper.train_errors.eps_F_rmse
    assert found.train_errors.eps_E <= paper.train_errors.eps_E
    same = small(basis=basis, n_train=30, weights={"energy": found.weights["energy"], "forces": 1.0}).run()
    assert same.fit.n_rows == found.fit.n_rows
    assert same.errors.eps_F_rmse == pytest.approx(
        found.errors.eps_F_rmse, rel=0.3
    )  # round-off in the pivoting
    reached = found.train_errors.eps_E <= found.train_errors.eps_F**2
    assert found.weights["balance"] == ("reached" if reached else "not reachable")
    assert found.weights["said"] in str(found)
    found.save(tmp_path)
    assert TrainingResult.load(tmp_path).weights == found.weights
    assert found.settings["weights"] == "theory"


def test_a_coarse_model_reaches_the_balance():
    """Large force errors leave room for energies: eps_F^2 is then above eps_E."""
    found = small(basis=ACEBasis(["W"], order=2, degree=4, cutoff=4.0), weights="theory", matching=("energies",),
                  on_unstable="warn", amplitude=0.1)  # fmt: skip
    assert found.balance().reached
    assert found.balance().chosen.eps_E <= found.balance().chosen.eps_F ** 2


def test_observed_force_constants_become_better():
    """Rows of the Hessians, plain fit: eps_FC falls, as |H - H~|_F is what they weigh."""
    basis = ACEBasis(["W"], order=3, degree=10, cutoff=4.0)
    kinds = ("energy", "forces", "force_constants")
    plain = small(basis=basis, matching=None).run()
    weighed = {"energy": 100, "forces": 1, "force_constants": 100}
    found = small(basis=basis, matching=None, observations=kinds, weights=weighed).run()
    assert found.errors.eps_FC < 0.5 * plain.errors.eps_FC
    assert found.errors.force_constants_percent < 0.5 * plain.errors.force_constants_percent
    n, perfect = len(found.cells[0].relaxed), len(found.cells[0].perfect)
    assert found.fit.n_rows == plain.fit.n_rows + n * (2 * n + 1) + 4 * perfect


def test_forces_in_the_dual_norm():
    """At full rank the fit that minimises the dual norm has the smaller one, on the training samples."""
    basis = ACEBasis(["W"], order=2, degree=8, cutoff=4.0)
    weights = {"energy": 0.0, "forces": 1.0}
    found = {
        norm: small(
            basis=basis, matching=None, n_perfect=0, force_norm=norm, weights=weights, rtol=0.0, uncertainty=False,
            on_unstable="warn", n_train=40,
        )
        for norm in ("l2", "dual")
    }  # fmt: skip
    errors = {}
    for norm, trainer in found.items():
        with pytest.warns(UndeterminedEnergyWarning):
            errors[norm] = trainer.run().train_errors
    assert errors["dual"].eps_F_rmse < errors["l2"].eps_F_rmse
    assert errors["dual"].force_rmse > errors["l2"].force_rmse
    assert found["dual"].settings()["force_norm"] == "dual"


def test_settings_name_the_reference():
    assert small().settings()["reference"] == "ase_mlipgen.calculators.eam2d.EAM2D"
    assert small(reference=partial(EAM2D, skin=0.3)).settings()["reference"].endswith("EAM2D(skin=0.3)")
    assert small(reference=EAM2D()).settings()["reference"] == "ase_mlipgen.calculators.eam2d.EAM2D"
    json.dumps(small().settings())


def test_any_ase_optimizer():
    assert small(optimizer=LBFGS, fmax=1e-4).relax()[0].steps > 0


def test_narrow_cells_are_warned_of():
    trainer = small(basis=ACEBasis(["W"], order=2, degree=6, cutoff=6.0))
    assert "less than twice the cutoff" in trainer.census().warnings[0]
    with pytest.warns(NarrowCellWarning, match=r"10\.91 Å wide, less than twice the cutoff \(12\.00 Å\)"):
        trainer.run()


def test_no_perfect_cells_are_warned_of():
    with pytest.warns(UndeterminedEnergyWarning, match="n_perfect"):
        small(n_perfect=0, matching=None).run()


def test_progress_speaks_on_stderr_and_can_be_silent(capsys):
    small(progress=True).run()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "19 perfect" not in shown.err
    assert "rows" in shown.err
    assert "rank" in shown.err
    small().run()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"defects": []}, ValueError, "defects is empty"),
        ({"n_train": 0}, ValueError, "n_train = 0"),
        ({"n_test": -1}, ValueError, "n_test = -1"),
        ({"fmax": 0.0}, ValueError, "fmax = 0.0"),
        ({"defects": Vacancy(7)}, ValueError, "7"),
        ({"defects": Interstitial((0.01, 0.0, 0.0))}, ValueError, "Å"),
        ({"matching": "forcez"}, ValueError, "forcez"),
        ({"weights": {"enregy": 1.0}}, ValueError, "energy"),
        ({"weights": {"energy": -1.0}}, ValueError, "energy"),
        ({"reference": "EMT"}, TypeError, "expected an ASE calculator"),
        ({"basis": ACEBasis(["Mo"], order=2, degree=5)}, ValueError, "contains W"),
        ({"amplitude": float("nan")}, ValueError, "amplitude"),
        ({"rtol": 2.0}, ValueError, "rtol"),
        ({"distribution": "cauchy"}, ValueError, "cauchy"),
        ({"observations": ("energy", "charges")}, ValueError, "charges"),
        ({"weights": "theorie"}, ValueError, "theorie"),
        ({"weights": "theory", "matching": None}, ValueError, "matching"),
        ({"force_norm": "l1"}, ValueError, "l1"),
        ({"on_unstable": "ignore"}, ValueError, "ignore"),
    ],
)
def test_nonsense_is_named_before_anything_runs(changes, error, said):
    with pytest.raises(error, match=said):
        small(**changes)


@pytest.mark.parametrize(("how", "said"), [("raises", "the code crashed"), ("nan", "not finite")])
def test_a_reference_that_fails_names_the_configuration(how, said):
    trainer = DefectTrainer(
        COPPER, Vacancy(), Failing(how, 20), ACEBasis(["Cu"], order=2, degree=5, cutoff=3.5), 2, 30, 2, fmax=0.05,
        progress=False,
    )  # fmt: skip
    with pytest.raises(LabelError, match=said) as caught:
        trainer.run()
    assert caught.value.number >= 0
    assert "31 atoms" in str(caught.value)
