"""Whole powers of vectors, for transforms and envelopes of radial functions. Entry point: :func:`power`."""

from ase_mlipgen.jit import inlined
from ase_mlipgen.simd import splat


@inlined
def power(lanes, base, exponent):
    """Return base^exponent; 1 for exponents up to zero."""
    result = splat(lanes, 1.0)
    for _ in range(exponent):
        result = result * base
    return result
