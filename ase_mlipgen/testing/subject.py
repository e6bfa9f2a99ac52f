"""Who is examined: how to make fresh calculators, and the structures that checks begin from."""

import copy
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

Floats = npt.NDArray[np.float64]


class Values(NamedTuple):
    """Energy (eV), forces (eV/Å) and stress (eV/Å^3, Voigt); None for what the calculator does not offer."""

    energy: float
    forces: Floats | None
    stress: Floats | None


def has_volume(atoms: Atoms) -> bool:
    """Whether a cell has a volume; one whose numbers are too small to be divided by has none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return bool(abs(np.linalg.det(atoms.cell.array)) > 0)


class Subject:
    """A calculator under examination.

    Parameters
    ----------
    calculator : Calculator or callable
        A factory makes every fresh calculator; of an instance, deep copies are taken.
    atoms : Atoms
        A structure that the calculator is made for. Its constraints hold in dynamics only.
    seed : int
    rattle : float
        Standard deviation of displacements, Å.
    long : bool
        Take minutes where seconds would do.
    time_limit : float
        Seconds for one senseless structure.

    Raises
    ------
    TypeError
        No calculator, an instance that cannot be copied, or a factory that makes no calculator.
    ValueError
        Fewer than two atoms, or senseless numbers.
    """

    def __init__(
        self,
        calculator: Any,
        atoms: Atoms,
        *,
        seed: int = 0,
        rattle: float = 0.05,
        long: bool = False,
        time_limit: float = 1.0,
    ) -> None:
        if len(atoms) < 2:
            raise ValueError(
                f"atoms = {atoms!r}: expected at least two atoms, a small cell of a crystal for one"
            )
        for name, value in (("rattle", rattle), ("time_limit", time_limit)):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} = {value!r}: expected a positive number")
        self.seed, self.rattle, self.long, self.time_limit = seed, float(rattle), long, float(time_limit)
        self.constrained = atoms.copy()
        self.atoms = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        self.new = _factory(calculator)
        self.given = self.new if callable(calculator) and not isinstance(calculator, BaseCalculator) else None
        first = self.new()
        self.properties: tuple[str, ...] = tuple(first.implemented_properties)
        self.name = type(first).__name__
        self.cutoff = _cutoff(first)

    def rng(self, name: str) -> np.random.Generator:
        """Return random numbers that belong to one check, whichever others run."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def rattled(self, name: str = "rattled") -> Atoms:
        """Return the atoms, displaced at random."""
        atoms = self.atoms.copy()
        atoms.positions += self.rng(name).normal(0, self.rattle, atoms.positions.shape)
        return atoms

    def evaluate(self, atoms: Atoms, calculator: Any = None) -> Values:
        """Return what a calculator (a fresh one by default) says of atoms."""
        calculator = self.new() if calculator is None else calculator
        energy = calculator.get_property("energy", atoms)
        forces = calculator.get_property("forces", atoms) if "forces" in self.properties else None
        stress = (
            calculator.get_property("stress", atoms)
            if "stress" in self.properties and has_volume(atoms)
            else None
        )
        return Values(float(energy), forces, stress)

    @property
    def bond(self) -> float:
        """Shortest distance between two atoms or images, Å."""
        return nearest(self.atoms)[2]


def nearest(atoms: Atoms) -> tuple[int, int, float, Floats]:
    """Return the closest two atoms: their indices, distance (Å), and the vector from the first to the second."""
    around = [np.arange(-2, 3) if periodic else np.array([0]) for periodic in atoms.pbc]
    shifts = np.stack(np.meshgrid(*around, indexing="ij"), -1).reshape(-1, 3)
    d_ijsc = (atoms.positions[None] - atoms.positions[:, None])[:, :, None] + shifts @ atoms.cell.array
    r_ijs = np.linalg.norm(d_ijsc, axis=-1)
    r_ijs[np.arange(len(atoms)), np.arange(len(atoms)), np.flatnonzero(~shifts.any(axis=1))[0]] = np.inf
    i, j, s = np.unravel_index(np.argmin(r_ijs), r_ijs.shape)
    return int(i), int(j), float(r_ijs[i, j, s]), d_ijsc[i, j, s]


def _factory(calculator: Any) -> Callable[[], Any]:
    if not isinstance(calculator, BaseCalculator):
        if not callable(calculator):
            raise TypeError(
                f"{calculator!r} is no calculator: expected an ASE calculator or a function that makes one"
            )
        made = calculator()
        if not hasattr(made, "get_property") or not hasattr(made, "implemented_properties"):
            raise TypeError(f"{calculator!r} made {made!r}: expected an ASE calculator")
        return calculator
    try:
        template = copy.deepcopy(calculator)
        if hasattr(template, "reset"):
            template.reset()
        copy.deepcopy(template)
    except Exception as error:
        raise TypeError(
            f"{type(calculator).__name__} cannot be copied ({type(error).__name__}: {error}): "
            f"give a function that makes a calculator, or make deep copies work"
        ) from error
    return lambda: copy.deepcopy(template)


def _cutoff(calculator: Any) -> float | None:
    """Return the range that a calculator states, Å, as an attribute or a parameter; or None."""
    parameters = getattr(calculator, "parameters", None) or {}
    for name in ("cutoff", "r_cut", "rcut", "rc", "r_max"):
        value = getattr(calculator, name, parameters.get(name))
        if callable(value):
            continue
        if isinstance(value, int | float | np.number) and 0 < float(value) < 1e3:
            return float(value)
    return None
