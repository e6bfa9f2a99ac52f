"""Files of other programs: what they say is evaluated as by the letter, and what is not linear is refused."""

import numpy as np
import pytest
from ase import Atoms

from ase_mlipgen import LinearACE
from ase_mlipgen.export import direct
from ase_mlipgen.export.bonds import FAMILIES, CorePairs, Families
from ase_mlipgen.export.contents import YaceError
from ase_mlipgen.export.reading import read
from tests.export import foreign


def cell():
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1, 2], indexing="ij"), axis=-1).reshape(-1, 3) * 2.4
    atoms = Atoms("CSi2" * 4, grid + rng.uniform(-0.3, 0.3, grid.shape), cell=[4.8, 4.8, 7.2], pbc=True)
    atoms.positions[1] = atoms.positions[0] + [1.1, 0.5, 0.3]
    return atoms


def check_stress(atoms):
    """Compare one component with differences of energies."""
    energies = []
    for strain in (1e-5, -1e-5):
        strained = atoms.copy()
        strained.set_cell(
            atoms.cell.array @ (np.eye(3) + strain * np.eye(3)[[0, 2, 1]] * [[0], [1], [1]]), scale_atoms=True
        )
        strained.calc = atoms.calc
        energies.append(strained.get_potential_energy())
    expected = (energies[0] - energies[1]) / 2e-5 / atoms.get_volume() / 2
    assert abs(atoms.get_stress()[3] - expected) < 1e-7 * max(1.0, np.abs(atoms.get_stress()).max())


def check_hessian(model, atoms, path, tolerance):
    """Compare along one direction with differences of the formulas' forces."""
    v = np.random.default_rng(0).normal(size=(len(atoms), 3))
    forces = []
    for step in (1e-5, -1e-5):
        moved = atoms.copy()
        moved.positions += step * v
        forces.append(direct.evaluate(read(path), moved)[1])
    slope = (forces[1] - forces[0]) / 2e-5
    np.testing.assert_allclose(
        model.hessian_product(atoms, v), slope, rtol=0, atol=tolerance * np.abs(slope).max()
    )
    exact = (model.get_hessian(atoms) @ v.ravel()).reshape(-1, 3)
    np.testing.assert_allclose(exact, slope, rtol=0, atol=tolerance * np.abs(slope).max())


def agree(path, tolerance):
    """Compare the imported model with the file's formulas; return the model and its atoms."""
    atoms, model = cell(), LinearACE.from_yace(path)
    energies_i, forces = direct.evaluate(read(path), atoms)
    atoms.calc = model
    scale = max(1.0, np.abs(energies_i).max())
    np.testing.assert_allclose(atoms.get_potential_energies(), energies_i, rtol=0, atol=tolerance * scale)
    scale = max(1.0, np.abs(forces).max())
    np.testing.assert_allclose(atoms.get_forces(), forces, rtol=0, atol=30 * tolerance * scale)
    return model, atoms


@pytest.mark.parametrize("inner", ["density", "distance"])
@pytest.mark.parametrize("family", FAMILIES)
def test_functions_of_pacemaker(family, inner, tmp_path):
    path = foreign.write(tmp_path / "model.yace", foreign.pacemaker(family, inner))
    model, atoms = agree(path, 1e-10)  # a table's distance from the formula, at 5e-4 Å
    check_stress(atoms)
    model.save(tmp_path / "model.json")
    energy = atoms.get_potential_energy()
    atoms.calc = LinearACE.load(tmp_path / "model.json")
    assert atoms.get_potential_energy() == energy
    again = model.export_lammps(tmp_path / "again.yace", [atoms])
    assert "pace/kk" not in again.potentials[0].read_text()
    assert LinearACE.from_yace(again.potentials[0]).basis == model.basis
    # Second derivatives of the cubics: off by the square of the spacing, more where an inner cutoff bends g.
    check_hessian(model, atoms, path, 1e-6 if inner == "density" else 1e-4)
    with pytest.raises(ValueError, match="no design rows"):
        model.basis.design(atoms)


def test_functions_of_pacemaker_beyond_order_4(tmp_path):
    path = foreign.write(tmp_path / "model.yace", foreign.pacemaker("ChebExpCos", "distance", order=5))
    model, atoms = agree(path, 1e-10)  # by the scalar kernel
    assert model.basis.order == 5
    check_stress(atoms)


@pytest.mark.parametrize("power", [2, 3, 5])
def test_cores_of_other_envelopes(power, tmp_path):
    found = foreign.entries()
    found["polypairpot"] |= {"pl": power}
    found["reppot"]["coefficients"][0, 1] = {"ri": 1.3, "e0": 0.5, "A": 2.0, "B": 8.0}
    model, atoms = agree(foreign.write(tmp_path / "model.yace", found), 1e-13)
    check_hessian(model, atoms, tmp_path / "model.yace", 1e-7)
    assert model.basis.design(atoms).forces.shape == (len(atoms), 3, len(model.basis))


def test_bonds_of_their_own_for_each_ordered_pair(tmp_path):
    found = foreign.entries()
    for k, pair in enumerate(foreign.PAIRS):
        bond = found["bonds"][pair] = dict(found["bonds"][pair])
        rcut, p, r0 = 4.5 - 0.3 * k, 1 + k, 1.0 + k
        x = [((1 + r0) / (1 + r)) ** p for r in (rcut, 0.8)]
        bond |= {"p": p, "r0": r0, "rcut": rcut, "xl": x[0], "xr": x[1], "pl": 2 + k, "pr": k}
    agree(foreign.write(tmp_path / "model.yace", found), 1e-11)


def test_several_densities_are_summed(tmp_path):
    found = foreign.entries()
    path = foreign.write(tmp_path / "one.yace", found)
    text = path.read_text().replace("FS_parameters: [1.0, 1.0]", "FS_parameters: [0.5, 1.0, -2.0, 1.0]")
    text = text.replace("ndensity: 1", "ndensity: 2").replace("FinnisSinclairShiftedScaled", "FinnisSinclair")
    lines = []
    for line in text.splitlines():
        if "ctildes: [" in line:
            head, tail = line.split("ctildes: [")
            values = [float(x) for x in tail.split("]")[0].split(",")]
            both = [repr(one) for value in values for one in (4 * value, 0.5 * value)]
            line = f"{head}ctildes: [{', '.join(both)}]}}"
        lines.append(line)
    other = tmp_path / "two.yace"
    other.write_text("\n".join(lines) + "\n")
    one, two = LinearACE.from_yace(path), LinearACE.from_yace(other)
    np.testing.assert_allclose(two.coefficients, one.coefficients, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("family", FAMILIES)
def test_slopes_of_radial_functions(family):
    bond = Families(family, 2.5, 5.0, 0.7, np.ones((1, 1, 6)), (1.5, 0.4))
    r, step = np.linspace(1.01, 4.99, 97), 1e-6
    (up, _), (down, _), (_, slope) = bond.base(r + step), bond.base(r - step), bond.base(r)
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=0, atol=1e-7 * np.abs(slope).max())


def test_bessel_functions_are_orthonormal():
    """What they were made for (Kocer et al.), with weight r^2 from 0 to the cutoff."""
    r, w = np.polynomial.legendre.leggauss(200)
    r, w = 2.5 * (r + 1), 2.5 * w
    g, _ = Families("SBessel", 1.0, 5.0, 0.0, np.ones((1, 1, 6))).base(r)
    np.testing.assert_allclose(np.einsum("r,rm,rn->mn", w * r**2, g, g), np.eye(6), atol=1e-12)


def test_slope_of_the_core():
    core = CorePairs({(0, 0): (60.0, 1.0, 4.5, 1.6, 0.4)})
    r, step = np.linspace(0.4, 2.0, 61), 1e-6
    up, down = core.evaluate(r + step, (0, 0))[0], core.evaluate(r - step, (0, 0))[0]
    slope = core.evaluate(r, (0, 0))[1]
    np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-7, atol=1e-7)
    assert (slope[r > 1.6] == 0).all()


POLYNOMIAL = [
    ("FS_parameters: [1.0, 1.0]", "FS_parameters: [1.0, 0.5]", r"embeddings: 0: .*exponents of 1"),
    ("FinnisSinclairShiftedScaled", "Bessel", "no linear potential"),
    ("rho_core_cutoff: 10000000000.0", "rho_core_cutoff: 0.0", "drops the expansion"),
    ("maxn: 6", "maxn: 1000000000000", r"bonds \[0, 0\]: maxn = 1000000000000"),
    ("maxn: 6", "maxn: 7", r"recursion_coefficients: A: expected a list of 7 values, got 6"),
    ("p: 2,", "p: 2.0,", r"p = 2.0: expected a whole number"),
    ("pl: 2,", "pl: 1,", r"pl = 1: expected a whole number from 2"),
    ("rcut: 4.5", "rcut: .nan", r"rcut = nan: expected a finite number"),
    ("rcut: 4.5", "rcut: 3.5", r"xl = .* is reached at 4.5"),
    ("rcut: 4.5", "rcut: 1.0e+12", r"rcut = 1000000000000.0: expected a length"),
    ("ACE.jl.Basic", "Tabulated", "ACE.jl radials and others in one file"),
    ("radbasename: ", "splinenodalvals: {}, radbasename: ", "splinenodalvals: tables of nodes"),
    ("  [0, 1]: {radbasename", "  [0, 2]: {radbasename", r"bonds: \[0, 2\] = 2: expected a whole number from 0 to 1"),
    ("  [0, 1]: {radbasename", "  [0, 0]: {radbasename", r"comes twice"),
    ("elements: ['C', 'Si']", "elements: ['C', 'Xx']", "different chemical symbols"),
    ("elements: ['C', 'Si']", "elements: ['C', 'C']", "different chemical symbols"),
    ("lmax: 1", "lmax: 0", r"ls, of the bond \[0, 0\] = 1: expected a whole number from 0 to 0"),
    ("elements:", "something:", "is not a .yace file"),
    ("E0: [-1.25, -1.25]", "E0: [-1.25]", "E0: expected a list of 2 values, got 1"),
    ("E0: [-1.25, -1.25]", "E0: &a [-1.25, -1.25]", "anchors or aliases"),
    ("E0: [-1.25, -1.25]", "E0: !!python/object/apply:os.getcwd []", "is not a complete YAML file"),
    ("embeddings:", "embedding:", "embeddings is missing"),
    ("rank: 2,", "rank: 20,", "rank = 20: expected a whole number from 1 to 6"),
    ("num_ms_combs: 2,", "num_ms_combs: 1000000000000,", "num_ms_combs = 1000000000000"),
    ("num_ms_combs: 2,", "num_ms_combs: 1,", r"functions 0, number \d+: ms_combs: expected a list of"),
    ("ns: [1, 1], ls: [1, 1]", "ns: [1, 90], ls: [1, 1]", r"ns, of the bond \[0, 0\] = 90"),
    ("ns: [1, 1], ls: [1, 1]", "ns: [1, 1], ls: [0, 0]", r"\[-1, 1\] does not belong to ls = \[0, 0\]"),
    ("ls: [0, 0], ms_combs: [0, 0]", "ls: [0, 1], ms_combs: [0, 0]", "no rotation invariant has these momenta"),
    ("mu0: 1, rank: 2", "mu0: 0, rank: 2", "mu0 = 0, but it is listed under element 1"),
    ("  pr: 0\n", "  pr: 2\n", "polypairpot: pr = 2: an envelope inwards"),
    ("reppot:", "reppot: {}\nother:", "reppot: coefficients is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), POLYNOMIAL, ids=[new for _, new, _ in POLYNOMIAL])
def test_damaged_and_foreign_polynomials_are_refused(old, new, said, tmp_path):
    path = foreign.write(tmp_path / "model.yace", foreign.entries())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(YaceError, match=said) as caught:
        LinearACE.from_yace(path)
    assert str(path) in str(caught.value)


FAMILY = [
    ("radbasename: 'ChebPow'", "radbasename: 'Tabulated'", "radbasename = 'Tabulated'"),
    ("prehc: 0.0", "prehc: 100.0", "core of type 'density' is not additive"),
    ("dcut_in: 0.0}", "dcut_in: 0.0, inner_cutoff_type: zbl}", "'zbl' is not additive"),
    ("nradmax: 6", "nradmax: 5", "radcoefficients: expected a list of 5 values, got 6"),
    ("lmax: 4", "lmax: 1000000000000", "lmax = 1000000000000"),
    ("radparameters: [2.5]", "radparameters: []", "radparameters = "),
    ("deltaSplineBins: 0.0005", "deltaSplineBins: 1.0e-12", "deltaSplineBins = 1e-12"),
    ("deltaSplineBins: 0.0005", "deltaSplineBins: 0.0", "deltaSplineBins = 0.0"),
    ("rcut: 4.5", "rcut: 999.0", "deltaSplineBins = 0.0005: the look-up table would have"),
]


@pytest.mark.parametrize(("old", "new", "said"), FAMILY, ids=[new for _, new, _ in FAMILY])
def test_damaged_and_foreign_families_are_refused(old, new, said, tmp_path):
    path = foreign.write(tmp_path / "model.yace", foreign.pacemaker("ChebPow"))
    text = path.read_text()
    assert old in text
    # ML-PACE takes the last bond's kind of core for all.
    path.write_text(new.join(text.rsplit(old, 1)) if "zbl" in new else text.replace(old, new, 1))
    with pytest.raises(YaceError, match=said) as caught:
        LinearACE.from_yace(path)
    assert str(path) in str(caught.value)


def test_terms_that_change_under_rotations_are_refused(tmp_path):
    found = foreign.entries()
    listed = found["functions"][0]
    k = next(k for k, f in enumerate(listed) if len(f.mus) == 2 and len(f.values) > 1)
    values = list(listed[k].values)
    values[1] *= 1 + 1e-8
    listed[k] = listed[k]._replace(values=tuple(values))
    with pytest.raises(YaceError, match="changes under rotations"):
        LinearACE.from_yace(foreign.write(tmp_path / "model.yace", found))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        LinearACE.from_yace(tmp_path / "none.yace")
