"""Labels of files: keys, refusals, census, units; and fits of them."""

import json
import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from typer.testing import CliRunner

from ase_mlipgen import (
    EAM2D,
    ACEBasis,
    DataTrainer,
    DefectTrainer,
    TrainingResult,
    Vacancy,
    triangular_lattice,
)
from ase_mlipgen.cli.app import app
from ase_mlipgen.config import ConfigError, load, load_any, to_toml
from ase_mlipgen.data import AmbiguousDataError, choose_keys, read_data, read_frames, take_census
from ase_mlipgen.data.dataset import split
from ase_mlipgen.data.units import energy_over_work
from ase_mlipgen.defects import relax, training_cell
from ase_mlipgen.labels import read_cells

A, BOHR, HARTREE = 3.58982559, 0.529177210903, 27.211386245988
BASIS = ("Cu",), {"order": 2, "degree": 6, "cutoff": 3.5}


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def labelled(atoms, energy="REF_energy", forces="REF_forces", scale=(1.0, 1.0), **info):
    """A copy with EMT's labels under these names."""
    probe = atoms.copy()
    probe.calc = EMT()
    found = atoms.copy()
    found.info.update(info)
    found.info[energy] = scale[0] * probe.get_potential_energy()
    found.arrays[forces] = scale[1] * probe.get_forces()
    return found


def rattled(n, cell=None, seed=0, amplitude=0.05, **options):
    """Displaced copies of copper with labels."""
    start = bulk("Cu", cubic=True, a=A).repeat(2) if cell is None else cell
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        atoms = start.copy()
        atoms.positions += rng.uniform(-amplitude, amplitude, atoms.positions.shape)
        found.append(labelled(atoms, **options))
    return found


def file_of(folder, frames, name="data.xyz"):
    write(folder / name, frames, format="extxyz", write_results=False)
    return folder / name


def equilibria():
    """Vacancy before and after relaxation by EMT, and the perfect crystal as its unit cell."""
    crystal = bulk("Cu", cubic=True, a=A)
    start = training_cell(crystal, Vacancy(), 2)
    start.info = {}
    end = relax(start, EMT(), fmax=1e-5).atoms
    return [
        labelled(a, config_type=t) for a, t in ((start, "unrelaxed"), (end, "relaxed"), (crystal, "perfect"))
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_labels_of_a_run_give_the_runs_coefficients(tmp_path):
    basis = ACEBasis(["W"], order=2, degree=6, cutoff=4.0)
    sheet = triangular_lattice("W", 2.72711)
    trainer = DefectTrainer(
        sheet,
        Vacancy(),
        EAM2D(),
        basis,
        4,
        8,
        3,
        n_perfect=3,
        matching=None,
        progress=False,
        on_unstable="warn",
    )
    result = trainer.run()
    result.save(tmp_path / "run")
    files = [tmp_path / "run" / f"labels_{name}.extxyz" for name in ("train", "test")]
    again = DataTrainer(read_data(*files), basis, progress=False).run()
    np.testing.assert_array_equal(again.calculator.coefficients, result.calculator.coefficients)
    assert again.calculator.E0 == result.calculator.E0
    assert again.errors.force_rmse == result.errors.force_rmse
    assert again.errors.energy_rmse == result.errors.energy_rmse
    assert again.matched == ()
    assert any("plain fit" in text for text in again.census.warnings)


def test_a_configuration_of_files_runs_like_others(tmp_path):
    file_of(
        tmp_path, [*rattled(12, config_type="bulk"), *rattled(6, seed=1, config_type="hot", amplitude=0.1)]
    )
    (tmp_path / "data.toml").write_text(
        '[data]\nfiles = ["data.xyz"]\ntest_fraction = 0.25\nseed = 3\n[basis]\norder = 2\ndegree = 6\ncutoff = 3.5\n'
        "[fit.weights]\ndefault = { energy = 100.0, forces = 1.0 }\nhot = { energy = 1.0, forces = 0.1 }\n"
    )
    out = tmp_path / "out"
    done = invoke("run", tmp_path / "data.toml", "-o", out, "--json", "--quiet")
    assert done.exit_code == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers["errors"]["test"]["eps_F"] is None
    assert set(numbers["errors"]["by_defect"]) == {"bulk", "hot"}
    assert numbers["errors"]["test"]["n_cells"] == 3 + 2
    result = TrainingResult.load(out)
    assert str(result).count("not measured") >= 8
    assert "plain fit" in (out / "report.html").read_text()
    assert load_any(out / "config.toml") == load_any(tmp_path / "data.toml")
    found = json.loads(invoke("eval", out, out / "labels_test.extxyz", "--json").stdout)
    assert found["force_rmse"] == pytest.approx(numbers["errors"]["test"]["force_rmse"], rel=1e-9)
    status = json.loads(invoke("status", out, "--json").stdout)
    assert status["model"]["is_current"]
    assert json.loads(invoke("plan", tmp_path / "data.toml", "--json").stdout)["census"]["n_rows"] == 13 * 97
    for command in (("certify", out), ("label", tmp_path / "data.toml"), ("relax", tmp_path / "data.toml")):
        refused = invoke(*command)
        assert refused.exit_code == 2
        assert "no reference" in refused.stderr
    refused = invoke("budget", out)
    assert refused.exit_code == 2
    assert "trained from files of labels" in refused.stderr


def test_matching_conditions_hold_where_the_files_have_the_cells(tmp_path):
    path = file_of(
        tmp_path, [*equilibria(), *rattled(10, training_cell(bulk("Cu", cubic=True, a=A), Vacancy(), 2))]
    )
    basis = ACEBasis(["Cu"], order=3, degree=9, cutoff=3.5)
    result = DataTrainer(read_data(path), basis, progress=False, uncertainty=False).run()
    assert result.matched == ("energies", "forces")
    assert len(result.cells) == 1
    assert 0.0 < result.errors.eps_F < 1.0
    assert result.errors.eps_F > result.errors.force_rmse
    start, end, crystal = read(path, ":3")
    for atoms in (start, end, crystal):
        energy = atoms.info["REF_energy"]
        atoms.calc = result.calculator
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-7)
    assert np.abs(end.get_forces() - end.arrays["REF_forces"]).max() < 1e-6
    named = read(path, ":")
    for atoms in named:
        if atoms.info.get("config_type") != "perfect":
            atoms.info["defect"] = "hole"
    again = DataTrainer(
        read_data(file_of(tmp_path, named, "named.xyz")), basis, progress=False, uncertainty=False
    )
    assert again.conditions == ("energies", "forces")
    assert [cell.defect for cell in again.cells()] == ["hole"]
    plain = DataTrainer(read_data(path), basis, matching=None, progress=False, uncertainty=False).run()
    assert plain.matched == ()
    assert not any("plain fit" in text for text in plain.census.warnings)
    start.calc = plain.calculator
    assert abs(start.get_potential_energy() - start.info["REF_energy"]) > 1e-6


def test_a_frame_that_is_called_relaxed_has_to_be_at_rest(tmp_path):
    path = file_of(tmp_path, rattled(3, config_type="relaxed"))
    with pytest.raises(ValueError, match=r'frame 0 is called "relaxed", and has forces of up to'):
        read_data(path)
    assert read_data(path, relaxed=()).relaxed == []


def test_isolated_atoms_give_E0_and_are_no_rows(tmp_path):
    alone = Atoms("Cu", cell=[12, 12, 12], pbc=True)
    alone.info["REF_energy"] = -1.25
    path = file_of(tmp_path, [alone, *rattled(6)])
    data = read_data(path, test_fraction=0.0)
    assert data.E0 == {"Cu": -1.25}
    assert len(data.train) == 6
    trainer = DataTrainer(data, ACEBasis(*BASIS[:1], **BASIS[1]), progress=False)
    assert trainer.one_body() == {"Cu": -1.25}
    assert trainer.fit().n_rows == 6 * 97
    other = alone.copy()
    other.info["REF_energy"] = -1.5
    with pytest.raises(AmbiguousDataError, match=r"isolated atoms of Cu have energies -1.25 and -1.5 eV"):
        read_data(file_of(tmp_path, [alone, other, *rattled(2)], "two.xyz"))
    # One atom of a crystal is not isolated.
    assert read_data(file_of(tmp_path, rattled(4, bulk("Cu", a=A)), "primitive.xyz")).E0 == {}


def test_E0_of_some_elements_leaves_the_others_to_the_fit(tmp_path):
    alloy = bulk("Cu", cubic=True, a=A).repeat(2)
    alloy.symbols[:5] = "Ag"
    alone = Atoms("Cu")
    alone.info["REF_energy"] = -3.0
    data = read_data(file_of(tmp_path, [alone, *rattled(3, alloy)]), test_fraction=0.0)
    trainer = DataTrainer(data, ACEBasis(["Cu", "Ag"], **BASIS[1]), progress=False)
    rest = [(cell.energy + 27 * 3.0) / 5 for cell in data.train]
    assert trainer.one_body() == pytest.approx({"Cu": -3.0, "Ag": np.mean(rest)})


def refusal(folder, frames, **given):
    with pytest.raises(AmbiguousDataError) as refused:
        choose_keys(read_frames(file_of(folder, frames)), **given)
    return str(refused.value)


def test_two_energies_that_differ_are_refused_with_both_names(tmp_path):
    frames = rattled(3)
    for frame in frames:
        frame.info["dft_energy"] = frame.info["REF_energy"] + 0.25
    text = refusal(tmp_path, frames)
    assert '"REF_energy" and "dft_energy"' in text
    assert "in 3 of 3 frames, by up to 0.25" in text
    assert 'energy = "REF_energy", or energy = "dft_energy"' in text
    path = tmp_path / "data.xyz"
    for name in ("REF_energy", "dft_energy"):
        energies = [cell.energy for cell in read_data(path, energy=name, test_fraction=0.0).train]
        assert energies == [frame.info[name] for frame in read(path, ":")]
    for frame in frames:
        frame.info["dft_energy"] = frame.info["REF_energy"]
    assert choose_keys(read_frames(file_of(tmp_path, frames))).energy == "REF_energy"


@pytest.mark.parametrize(
    ("factor", "said"), [(1.0 / HARTREE, "the same in Hartree"), (1.0 / 32, "the same for each atom")]
)
def test_the_refusal_says_what_the_difference_looks_like(tmp_path, factor, said):
    frames = rattled(3)
    for frame in frames:
        frame.info["other_energy"] = frame.info["REF_energy"] * factor
    assert f'"other_energy" looks like {said}' in refusal(tmp_path, frames)


def test_free_energy_that_differs_from_the_energy_is_refused(tmp_path):
    frames = []
    for frame in rattled(3):
        energy, forces = frame.info.pop("REF_energy"), frame.arrays.pop("REF_forces")
        frame.calc = SinglePointCalculator(frame, energy=energy + 0.01, free_energy=energy, forces=forces)
        frames.append(frame)
    path = tmp_path / "ase.xyz"
    write(path, frames, format="extxyz")
    with pytest.raises(AmbiguousDataError, match=r"gradient of the free energy") as refused:
        read_data(path)
    assert 'energy = "energy"' in str(refused.value)
    assert 'energy = "free_energy"' in str(refused.value)
    (cell, *_) = read_data(path, energy="free_energy", test_fraction=0.0).train
    assert cell.energy == pytest.approx(frames[0].calc.results["free_energy"], abs=1e-7)
    assert read_cells(path, energy="free_energy", forces="forces")[0].energy == cell.energy


def test_other_refusals_name_frames_and_keys(tmp_path):
    frames = [*rattled(2), *rattled(2, energy="dft_energy", seed=1)]
    text = refusal(tmp_path, frames)
    assert re.search(r'"REF_energy" is not in .*frame 2 and 1 more; "dft_energy" is not in .*frame 0', text)
    text = refusal(tmp_path, frames, energy="REF_energy")
    assert "2 of 4 frames have no such key" in text
    bare = rattled(3)
    bare[1].info.pop("REF_energy")
    assert "1 of 3 frames have no energy" in refusal(tmp_path, bare)
    none = rattled(2, energy="E", forces="pull")
    assert 'the frames have "E", "pull"' in refusal(tmp_path, none)
    forces = rattled(3)
    forces[2].arrays.pop("REF_forces")
    path = file_of(tmp_path, forces)
    with pytest.raises(
        AmbiguousDataError, match=r'1 of 3 frames have no "REF_forces" .*without_forces = "skip"'
    ):
        read_data(path)
    data = read_data(path, without_forces="skip", test_fraction=0.0)
    assert len(data.train) == 2
    assert "left out" in data.notes[0]
    two = rattled(2)
    for frame in two:
        frame.arrays["dft_forces"] = frame.arrays["REF_forces"] + 0.1
    assert 'forces = "REF_forces", or forces = "dft_forces"' in refusal(tmp_path, two)


def test_stress_and_virial_need_a_sign_and_a_unit(tmp_path):
    frames = rattled(2)
    for frame in frames:
        probe = frame.copy()
        probe.calc = EMT()
        frame.info["REF_stress"] = probe.get_stress(voigt=False)
        frame.info["virial"] = -probe.get_stress(voigt=False) * frame.get_volume()
    text = refusal(tmp_path, frames, want_stress=True)
    assert '"REF_stress", "virial"' in text
    assert '"virial" is -1 times volume times "REF_stress": positive in compression' in text
    assert "sign and unit" in refusal(tmp_path, frames, stress="virial", want_stress=True)
    path = tmp_path / "data.xyz"
    both = [
        read_data(path, want_stress=True, test_fraction=0.0, **given).train
        for given in (
            {"stress": "REF_stress"},
            {"stress": "virial", "stress_unit": "eV", "stress_positive": "compression"},
        )
    ]
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one.stress, other.stress, atol=1e-9)
    for frame, cell in zip(frames, both[0], strict=True):
        probe = frame.copy()
        probe.calc = EMT()
        np.testing.assert_allclose(cell.stress, probe.get_stress(), atol=1e-9)
    assert choose_keys(read_frames(path)).stress is None


def test_a_stress_in_other_units(tmp_path):
    frames = rattled(2)
    for frame in frames:
        frame.info["stress_GPa"] = -np.diag([1.0, 2.0, 3.0])
    path = file_of(tmp_path, frames)
    given = {
        "stress": "stress_GPa",
        "stress_unit": "GPa",
        "stress_positive": "compression",
        "want_stress": True,
    }
    (cell, _) = read_data(path, test_fraction=0.0, **given).train
    np.testing.assert_allclose(cell.stress, np.array([1.0, 2.0, 3.0, 0, 0, 0]) / 160.21766208)
    frames[1].info["stress_GPa"] = np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match="is not symmetric"):
        read_data(file_of(tmp_path, frames), **given)


@pytest.mark.parametrize(
    ("scale", "length", "said"),
    [
        ((1.0 / HARTREE, 1.0), 1.0, "energies in Hartree, forces in eV/Å"),
        ((2.0 / HARTREE, 1.0), 1.0, "energies in Rydberg, forces in eV/Å"),
        ((1.0, BOHR / HARTREE), 1.0, "energies in eV, forces in Hartree/Bohr"),
        ((1.0, 2.0 * BOHR / HARTREE), 1.0, "energies in eV, forces in Rydberg/Bohr"),
        ((1.0 / HARTREE, BOHR / HARTREE), 1.0, "energies in Hartree and forces in Hartree/Bohr"),
        ((1.0 / 32.0, 1.0), 1.0, "energies for each atom"),
        ((1.0, -1.0), 1.0, "wrong sign"),
        ((1.0, 1.0), 1.0 / BOHR, "positions in Bohr"),
    ],
)
def test_units_that_do_not_belong_together_are_told(tmp_path, scale, length, said):
    frames = rattled(6, scale=scale)
    for frame in frames:
        frame.set_cell(frame.cell * length, scale_atoms=True)
    found = take_census(read_frames(file_of(tmp_path, frames)))
    assert any(said in text for text in found.warnings), found.warnings


def test_good_units_are_not_doubted(tmp_path):
    frames = read_frames(file_of(tmp_path, rattled(8)))
    keys = choose_keys(frames)
    ratio = energy_over_work(frames, keys)
    assert ratio.slope == pytest.approx(1.0, abs=0.1)
    assert ratio.n_pairs == 7 + 6 + 5 + 4 + 3
    # Springs: the trapezoidal rule is exact.
    for frame in frames:
        frame.values["REF_energy"] = 1.5 * np.sum(frame.atoms.positions**2)
        frame.arrays["REF_forces"] = -3.0 * frame.atoms.positions
    assert energy_over_work(frames, keys).slope == pytest.approx(1.0, abs=1e-10)
    found = take_census(frames)
    assert (found.warnings, found.problems) == ((), ())


def test_census_counts(tmp_path):
    frames = rattled(4, config_type="bulk")
    frames += [frames[0].copy(), *rattled(2, seed=5, config_type="hot", amplitude=0.1)]
    molecule = labelled(Atoms("Cu2", [[0, 0, 0], [2.2, 0, 0]]), config_type="dimer")
    molecule.arrays.pop("REF_forces")
    again = frames[1].copy()
    again.info["REF_energy"] += 0.5
    again.info["config_energy_weight"] = 3.0
    path = file_of(tmp_path, [*frames, molecule, again])
    found = take_census(read_frames(path))
    kinds = {kind.group: kind for kind in found.kinds}
    assert {name: kind.n_frames for name, kind in kinds.items()} == {"bulk": 6, "hot": 2, "dimer": 1}
    assert kinds["bulk"].n_duplicates == 2
    assert (kinds["dimer"].n_without_forces, kinds["dimer"].pbc, kinds["dimer"].volume) == (1, ("FFF",), None)
    assert kinds["dimer"].closest_distance == pytest.approx(2.2)
    assert kinds["bulk"].volume == pytest.approx((A**3 / 4, A**3 / 4))
    assert kinds["bulk"].keys == {"REF_energy": 6, "REF_forces": 6}
    energies = [frame.info["REF_energy"] / 32 for frame in [*frames[:5], again]]
    assert kinds["bulk"].energy == pytest.approx((min(energies), max(energies)))
    assert any("but for the energy, by up to 0.5" in text for text in found.warnings)
    assert any('"config_energy_weight" of 1 frames' in text for text in found.warnings)

    shown = invoke("census", path)
    assert shown.exit_code == 0, shown.output
    assert 'energy = "REF_energy"' in shown.stdout
    assert "dimer" in shown.stdout
    assert json.loads(invoke("census", path, "--json").stdout)["n_frames"] == 9
    refused = invoke("census", path, "--energy", "energy")
    assert refused.exit_code == 2
    assert 'energy = "energy"' in refused.stderr
    assert invoke("census", tmp_path / "absent.xyz").exit_code == 2


def test_split_is_stratified_reproducible_and_keeps_duplicates_together(tmp_path):
    frames = [
        *rattled(10, config_type="a"),
        *rattled(20, seed=1, config_type="b"),
        *rattled(3, seed=2, config_type="c"),
    ]
    frames += [frame.copy() for frame in frames[:10]]
    found = read_frames(file_of(tmp_path, frames))
    train, test = split(found, 0.2, 7, keep=["c"])
    names = [frame.group for frame in test]
    assert (names.count("a"), names.count("b"), names.count("c")) == (4, 4, 0)
    assert not {f.geometry for f in train} & {f.geometry for f in test}
    assert len(train) + len(test) == len(found)
    assert [f.number for f in split(found, 0.2, 7, keep=["c"])[1]] == [f.number for f in test]
    assert [f.number for f in split(found, 0.2, 8, keep=["c"])[1]] != [f.number for f in test]


def test_test_frames_that_are_training_frames_are_told(tmp_path):
    path = file_of(tmp_path, rattled(3))
    assert "3 test frames are training frames" in read_data(path, path).notes[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[data]\n", '[data] lacks the key "files"'),
        ('[data]\nfiles = ["a.xyz"]\nenrgy = "E"\n', 'did you mean "energy"?'),
        (
            '[data]\nfiles = ["a.xyz"]\n[reference]\nfactory = "EMT"\n',
            "[data] stands in the place of [reference]",
        ),
        ('[data]\nfiles = ["a.xyz"]\n[fit]\nforce_norm = "dual"\n', 'unknown key "force_norm" in [fit]'),
    ],
)
def test_mistakes_in_the_table_are_named(tmp_path, text, said):
    (tmp_path / "data.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_any(tmp_path / "data.toml")


def test_configurations_of_files_are_written_and_read_back(tmp_path):
    text = (
        '[data]\nfiles = ["a.xyz"]\nstress_unit = "GPa"\n[fit]\nmatching = ["energies"]\nE0 = { Cu = -1.5 }\n'
    )
    (tmp_path / "data.toml").write_text(text)
    config = load_any(tmp_path / "data.toml", ["run.workers=2", "data.seed=4"])
    assert config.data.files == [str(tmp_path / "a.xyz")]
    assert config.data.seed == 4
    for comments in (False, True):
        (tmp_path / "again.toml").write_text(to_toml(config, comments))
        assert load_any(tmp_path / "again.toml") == config
    with pytest.raises(ConfigError, match="has no crystal and no reference"):
        load(tmp_path / "data.toml")
