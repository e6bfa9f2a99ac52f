"""YAML text that every reader takes for the same numbers. Enter at `text_of`.

ML-PACE reads with yaml-cpp, others with PyYAML, which takes `1e-07` for a text: floats always have a decimal point. All
digits are kept (at an energy of 600 eV, 14 digits are wrong by 2e-11 eV). Texts are quoted: `No` is no element else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ase_mlipgen.export.contents import Function

CPU_ONLY = "pair_style pace/kk (Kokkos, GPU) cannot read radial functions of ACE.jl: run on CPUs."


def number(value: float) -> str:
    """Return a float with every digit and a decimal point.

    Raises
    ------
    ValueError
        NaN or infinity.
    """
    if not np.isfinite(value):
        raise ValueError(f"{value!r} cannot be written: expected a finite number")
    text = repr(float(value))
    return text if "." in text else text.replace("e", ".0e")


def flow(value: Any) -> str:
    """Return a value as one line: numbers, texts, and mappings and sequences of them."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool | None):
        raise TypeError(f"{value!r} has no place in a .yace file")
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return number(float(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)}: {flow(v)}" for k, v in value.items()) + "}"
    return "[" + ", ".join(flow(v) for v in value) + "]"


def _key(key: Any) -> str:
    return key if isinstance(key, str) else flow(key)


def block(name: str, entries: Mapping[Any, Any]) -> list[str]:
    """Return the lines of a mapping with one entry a line."""
    return [f"{name}:", *(f"  {_key(key)}: {flow(value)}" for key, value in entries.items())]


def cpu_only(entries: Mapping[str, Any]) -> bool:
    """Whether Kokkos cannot read these radial functions."""
    return any(bond["radbasename"].startswith("ACE.jl") for bond in entries["bonds"].values())


def text_of(entries: Mapping[str, Any]) -> str:
    """Return the text of one file."""
    lines = ["# ML-PACE potential, written by ase_mlipgen; in LAMMPS: pair_style pace."]
    if cpu_only(entries):
        lines.append(f"# {CPU_ONLY}")
    if "summed_with" in entries:
        lines.append("# The model is the SUM of this file and those of summed_with: see the input beside it.")
    for key, value in entries.items():
        if key == "functions":
            lines += _function_lines(value)
        elif isinstance(value, Mapping):
            lines += block(key, value)
        else:
            lines.append(f"{key}: {flow(value)}")
    return "\n".join(lines) + "\n"


def _function_lines(functions: Mapping[int, Sequence[Function]]) -> list[str]:
    lines = ["functions:"]
    for a, own in functions.items():
        lines.append(f"  {a}:" if own else f"  {a}: []")
        for f in own:
            entry: dict[str, Any] = {
                "mu0": a,
                "rank": len(f.mus),
                "ndensity": 1,
                "num_ms_combs": len(f.ms),
                "mus": f.mus,
                "ns": f.ns,
                "ls": f.ls,
                "ms_combs": [m for ms in f.ms for m in ms],
                "ctildes": f.values,
            }
            lines.append(f"    - {flow(entry)}")
    return lines
