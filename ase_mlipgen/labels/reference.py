"""References: an ASE calculator, or a picklable function that makes one; and the label of one configuration.

The energy of a label is the one whose gradient the forces are: with smeared occupations that is the free
energy (``get_potential_energy(force_consistent=True)``), for calculators without one it is the energy. Forces
and stress are the raw ones; constraints on the atoms do not enter.
"""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from ase_mlipgen.executors import pickler_of
from ase_mlipgen.labels.cell import not_finite, wrong_shape
from ase_mlipgen.labels.folders import LENGTH, Folders
from ase_mlipgen.labels.key import key_of

Factory = Callable[[], Any]
REMEDY = (
    "give a factory instead: a class or a function defined at the top of a module, or functools.partial of "
    "one, that returns a new calculator"
)


class Label(NamedTuple):
    """Total energy (eV), forces (n_atoms, 3) (eV/Å), stress (6,) (eV/Å^3, Voigt) or None."""

    energy: float
    forces: npt.NDArray[np.float64]
    stress: npt.NDArray[np.float64] | None


class UnusableLabel(ValueError):
    """What a calculator returned is no label.

    Attributes
    ----------
    verdict : "wrong shape", "not finite" or "not converged"
    """

    def __init__(self, message: str, verdict: Literal["wrong shape", "not finite", "not converged"]) -> None:
        super().__init__(message, verdict)
        self.verdict = verdict

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class CopyFactory:
    """Makes deep copies of one calculator, without its results; pickles with it."""

    calculator: Any

    def __call__(self) -> Any:
        """Return a copy."""
        return _forgetful(copy.deepcopy(self.calculator))


@dataclass(frozen=True)
class SameFactory:
    """Hands out one calculator as it is, without its results."""

    calculator: Any

    def __call__(self) -> Any:
        """Return the calculator."""
        return _forgetful(self.calculator)


@dataclass(frozen=True)
class FolderFactory:
    """A factory whose calculators, if they use files, work in a folder of their own for each label.

    Attributes
    ----------
    factory : callable () -> calculator
    folders : Folders
    reference : str
        Identity of the reference, or empty: folders are named by the label's content address.
    """

    factory: Factory
    folders: Folders
    reference: str = ""

    def __call__(self) -> Any:
        """Return a calculator."""
        return self.factory()

    def working(self, calculator: Any, atoms: Atoms, want_stress: bool) -> AbstractContextManager[None]:
        """Let a calculator of this factory work on the label of `atoms`."""
        name = self._name(atoms, want_stress)
        return self.folders.working(calculator, name, sole=bool(self.reference))  # a store's claim

    def left(self, atoms: Atoms, want_stress: bool) -> str:
        """Return the folder of the last attempt at a label, for one that cannot say it any more; empty without one."""
        return self.folders.latest(self._name(atoms, want_stress))

    def _name(self, atoms: Atoms, want_stress: bool) -> str:
        observations = ("energy", "forces", "stress")[: 3 if want_stress else 2]
        return key_of(atoms, self.reference, observations)[:LENGTH]


def _forgetful(calculator: Any) -> Any:
    """Forget what was computed before, which may decide over neighbour lists and so over the last bits."""
    if hasattr(calculator, "reset"):
        calculator.reset()
    return calculator


def is_calculator(reference: Any) -> bool:
    """Whether `reference` is a calculator instance rather than something that makes one."""
    return hasattr(reference, "get_potential_energy") and not isinstance(reference, type)


def as_factory(reference: Any, executor: Executor | None = None, isolated: bool = False) -> Factory:
    """Turn a reference into a function that yields a calculator ready for one label.

    Parameters
    ----------
    reference : calculator, class, or callable without arguments
        A calculator is used as it is when labels are made serially; each label of an executor gets a copy.
    executor : concurrent.futures.Executor or None
        Where the labels will be made.
    isolated : bool
        Whether they will be made in a process of their own, wherever that is.

    Returns
    -------
    callable () -> calculator

    Raises
    ------
    TypeError
        Neither a calculator nor callable; or it cannot be copied or pickled where the executor needs that.
    """
    if is_calculator(reference):
        factory: Factory = (
            SameFactory(reference) if executor is None and not isolated else CopyFactory(reference)
        )
    elif callable(reference):
        factory = reference
    else:
        raise TypeError(
            f"the reference is {reference!r}; expected an ASE calculator or a callable () -> calculator"
        )
    if (dumps := pickle.dumps if isolated else pickler_of(executor)) is not None:
        _require(dumps, factory, reference, "pickled for worker processes")
    elif isinstance(factory, CopyFactory):
        _require(copy.deepcopy, reference, reference, "copied, one for each label")
    return factory


def _require(how: Callable[[Any], Any], what: Any, reference: Any, purpose: str) -> None:
    try:
        how(what)
    except Exception as error:
        raise TypeError(f"the reference {reference!r} cannot be {purpose} ({error}); {REMEDY}") from error


def label_one(factory: Factory, atoms: Atoms, want_stress: bool = False) -> Label:
    """Energy, forces and, if wanted, stress of one configuration.

    Parameters
    ----------
    factory : callable () -> calculator
    atoms : Atoms
        Not changed.
    want_stress : bool

    Returns
    -------
    Label

    Raises
    ------
    TypeError
        The factory's product is not a calculator.
    UnusableLabel
        Results of wrong shape, NaN or infinite; a calculator whose attribute ``converged`` is False.
    FileCodeError
        Any error of a calculator that was given a folder to work in (`FolderFactory`).
    Exception
        Whatever the calculator raises.
    """
    calculator = factory()
    if not is_calculator(calculator):
        raise TypeError(f"the reference factory returned {calculator!r}; expected an ASE calculator")
    with _working(factory, calculator, atoms, want_stress):
        return _asked(calculator, atoms, want_stress)


def _working(
    factory: Factory, calculator: Any, atoms: Atoms, want_stress: bool
) -> AbstractContextManager[None]:
    if isinstance(factory, FolderFactory):
        return factory.working(calculator, atoms, want_stress)
    return nullcontext()


def _asked(calculator: Any, atoms: Atoms, want_stress: bool) -> Label:
    work = atoms.copy()
    work.set_constraint()
    work.calc = calculator
    # Forces come first: codes that are told what to compute then run once, since forces include the energy.
    forces = np.array(work.get_forces(), dtype=float)
    energy = _energy(work)
    stress = np.array(work.get_stress(voigt=True), dtype=float) if want_stress else None
    if problem := wrong_shape(len(atoms), forces, stress):
        raise UnusableLabel(problem, "wrong shape")
    if problem := not_finite(energy, forces, stress):
        raise UnusableLabel(problem, "not finite")
    converged = getattr(calculator, "converged", None)
    if isinstance(converged, bool | np.bool_) and not converged:
        raise UnusableLabel(f"{type(calculator).__name__}.converged is False", "not converged")
    return Label(energy, forces, stress)


def _energy(atoms: Atoms) -> float:
    try:
        return float(atoms.get_potential_energy(force_consistent=True))
    except PropertyNotImplementedError:
        return float(atoms.get_potential_energy())
