"""SIMD vectors for Numba kernels: `vector` is the type, `arithmetic` what can be done with it.

The lowest room: kernels of every potential may use it. No NumPy, no ASE.
"""

from ase_mlipgen.simd.arithmetic import (
    fma,
    gather,
    larger,
    least,
    low_bits_as_exponent,
    max0,
    smaller,
    sqrt,
    square3,
    step,
    total,
    truncate,
    where_below,
)
from ase_mlipgen.simd.vector import (
    Lanes,
    Vector,
    host_lanes,
    intrinsic,
    ir,
    load,
    raw,
    splat,
    store,
    types,
    width_of,
)

__all__ = [
    "Lanes",
    "Vector",
    "fma",
    "gather",
    "host_lanes",
    "intrinsic",
    "ir",
    "larger",
    "least",
    "load",
    "low_bits_as_exponent",
    "max0",
    "raw",
    "smaller",
    "splat",
    "sqrt",
    "square3",
    "step",
    "store",
    "total",
    "truncate",
    "types",
    "where_below",
    "width_of",
]
