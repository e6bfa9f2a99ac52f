"""The calculators by name, for programs that ask ASE for a calculator by a string. Enter at `register`."""

from importlib import import_module

CALCULATORS = {
    "eam2d": (
        "ase_mlipgen.calculators.eam2d.EAM2D",
        "X. W. Zhou, R. A. Johnson and H. N. G. Wadley, Phys. Rev. B 69, 144113 (2004)",
    ),
    "nrltb": (
        "ase_mlipgen.calculators.nrltb.NRLTB",
        "R. E. Cohen, M. J. Mehl and D. A. Papaconstantopoulos, Phys. Rev. B 50, 14694 (1994)",
    ),
    "linearace": (
        "ase_mlipgen.calculators.linear_ace.LinearACE",
        "C. Ortner and Y. Wang, Multiscale Model. Simul. 21, 1053 (2023)",
    ),
}
"""Name -> (dotted path of the class, what to cite). ASE keeps the names "ace" and "eam" for others."""


def register() -> tuple[str, ...]:
    """Let ``ase.calculators.calculator.get_calculator_class`` find this package's calculators; return their names.

    Calling it again does nothing more.

    Returns
    -------
    tuple of str
        "eam2d", "nrltb", "linearace".

    Raises
    ------
    ValueError
        Another package has registered one of the names for a class of its own.
    """
    from ase.calculators.calculator import external_calculators, register_calculator_class

    classes = {name: _load(path) for name, (path, _) in CALCULATORS.items()}
    for name, cls in classes.items():
        taken = external_calculators.get(name)
        if taken is not None and taken is not cls:
            raise ValueError(
                f"the calculator name {name!r} is registered for {taken.__module__}.{taken.__qualname__}: "
                f"take {cls.__qualname__} from ase_mlipgen instead of by name"
            )
    for name, cls in classes.items():
        if name not in external_calculators:
            register_calculator_class(name, cls)
    return tuple(classes)


def _load(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
