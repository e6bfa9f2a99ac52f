"""Functions of vectors, lane by lane, and of all lanes of one; each an instruction or a few."""

import functools
from typing import Any

from ase_mlipgen.simd.vector import Vector, cgutils, intrinsic, ir, types


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, fused where the processor can."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(a)
        declared = ir.FunctionType(kind, [kind, kind, kind])
        function = cgutils.get_or_insert_function(builder.module, declared, f"llvm.fmuladd.v{a.width}f64")
        return builder.call(function, args)

    return a(a, a, a), generate


@intrinsic
def sqrt(context: Any, a: Any) -> Any:
    """Return the square root of each lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(a)
        declared = ir.FunctionType(kind, [kind])
        function = cgutils.get_or_insert_function(builder.module, declared, f"llvm.sqrt.v{a.width}f64")
        return builder.call(function, args)

    return a(a), generate


@intrinsic
def max0(context: Any, a: Any) -> Any:
    """Return each lane, or zero where it is negative."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(context.get_value_type(a), None)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[0], zero)

    return a(a), generate


@intrinsic
def step(context: Any, a: Any) -> Any:
    """Return 1 in each lane that is positive, else 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(a)
        one = ir.Constant(kind, [ir.Constant(ir.DoubleType(), 1.0)] * a.width)
        zero = ir.Constant(kind, None)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), one, zero)

    return a(a), generate


@intrinsic
def square3(context: Any, a: Any) -> Any:
    """Return the sum of the squares of the first three lanes, in their order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        squares = builder.fmul(args[0], args[0])
        x, y, z = (builder.extract_element(squares, ir.Constant(ir.IntType(32), k)) for k in range(3))
        return builder.fadd(builder.fadd(x, y), z)

    return types.float64(a), generate


@intrinsic
def gather(context: Any, lanes: Any, pointer: Any, stride: Any, indices: Any, row: Any, column: Any) -> Any:
    """Return the numbers at index * stride + column, one a lane; `indices` points to rows of W integers."""
    vector = Vector(lanes.width)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, base, step, table, row, column = args
        found = ir.Constant(context.get_value_type(vector), ir.Undefined)
        first = builder.mul(row, ir.Constant(row.type, lanes.width))
        for lane in range(lanes.width):
            index = builder.load(builder.gep(table, [builder.add(first, ir.Constant(row.type, lane))]))
            number = builder.load(builder.gep(base, [builder.add(builder.mul(index, step), column)]))
            found = builder.insert_element(found, number, ir.Constant(ir.IntType(32), lane))
        return found

    return vector(lanes, pointer, types.int64, indices, types.int64, types.int64), generate


def _extreme(predicate: str, meaning: str) -> Any:
    """Return an intrinsic that selects between two vectors, lane by lane; a NaN among them gives the second."""

    def choose(context: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(predicate, *args), *args)

        return a(a, a), generate

    choose.__doc__ = meaning
    return intrinsic(choose)


smaller = _extreme("<", "Return the smaller of each two lanes.")
larger = _extreme(">", "Return the larger of each two lanes.")


@intrinsic
def where_below(context: Any, a: Any, limit: Any, value: Any) -> Any:
    """Return `value` in the lanes where a < limit, zero in the others."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        below = builder.fcmp_ordered("<", args[0], args[1])
        return builder.select(below, args[2], ir.Constant(context.get_value_type(a), None))

    return a(a, a, a), generate


@intrinsic
def truncate(context: Any, a: Any) -> Any:
    """Return each lane rounded towards zero."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = context.get_value_type(a)
        declared = ir.FunctionType(kind, [kind])
        function = cgutils.get_or_insert_function(builder.module, declared, f"llvm.trunc.v{a.width}f64")
        return builder.call(function, args)

    return a(a), generate


@intrinsic
def low_bits_as_exponent(context: Any, a: Any) -> Any:
    """Return the power of two whose exponent bits are the lowest of each lane: of 1.5 * 2^52 + 1023 + n, 2^n."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = ir.VectorType(ir.IntType(64), a.width)
        shifted = builder.shl(builder.bitcast(args[0], bits), ir.Constant(bits, [52] * a.width))
        return builder.bitcast(shifted, context.get_value_type(a))

    return a(a), generate


def _all_lanes(builder: Any, a: Any, width: int, combine: Any) -> Any:
    lanes = [builder.extract_element(a, ir.Constant(ir.IntType(32), k)) for k in range(width)]
    return functools.reduce(combine, lanes)


@intrinsic
def total(context: Any, a: Any) -> Any:
    """Return the sum of the lanes, first to last."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _all_lanes(builder, args[0], a.width, builder.fadd)

    return types.float64(a), generate


@intrinsic
def least(context: Any, a: Any) -> Any:
    """Return the smallest lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def choose(x: Any, y: Any) -> Any:
            return builder.select(builder.fcmp_ordered("<", x, y), x, y)

        return _all_lanes(builder, args[0], a.width, choose)

    return types.float64(a), generate
