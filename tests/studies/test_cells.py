"""The cells of the figures: numbers of Table 2, distances on the lattice, a picture that shows every defect."""

import numpy as np
import pytest
from ase.geometry import get_distances

from ase_mlipgen.report.studies import figure_of
from ase_mlipgen.studies import cells
from ase_mlipgen.studies.study import Context

R0, A = 2.72711, 5.4289


@pytest.fixture(scope="module")
def records():
    return [r for found in cells.compute(cells.settings_of(), Context()) for r in found]


def test_training_cells_have_the_numbers_of_table_2(records):
    found = [r for r in records if r.figure == 2 and r.n_defects == 1]
    assert [r.n_atoms for r in found] == [11, 23, 29, 47, 69]
    assert [r.observations for r in found] == [6800, 14000, 17600, 28400, 41600]
    silicon = [r for r in records if r.figure == 10]
    assert [(r.size, r.n_atoms, r.observations) for r in silicon] == [
        (L, 8 * L**3 - 1, 200 * (3 * 8 * L**3 - 2)) for L in (2, 3, 4)
    ]


def test_large_cells_have_their_sites_and_their_distances(records):
    for r in records:
        if r.n_defects > 1:
            sites = 3600 if r.crystal == "sheet" else 8 * r.size**3
            change = r.defects.count("interstitial") - r.defects.count("vacancy")
            assert r.n_atoms == sites + change
            atoms = cells.cell_of(r)
            _, distance = get_distances(atoms.info["defect_centres"], cell=atoms.cell, pbc=atoms.pbc)
            least = distance[~np.eye(len(distance), dtype=bool)].min()
            assert r.closest == pytest.approx(least)
            assert r.closest >= r.separation * (R0 if r.crystal == "sheet" else A) - 1e-9
            assert r.observations == 0
    assert [r.n_defects for r in records if r.figure == 2][-3:] == [2, 3, 4]
    assert [r.size for r in records if r.figure == 11] == [6, 10]


def test_picture_marks_every_defect(records):
    figure = figure_of("cells", records)
    marked = [
        line
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() in "oD" and len(line.get_xdata())
    ]
    assert len(marked) == sum(r.n_defects for r in records)
    dots = sum(len(c.get_offsets()) for axes in figure.axes for c in axes.collections)
    assert dots >= sum(r.n_atoms for r in records)
    head, rows = cells.table(records)
    assert all(len(row) == len(head) for row in rows)
    assert rows[0][2] == "2 vacancies + 2 interstitials"
