"""What is asked of a reference: configurations, observations, limits."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from ase import Atoms

from ase_mlipgen.arguments import number, whole

OBSERVATIONS = ("energy", "forces", "stress")


class Configuration(NamedTuple):
    """What is to be labelled: atoms, "defect" or "perfect", and the name of the defect."""

    atoms: Atoms
    config_type: str = "defect"
    defect: str = ""

    @classmethod
    def of(cls, atoms: Atoms) -> Self:
        """Return what atoms are by their `info`."""
        return cls(atoms, atoms.info.get("config_type", "defect"), atoms.info.get("defect", ""))


def observations_of(observations: Iterable[str]) -> set[str]:
    """Return what a label is to have; energy and forces always.

    Raises
    ------
    ValueError
        Something else.
    """
    given = [observations] if isinstance(observations, str) else list(observations)
    for name in given:
        if name not in OBSERVATIONS:
            raise ValueError(f"cannot label {name!r}; a label has {', '.join(OBSERVATIONS)}")
    return {"energy", "forces", *given}


def check_limits(time_limit: float | None, retries: int) -> None:
    """Refuse limits that mean nothing.

    Raises
    ------
    ValueError, TypeError
    """
    if time_limit is not None:
        number("time_limit", time_limit, "seconds, above zero, or None", lambda x: x > 0)
    whole("retries", retries, "a whole number of further attempts, not below zero")
