"""The study of Theorem 2.1: a lattice Green's function, super-lattices that have to agree, and small cells."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ase_mlipgen.defects import Vacancy, simulation_cell
from ase_mlipgen.report.studies import figure_of
from ase_mlipgen.studies import theorem21
from ase_mlipgen.studies.cases import SHEET
from ase_mlipgen.studies.slopes import slope_of_points
from ase_mlipgen.studies.study import Context
from ase_mlipgen.studies.theorem21 import Record, Setting, System
from ase_mlipgen.studies.theorem21_tables import DECAY, GRID, LATTICE, RANDOM, summarise
from ase_mlipgen.theory.norms import bonds, site_strains
from ase_mlipgen.theory.superposition import closest_cores

R0 = 2.72711
SMALL = System(SHEET, R0, (Vacancy(),), 16, 24, (2, 4), (4, 8), (4, 8), (3,), (0,))


def springs(size, force):
    """Displace a triangular lattice of springs k = 1 by forces that push the neighbours of one site outwards.

    By the lattice Green's function, in reciprocal space. Returns displacements by the site's two indices.
    """
    steps = [(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)]
    unit = {s: np.array([s[0] + 0.5 * s[1], np.sqrt(0.75) * s[1]]) for s in steps}
    k = 2.0 * np.pi * np.fft.fftfreq(size)
    kx, ky = np.meshgrid(k, k, indexing="ij")
    D, f = np.zeros((size, size, 2, 2)), np.zeros((size, size, 2))
    for s, e in unit.items():
        D += (1.0 - np.cos(kx * s[0] + ky * s[1]))[:, :, None, None] * np.outer(e, e)
        f[s] = force * e
    f_k = np.fft.fft2(f, axes=(0, 1))
    D[0, 0] = np.eye(2)
    u_k = np.linalg.solve(D, f_k[..., None])[..., 0]
    u_k[0, 0] = 0.0
    return np.real(np.fft.ifft2(u_k, axes=(0, 1)))


def test_decay_is_that_of_a_lattice_greens_function():
    """Far from it a centre of dilation P: u = P x / (2 pi (lambda + 2 mu) r^2), lambda = mu = sqrt(3)/4 k."""
    size, force = 80, 0.05
    u = springs(size, force)
    atoms = simulation_cell(SHEET, [Vacancy()], size, 1)
    offsets = (atoms.positions - atoms.info["defect_centres"][0])[:, :2] / R0
    j = np.round(offsets[:, 1] / np.sqrt(0.75)).astype(int)
    i = np.round(offsets[:, 0] - 0.5 * j).astype(int)
    moved = atoms.copy()
    moved.positions[:, :2] += u[i % size, j % size]
    strain = site_strains(bonds(atoms), moved.positions - atoms.positions)
    relaxed = SimpleNamespace(atoms=moved, converged=True, steps=1)
    settings = [Setting("springs", DECAY, 1, r, 0) for r in range(6, 15)]
    far = [theorem21.shell(setting, R0, atoms, relaxed, strain) for setting in settings]
    c = 3.0 * force / (2.0 * np.pi * 3.0 * np.sqrt(3.0) / 4.0)
    distance_i = np.linalg.norm(offsets, axis=1)
    for record in far:
        r = distance_i[np.abs(distance_i - record.distance) <= 0.5]
        assert record.norm == pytest.approx(np.sqrt(6.0 * np.mean((c / r**2) ** 2)), rel=0.03)
    slope = slope_of_points([r.distance for r in far], [r.norm for r in far])
    assert slope.mean == pytest.approx(-2.0, abs=0.1)


@pytest.fixture(scope="module")
def records():
    systems = {"small": SMALL}
    settings = theorem21.settings_of(systems)
    return [r for found in theorem21.compute(settings, Context(), systems) for r in found]


def test_rest_is_smaller_the_farther_cores_are(records):
    assert all(r.converged for r in records)
    grid = {(r.n_defects, r.separation): r for r in records if r.arrangement == GRID}
    assert set(grid) == {(2, 4), (2, 8), (4, 4), (4, 8)}
    assert grid[4, 8].rest < 0.8 * grid[4, 4].rest < grid[4, 4].norm
    assert grid[4, 8].whole < 0.2 * grid[4, 8].rest
    assert 0.2 < grid[4, 4].stability < grid[4, 8].stability < 0.4


def test_a_superlattice_is_its_cell_repeated(records):
    """Four cores in a cell that they fill evenly leave twice the rest of one in a quarter of it, to round-off."""
    four = next(r for r in records if (r.arrangement, r.n_defects, r.separation) == (GRID, 4, 8))
    one = next(r for r in records if (r.arrangement, r.separation) == (LATTICE, 8))
    assert one.distance == pytest.approx(8.0) == four.distance
    assert four.rest == pytest.approx(2.0 * one.rest, rel=1e-5)
    assert four.norm == pytest.approx(2.0 * one.norm, rel=1e-5)


def test_random_cores_are_as_close_as_they_may():
    system = replace(SMALL, size=30)
    places = []
    for seed in range(2):
        setting = Setting("small", RANDOM, 4, 6, seed)
        atoms = theorem21.cell_of(setting, system)
        assert len(atoms) == 30 * 30 - 4
        assert 6.0 - 1e-6 <= closest_cores(atoms) / R0 < 7.0
        places.append(theorem21.scattered(system, 4, 6, seed))
    assert places[0] == theorem21.scattered(system, 4, 6, 0)
    assert places[0] != places[1]
    with pytest.raises(ValueError, match="5 cores do not fit 8"):
        theorem21.scattered(replace(SMALL, size=8), 5, 4, 0)


def made(n, L, arrangement=GRID, **changes):
    values = {"norm": np.sqrt(n), "rest": 3.0 * np.sqrt(n) / L, "whole": n / L**2, "stability": 0.3}
    if arrangement == DECAY:
        values = {"norm": L**-2.0, "rest": np.nan, "whole": np.nan, "stability": np.nan}
    values |= {"n_atoms": 100, "distance": float(L), "steps": 5, "converged": True, **changes}
    return Record("small", arrangement, n, L, 0, **values)


def test_table_has_the_exponents_of_the_data():
    found = [made(n, L) for n in (2, 4, 9) for L in (4, 8, 12)]
    found += [made(1, L, DECAY) for L in range(1, 13)]
    rest, whole, decay = summarise(found)
    for s, slope, power in ((rest, -1.0, 0.5), (whole, -2.0, 1.0)):
        assert [e.mean for e in s["distance"].values()] == pytest.approx([slope] * 3)
        assert {D: e.mean for D, e in s["count"].items()} == pytest.approx(dict.fromkeys((4, 8, 12), power))
    assert decay["distance"][1].mean == pytest.approx(-2.0)
    assert not decay["count"]
    assert rest["values"][4][8] == pytest.approx(0.75)
    assert rest["softest"] == {2: 0.3, 4: 0.3, 9: 0.3}
    head, rows = theorem21.table(found, {"small": 2})
    assert head[4:7] == ["4", "8", "12"]
    assert all(len(row) == len(head) for row in rows)
    assert {tuple(row[1:2] + row[-3:]) for row in rows if row[-3]} == {
        ("rest", "-1.00 ± 0.00", "-1", "0.300"),
        ("rest of whole fields", "-2.00 ± 0.00", "-", "-"),
        ("rms of Du(l)", "-2.00 ± 0.00", "-2", "-"),
    }
    assert ["0.50 ± 0.00"] * 3 in [row[4:7] for row in rows]
    lost = summarise([*found, made(2, 6, converged=False, rest=np.nan)])
    assert lost[0]["lost"] == 1
    assert lost[0]["values"] == rest["values"]


def test_picture_has_every_arrangement(records):
    figure = figure_of("theorem21", records)
    left = figure.axes[0]
    points = np.concatenate([line.get_xydata() for line in left.lines if line.get_marker() in "sox"])
    assert len(points) == sum(r.arrangement != DECAY for r in records)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    x = np.array([4.0, 6.0, 8.0, 12.0, 18.0])
    inside = 0
    for _ in range(400):
        found = slope_of_points(x, x**-1.0 * np.exp(0.1 * rng.normal(size=5)))
        inside += abs(found.mean + 1.0) < found.half_width
    assert 0.92 < inside / 400 < 0.98
    assert np.isnan(slope_of_points([1.0, 2.0], [1.0, 0.5]).half_width)
    with pytest.raises(ValueError, match="do not determine"):
        slope_of_points([3.0, 3.0], [1.0, 2.0])
