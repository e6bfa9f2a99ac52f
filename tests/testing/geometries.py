"""Random structures that a calculator should bear: skewed, tiny, partly periodic, unwrapped, alone.

Enter at `random_geometry`, which a seed decides. Everything is laid out in a compact cell, where distances are safe to
measure, and then disguised: other vectors for the same lattice, atoms in other images, far from the origin. `build`
does that for whoever has drawn the numbers.
"""

import itertools
from typing import NamedTuple

import numpy as np
from ase import Atoms

IMAGES = np.array(list(itertools.product(range(-2, 3), repeat=3)))
KINDS = (
    "crystal", "tiny", "skewed", "partly periodic", "unwrapped", "molecule", "isolated",
    "slab", "wire", "long", "skewed slab", "lone atom",
)  # fmt: skip
LONGEST = 40
"""Multiples of a bond."""
DRAWS = 60
"""Places that are tried; those too close to earlier ones are passed over."""


class Range(NamedTuple):
    """What a calculator bears: elements, the least distance and a bond (Å), and how many atoms."""

    elements: tuple[str, ...]
    closest: float
    bond: float
    most: int = 12


def random_geometry(seed, kind, limits):
    """Return the structure of a kind that belongs to a seed."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    pbc, n = np.ones(3, bool), int(rng.integers(1, limits.most + 1))
    shape, steps, far = rng.uniform(0.8, 1.3, 3), [], 0
    spread = rng.uniform(0.9, 1.7)
    if kind == "tiny":
        n, spread = int(rng.integers(1, 3)), rng.uniform(0.5, 0.9)
    elif kind == "lone atom":
        n, pbc = 1, rng.random(3) < 0.5
    elif kind in ("molecule", "isolated"):
        pbc[:] = False
        spread *= 5.0 if kind == "isolated" else 1.0
    elif kind in ("slab", "skewed slab"):
        pbc[rng.integers(3)] = False
    elif kind == "wire":
        pbc = np.arange(3) == rng.integers(3)
    elif kind == "long":
        shape[rng.permutation(3)[: rng.integers(1, 3)]] *= rng.uniform(5, LONGEST)
        spread *= 0.5
    elif kind == "partly periodic":
        pbc = rng.random(3) < 0.5
    if "skewed" in kind or rng.random() < 0.2:
        steps = [(*rng.permutation(3)[:2], int(rng.integers(-2, 3))) for _ in range(4)]
    if kind == "unwrapped" or rng.random() < 0.2:
        far = int(rng.choice([1, 5, 30]))
    symbols = rng.choice(limits.elements, DRAWS)
    length = spread * limits.bond * (1.0 if kind == "long" else n ** (1 / 3))
    cell = length * np.diag(shape) @ (np.eye(3) + rng.uniform(-0.35, 0.35, (3, 3)))
    return build(
        symbols, rng.random((DRAWS, 3)), cell, pbc, limits.closest,
        most=n,
        steps=steps,
        cells_ic=rng.integers(-far, far + 1, (DRAWS, 3)),
        origin=far * rng.normal(size=3),
        has_cell=pbc.any() or rng.random() < 0.5,
    )  # fmt: skip


def build(symbols, scaled_ic, cell, pbc, closest, *, most, steps=(), cells_ic=0, origin=0.0, has_cell=True):
    """Return atoms, none closer to another or an image than `closest` (Å).

    Parameters
    ----------
    symbols, scaled_ic : sequences
        Candidates: the first stays, of the others those that keep their distance, up to `most`.
    cell : (3, 3) array
        Å; widened until images keep their distance.
    pbc : (3,) array of bool
    closest : float
    most : int
    steps : sequence of (i, j, n)
        Vector i becomes itself and n times the periodic vector j: other vectors for the same lattice.
    cells_ic : (n, 3) array of int
        Cells by which candidates are away, along periodic directions.
    origin : (3,) array
        Å.
    has_cell : bool
        Without one, vectors along open directions are zero.
    """
    lattice_sc = IMAGES[~(IMAGES[:, ~pbc]).any(axis=1)] @ cell
    lengths = np.linalg.norm(lattice_sc, axis=1)
    shortest = lengths[lengths > 0].min(initial=np.inf)
    factor = max(1.0, 1.01 * closest / shortest)
    cell, lattice_sc = factor * cell, factor * lattice_sc
    positions = scaled_ic @ cell
    kept = [0]
    for i in range(1, len(positions)):
        d_jsc = positions[kept][:, None] + lattice_sc - positions[i]
        if len(kept) < most and (d_jsc**2).sum(axis=-1).min() > closest**2:
            kept.append(i)
    cells_ic = np.broadcast_to(cells_ic, scaled_ic.shape)[kept]
    positions = positions[kept] + (cells_ic * pbc) @ cell + origin
    vectors = cell.copy()
    for i, j, n in steps:
        if pbc[j] and i != j:
            vectors[i] += n * vectors[j]
    if not has_cell:
        vectors[~pbc] = 0
    return Atoms(np.asarray(symbols)[kept], positions=positions, cell=vectors, pbc=pbc)
