"""Training samples: displaced copies of a relaxed cell, and perfect cells beside them.

Every Cartesian component moves independently, uniformly within +-amplitude or normally with that standard deviation;
planar crystals move in their plane. The ball that the matching conditions (3.3)-(3.6) of Ortner and Wang speak of is
sampled, so the amplitude decides what the fit knows: 0.03-0.1 Å shows the theory's rates; at 0.01 Å a fit sees no
anharmonicity. The perfect cells fix the energy per bulk atom, which cells of one size with one defect leave open.
Enter at `training_samples`.
"""

from typing import Literal, NamedTuple

import numpy as np
from ase import Atoms

from ase_mlipgen.defects.geometry import is_planar

Distribution = Literal["uniform", "normal"]


class Samples(NamedTuple):
    """Cells to be labelled; `info["config_type"]` is "defect" or "perfect", `info["defect"]` names the defect."""

    train: list[Atoms]
    test: list[Atoms]


def displaced(
    atoms: Atoms,
    amplitude: float,
    rng: np.random.Generator,
    distribution: Distribution = "uniform",
) -> Atoms:
    """Copy the atoms and move every one at random.

    Parameters
    ----------
    amplitude : Å; largest displacement of a component (uniform) or its standard deviation (normal)
    rng : its state decides the displacements

    Raises
    ------
    ValueError
        The amplitude is negative or not finite, or the distribution is neither.
    """
    if not (np.isfinite(amplitude) and amplitude >= 0.0):
        raise ValueError(f"amplitude = {amplitude}: expected a length in Å, 0.03 to 0.1 for most crystals")
    shape = (len(atoms), 3)
    if distribution == "uniform":
        moves = rng.uniform(-amplitude, amplitude, shape)
    elif distribution == "normal":
        moves = rng.normal(0.0, amplitude, shape)
    else:
        raise ValueError(f"distribution = {distribution!r}: expected 'uniform' or 'normal'")
    if is_planar(atoms):
        moves[:, 2] = 0.0
    copy = atoms.copy()
    copy.positions += moves
    return copy


def training_samples(
    relaxed: Atoms,
    rng: np.random.Generator,
    n_train: int = 200,
    n_test: int = 50,
    amplitude: float = 0.05,
    distribution: Distribution = "uniform",
    perfect: Atoms | None = None,
    n_perfect: int = 20,
    defect: str = "defect",
) -> Samples:
    """Draw the samples of one defect: displaced copies for training and for testing, perfect cells for training.

    Parameters
    ----------
    relaxed : the training cell at its equilibrium
    rng : draws in the order training, testing, perfect
    amplitude : Å, as in `displaced`
    perfect : the perfect cell of the host; None for no perfect cells
    n_perfect : number of them, the first one not displaced
    defect : name that the samples carry

    Returns
    -------
    n_train + n_perfect training cells (the perfect ones last) and n_test for testing.
    """
    for name, count in (("n_train", n_train), ("n_test", n_test), ("n_perfect", n_perfect)):
        if count < 0:
            raise ValueError(f"{name} = {count}: expected a number of cells, not below zero")
    defective = [
        _tagged(displaced(relaxed, amplitude, rng, distribution), "defect", defect)
        for _ in range(n_train + n_test)
    ]
    host: list[Atoms] = []
    if perfect is not None:
        host = [
            _tagged(displaced(perfect, amplitude if k else 0.0, rng, distribution), "perfect", "")
            for k in range(n_perfect)
        ]
    return Samples(train=defective[:n_train] + host, test=defective[n_train:])


def _tagged(atoms: Atoms, config_type: str, defect: str) -> Atoms:
    atoms.info["config_type"] = config_type
    atoms.info["defect"] = defect
    return atoms
