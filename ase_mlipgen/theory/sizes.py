"""Sizes of training cells beside one another, before any label: what each costs and what its cell-size term is.

The displacements of a point defect decay as |Du| ~ c r^-d, so what a cell of width L cannot hold has the norm of the
tail, of order L^{-d/2}: that multiplies every error of the force constants in the far field (3.7). Enter at `options`.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from ase import Atoms

from ase_mlipgen.defects import cell_width, is_planar, training_cell
from ase_mlipgen.theory.decay import far_decay, site_density, tail
from ase_mlipgen.theory.norms import bonds


class SizeOption(NamedTuple):
    """One size.

    Attributes
    ----------
    size : in unit cells (r0 in 2D)
    n_atoms : of its training cell
    width : Å
    wide_enough : whether that is twice the cutoff
    relative : cell-size term over that of the size it is compared with, by the decay alone
    far : Å, ||Du|| of the defect beyond half the width; None without a relaxation
    """

    size: int
    n_atoms: int
    width: float
    wide_enough: bool
    relative: float
    far: float | None


def options(
    crystal: Atoms,
    defect: Any,
    cutoff: float,
    sizes: Iterable[int],
    against: int,
    relaxed: tuple[Atoms, Atoms] | None = None,
) -> list[SizeOption]:
    """Compare sizes.

    Parameters
    ----------
    crystal, defect : of the training cells
    cutoff : Å
    against : size that the terms are relative to
    relaxed : a training cell of any size before and after relaxation by the reference, which gives c
    """
    decay = None if relaxed is None else decay_of(*relaxed)
    width = cell_width(training_cell(crystal, None, against))
    found = []
    for size in sizes:
        atoms, perfect = training_cell(crystal, defect, size), training_cell(crystal, None, size)
        own, d = cell_width(perfect), 2 if is_planar(perfect) else 3
        far = None if decay is None else tail(decay, 0.5 * own, d, site_density(perfect)) ** 0.5
        found.append(SizeOption(size, len(atoms), own, own >= 2.0 * cutoff, (own / width) ** (-0.5 * d), far))
    return found


def decay_of(unrelaxed: Atoms, relaxed: Atoms) -> float:
    """Return c of |Du| ~ c r^-d of a relaxed training cell, Å^(d + 1)."""
    return far_decay(unrelaxed, bonds(unrelaxed), relaxed.positions - unrelaxed.positions)


def worth(found: list[SizeOption], current: int) -> str:
    """Say in a sentence which size is worth its labels."""
    wide = [option for option in found if option.wide_enough]
    here = next(option for option in found if option.size == current)
    if not wide:
        return f"none of these sizes is twice the cutoff wide: take more than {found[-1].size}, or a shorter cutoff"
    first = wide[0]
    if here.size < first.size:
        return (
            f"size {first.size} is the first that is twice the cutoff wide: take it, {first.n_atoms} atoms a label "
            f"instead of {here.n_atoms}; smaller cells were up to a hundred times worse on large ones"
        )
    after = [option for option in found if option.size > here.size]
    text = f"size {here.size} is wide enough; a larger basis costs no label and usually gains more than the next size"
    if not after:
        return text
    gain, cost = 1.0 - after[0].relative / here.relative, after[0].n_atoms / here.n_atoms - 1.0
    return f"{text}, which lowers the cell-size term by {gain:.0%} for {cost:.0%} more atoms"
