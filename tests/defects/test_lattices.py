"""The triangular lattice against its closed forms, and its recognition in other cells and rotations."""

import numpy as np
import pytest
from ase.build import bulk, graphene
from ase.geometry import get_distances
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_mlipgen.defects import (
    cell_width,
    is_planar,
    nearest_distances,
    triangular_lattice,
    triangular_primitive,
)


@given(r0=st.floats(1.5, 4.0), nx=st.integers(1, 4), ny=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_counts_distances_and_area_are_those_of_the_lattice(r0, nx, ny):
    crystal = triangular_lattice("W", r0, (nx, ny))
    assert len(crystal) == 2 * nx * ny
    assert crystal.cell.lengths()[:2] == pytest.approx([nx * r0, ny * np.sqrt(3) * r0])
    assert tuple(crystal.pbc) == (True, True, False)
    assert nearest_distances(crystal) == pytest.approx(r0)
    assert cell_width(crystal) == pytest.approx(min(nx, ny * np.sqrt(3)) * r0)


@pytest.mark.parametrize(("r0", "size"), [(0.0, (1, 1)), (-1.0, (1, 1)), (np.nan, (1, 1)), (2.7, (0, 1))])
def test_impossible_lattices_are_refused(r0, size):
    with pytest.raises(ValueError, match=r"r0 =|size ="):
        triangular_lattice("W", r0, size)


@given(angle=st.floats(-90.0, 90.0), shift=st.floats(-5, 5))
@settings(max_examples=20, deadline=None)
def test_the_lattice_is_recognised_however_it_lies(angle, shift):
    crystal = triangular_lattice("W", 2.7, (3, 2))
    crystal.rotate(angle, "z", rotate_cell=True)
    crystal.positions[:, :2] += shift
    crystal.wrap()
    primitive = triangular_primitive(crystal)
    assert len(primitive) == 1
    assert primitive.cell.cellpar()[[0, 1, 5]] == pytest.approx([2.7, 2.7, 60.0])
    # Lattice vectors of the primitive cell take the crystal onto itself.
    moved = crystal.positions + 2 * primitive.cell[0] - primitive.cell[1]
    _, distance = get_distances(moved, crystal.positions, cell=crystal.cell, pbc=crystal.pbc)
    assert distance.min(axis=1) == pytest.approx(0.0, abs=1e-9)


def test_other_crystals_are_not_taken_for_it():
    stretched = triangular_lattice("W", 2.7)
    stretched.set_cell(stretched.cell * [1.001, 1.0, 1.0], scale_atoms=True)
    two_elements = triangular_lattice("W", 2.7)
    two_elements.symbols[1] = "Mo"
    sheet = graphene(vacuum=5.0)
    sheet.pbc = (True, True, False)
    for crystal in (stretched, two_elements, sheet, bulk("Cu"), bulk("W", cubic=True)):
        assert triangular_primitive(crystal) is None


def test_a_buckled_sheet_is_not_planar():
    sheet = triangular_lattice("W", 2.7)
    assert is_planar(sheet)
    sheet.positions[1, 2] += 0.1
    assert not is_planar(sheet)
    assert not is_planar(bulk("Cu"))


def test_the_width_is_the_distance_between_faces():
    assert cell_width(bulk("Cu", a=3.6)) == pytest.approx(3.6 / np.sqrt(3))
    assert cell_width(bulk("Cu", a=3.6, cubic=True) * (2, 3, 4)) == pytest.approx(7.2)
    assert cell_width(triangular_primitive(triangular_lattice("W", 2.0))) == pytest.approx(np.sqrt(3))
