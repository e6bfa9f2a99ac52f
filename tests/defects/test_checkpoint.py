"""Checkpoints: a relaxation that was stopped anywhere comes to the same bits; what does not fit is refused."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.optimize import BFGS, FIRE2, LBFGS

from ase_mlipgen.defects import (
    CheckpointError,
    Guards,
    Interstitial,
    Vacancy,
    displaced,
    journal,
    relax,
    training_cell,
    triangular_lattice,
)
from tests.defects.models import attractive, morse

SHEET = triangular_lattice("W", 2.5706)


def small():
    return training_cell(SHEET, Interstitial((0.5, 1 / 6)), 5)


def preconditioned():
    """Enough atoms for a preconditioner, one of them held; the model prefers another crystal: a long way, 274 calls."""
    atoms = displaced(training_cell(bulk("W", cubic=True), Vacancy(), 4), 0.1, np.random.default_rng(1))
    atoms.set_constraint(FixAtoms([3]))
    return atoms


class Interrupted(BaseException):
    """Stands for Ctrl-C."""


def stopping(after):
    """A model that stops the process's work when it is asked once more than `after` times."""
    model = morse()
    calculate = model.calculate

    def counted(*args, **kwargs):
        if model.calls == after:
            raise Interrupted
        calculate(*args, **kwargs)

    model.calculate = counted
    return model


@pytest.mark.parametrize("make", [small, preconditioned])
def test_stopped_anywhere_it_comes_to_the_same_bits(make, tmp_path):
    start, model = make(), morse()
    whole = relax(start, model, fmax=1e-6)
    assert whole.converged
    assert whole.resumed is None
    assert whole.calls == model.calls
    assert whole.calls > whole.steps > 8
    for after in range(0, whole.calls, 2) if make is small else (50, 190):
        path = tmp_path / f"{after}.npz"
        with pytest.raises(Interrupted):
            relax(start, stopping(after), fmax=1e-6, checkpoint=path)
        assert path.exists() == (after > 0)
        model = morse()
        found = relax(start, model, fmax=1e-6, checkpoint=path)
        assert np.array_equal(found.atoms.positions, whole.atoms.positions)
        assert np.array_equal(found.forces, whole.forces)
        assert (found.energy, found.initial_energy) == (whole.energy, whole.initial_energy)
        assert (found.steps, found.calls, found.fmax) == (whole.steps, whole.calls, whole.fmax)
        if after > 0:
            assert model.calls <= whole.calls - found.resumed - 1


class Clock:
    """Time that is one second later whenever it is asked for."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        self.now += 1.0
        return self.now


def test_a_finished_relaxation_asks_the_model_nothing(tmp_path, monkeypatch):
    start, path = small(), tmp_path / "c.npz"
    monkeypatch.setattr(journal, "time", Clock())
    first = relax(start, morse(), checkpoint=path, fmax=1e-3)
    model = morse()
    again = relax(start, model, checkpoint=path, fmax=1e-3)
    assert model.calls == 0
    assert (again.resumed, again.steps, again.calls) == (first.steps, first.steps, first.calls)
    assert again.converged
    assert again.wall_time > 0.9 * first.wall_time > 0.0
    tighter = relax(start, morse(), checkpoint=path, fmax=1e-6)
    assert np.array_equal(tighter.atoms.positions, relax(start, morse(), fmax=1e-6).atoms.positions)


def test_steps_count_from_the_start(tmp_path):
    start, path = small(), tmp_path / "c.npz"
    assert relax(start, morse(), checkpoint=path, fmax=1e-6, steps=4).steps == 4
    seen = []
    found = relax(
        start, morse(), checkpoint=path, fmax=1e-6, steps=6, progress=lambda step, *_: seen.append(step)
    )
    assert (found.resumed, found.steps, seen) == (4, 6, [4, 5, 6])
    assert "not converged after 6 steps" in found.failure


@pytest.mark.parametrize("optimizer", [LBFGS, FIRE2])
def test_other_optimisers_begin_afresh_at_the_last_positions(optimizer, tmp_path):
    start, path = small(), tmp_path / "c.npz"
    with pytest.raises(Interrupted):
        relax(start, stopping(12), optimizer=optimizer, fmax=1e-5, checkpoint=path)
    seen = []
    found = relax(
        start,
        morse(),
        optimizer=optimizer,
        fmax=1e-5,
        checkpoint=path,
        progress=lambda *step: seen.append(step),
    )
    assert found.converged
    assert found.resumed == seen[0][0] in (10, 11)
    assert seen[0][1] < found.initial_energy
    assert found.energy == pytest.approx(relax(start, morse(), fmax=1e-7).energy, abs=1e-8)


def test_an_optimiser_that_gave_up_is_not_tried_again(tmp_path):
    class GivesUp(BFGS):
        def step(self, *args):
            if self.nsteps == 4:
                raise RuntimeError("line search failed")
            super().step(*args)

    start, path = small(), tmp_path / "c.npz"
    with pytest.raises(Interrupted):
        relax(start, stopping(12), optimizer=GivesUp, fmax=1e-6, checkpoint=path)
    made = []

    class Recorded(GivesUp):
        def __init__(self, *args, **kwargs):
            made.append(1)
            super().__init__(*args, **kwargs)

    Recorded.__qualname__ = GivesUp.__qualname__
    assert relax(start, morse(), optimizer=Recorded, fmax=1e-6, checkpoint=path).converged
    assert not made


def test_what_ran_away_is_not_kept(tmp_path):
    start = displaced(training_cell(SHEET, Vacancy(), 3), 0.05, np.random.default_rng(0))
    path = tmp_path / "c.npz"
    first = relax(start, attractive(), steps=2000, checkpoint=path)
    again = relax(start, attractive(), steps=2000, checkpoint=path)
    assert "ran away" in first.failure
    assert again.failure == first.failure
    assert again.resumed == first.steps - 1
    assert again.calls == first.calls
    assert first.forces is None or np.isfinite(first.forces).all()
    # The limits are those of the start, not of the place where it was resumed.
    limit = "two atoms came as close as"
    tight = Guards(distance=0.9)
    assert limit in relax(start, attractive(), guards=tight, checkpoint=path).failure


def moved(atoms):
    atoms.positions[7] += [0.0, 1e-12, 0.0]


def other_element(atoms):
    atoms.numbers[2] = 42


def wider(atoms):
    atoms.set_cell(atoms.cell.array * 1.001)


def held(atoms):
    atoms.set_constraint(FixAtoms([0]))


def one_less(atoms):
    del atoms[0]


def open_side(atoms):
    atoms.pbc = (True, False, False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (moved, r"other positions, atom 7 by 1e-12 Å"),
        (other_element, r"atom 2 has the atomic number 74, not 42"),
        (wider, r"its cell is \[\["),
        (held, r"its constraints \[\], not \[\{.*FixAtoms"),
        (one_less, r"it has \d+ atoms, not \d+"),
        (open_side, r"its pbc is \[True, True, False\], not \[True, False, False\]"),
    ],
)
def test_a_checkpoint_of_other_atoms_is_refused(change, said, tmp_path):
    path = tmp_path / "c.npz"
    relax(small(), morse(), checkpoint=path, steps=2)
    before = path.read_bytes()
    other = small()
    change(other)
    with pytest.raises(CheckpointError, match=said) as caught:
        relax(other, morse(), checkpoint=path, steps=2)
    assert "--restart" in str(caught.value)
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    from ase_mlipgen import EAM2D
    from ase_mlipgen.eam.analytic import TUNGSTEN

    start, path = small(), tmp_path / "c.npz"
    relax(start, EAM2D(), checkpoint=path, steps=2)
    other = EAM2D(replace(TUNGSTEN, alpha=8.9))
    with pytest.raises(CheckpointError, match=r"its model .*8\.900114.*, not .*8\.9,"):
        relax(start, other, checkpoint=path, steps=2)
    with pytest.raises(CheckpointError, match=r"its model .*EAM2D.*, not mine"):
        relax(start, EAM2D(), checkpoint=path, steps=2, model="mine")
    assert relax(start, EAM2D(threads=1), checkpoint=path, steps=3).resumed == 2


def test_a_damaged_checkpoint_is_refused_wherever_the_damage_is(tmp_path):
    path = tmp_path / "c.npz"
    relax(small(), morse(), checkpoint=path, steps=3)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:length] for length in (0, 10, len(whole) // 2, len(whole) - 1)]
    damaged += [
        whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]
        for place in rng.integers(0, len(whole), 40)
    ]
    refused = []
    for content in damaged:
        path.write_bytes(content)
        try:
            found = relax(small(), morse(), checkpoint=path, steps=3)
        except CheckpointError as error:
            refused.append(str(error))
        else:
            # Times and other marks of the archive's own do not matter.
            assert (found.steps, found.resumed) == (3, 3)
        assert path.read_bytes() == content
    assert len(refused) > len(damaged) // 2
    assert all("is damaged" in said and "delete it" in said for said in refused)


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "c.npz"
    for write in (lambda f: np.save(f, np.zeros(3)), lambda f: np.savez(f, a=np.zeros(3))):
        with open(path, "wb") as file:
            write(file)
        with pytest.raises(CheckpointError, match="is damaged"):
            relax(small(), morse(), checkpoint=path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        relax(small(), morse(), checkpoint=tmp_path / "absent" / "c.npz")


def test_writing_that_takes_long_is_done_seldom_and_at_the_end(tmp_path, monkeypatch):
    writes = []

    def slow(path, checkpoint, origin):
        writes.append(checkpoint.step)
        time.sleep(0.02)

    monkeypatch.setattr(journal, "save", slow)
    found = relax(small(), morse(), fmax=1e-6, checkpoint=tmp_path / "c.npz")
    assert writes[0] == 0
    assert writes[-1] == found.steps
    assert len(writes) < found.steps
    monkeypatch.setattr(journal, "SHARE", 1.0)
    writes.clear()
    relax(small(), morse(), fmax=1e-6, checkpoint=tmp_path / "c.npz")
    assert writes == list(range(found.steps + 1))


KILLED = """
import sys, time
import numpy as np
from tests.defects.models import morse
from tests.defects.test_checkpoint import small
from ase_mlipgen.defects import journal, relax

journal.SHARE = 1.0  # every step, however slow the disk
model = morse()
calculate = model.calculate
def slowly(*args, **kwargs):
    time.sleep(float(sys.argv[2]))
    calculate(*args, **kwargs)
model.calculate = slowly
relax(small(), model, fmax=1e-6, checkpoint=sys.argv[1], progress=lambda step, *_: print(step, flush=True))
"""


def test_killed_again_and_again_it_comes_to_the_same_bits(tmp_path):
    """kill -9 in the middle of a force call, each time some steps further on."""
    path, reached = tmp_path / "c.npz", []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), "0.05"], stdout=subprocess.PIPE, text=True
        )
        begun = int(process.stdout.readline())
        while int(process.stdout.readline()) < begun + 3:
            pass
        process.kill()
        process.wait()
        process.stdout.close()
        reached.append(begun)
    whole = relax(small(), morse(), fmax=1e-6)
    found = relax(small(), morse(), fmax=1e-6, checkpoint=path)
    assert reached[0] == 0 < reached[1] < found.resumed
    assert np.array_equal(found.atoms.positions, whole.atoms.positions)
    assert (found.steps, found.calls, found.energy) == (whole.steps, whole.calls, whole.energy)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
