"""A vector of float64 lanes for Numba kernels: one value an atom, W atoms at a time.

Work arrays are flat float64 buffers of rows; lane k of row i is element i * W + k. `load` and `store` move a row,
arithmetic acts on all lanes alike, so no lane sees its neighbours. Values live in registers. Buffers are raw
pointers, not arrays: passing an array costs two atomic reference counts, as much as the arithmetic of a small function.
Nothing checks bounds.

The width travels as an argument of type :class:`Lanes`, hence in every compiled signature and in the key of Numba's
cache, together with a digest of the kernels' sources: Numba itself looks only at the file of the entry point.
Entry points: :func:`host_lanes`, :func:`raw`, :func:`load`, :func:`store`, :func:`fma`.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba.core import cgutils, extending
from numba.core import types as numba_types
from numba.core.registry import cpu_target

ir = cgutils.ir
types: Any = numba_types  # numba's annotations do not know what its decorators make of a function
intrinsic: Any = extending.intrinsic
models: Any = extending.models


def _digest() -> str:
    """Return a fingerprint of this file and the lane kernels."""
    sources = sorted(Path(__file__).parent.glob("lane_*.py"))
    return sha256(b"".join(path.read_bytes() for path in [Path(__file__), *sources])).hexdigest()[:16]


SOURCES = _digest()


@dataclass(frozen=True)
class Lanes:
    """Number of lanes of a vector; an argument of the kernels."""

    width: int


@functools.cache
def host_lanes() -> Lanes:
    """Return the width that suits the processor for which Numba compiles: two registers of AVX-512 or AVX2."""
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    return Lanes(16 if "+avx512f" in features else 8)


class LanesType(types.Type):
    """Compile-time form of `Lanes`."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Lanes({width}, sources {SOURCES})")


class Vector(types.Type):
    """W float64 values in registers."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Vector({width})")


extending.register_model(LanesType)(models.OpaqueModel)


@extending.register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, ir.VectorType(ir.DoubleType(), vector.width))


@extending.typeof_impl.register(Lanes)
def _typeof(lanes: Lanes, context: Any) -> LanesType:
    return LanesType(lanes.width)


@extending.unbox(LanesType)
def _unbox(lanes: LanesType, item: Any, c: Any) -> Any:
    return extending.NativeValue(c.context.get_dummy_value())


@intrinsic
def raw(context: Any, value: Any) -> Any:
    """Return a pointer to a C-contiguous array, or a named tuple with its arrays replaced by pointers.

    The arrays must outlive the pointers: call it where they are arguments.
    """
    if isinstance(value, types.Array):
        members, result = [value], types.CPointer(value.dtype)
    else:
        members = list(value)
        kinds = [types.CPointer(t.dtype) if isinstance(t, types.Array) else t for t in members]
        result = types.BaseTuple.from_types(kinds, value.instance_class)

    def convert(context: Any, builder: Any, kind: Any, item: Any) -> Any:
        if isinstance(kind, types.Array):
            return context.make_array(kind)(context, builder, item).data
        return item

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(value, types.Array):
            return convert(context, builder, value, args[0])
        items = cgutils.unpack_tuple(builder, args[0], len(members))
        pointers = [convert(context, builder, kind, item) for kind, item in zip(members, items, strict=True)]
        return context.make_tuple(builder, result, pointers)

    return result(value), generate


def _address(context: Any, builder: Any, pointer: Any, row: Any, vector: Vector) -> Any:
    first = builder.mul(row, ir.Constant(row.type, vector.width))
    return builder.bitcast(builder.gep(pointer, [first]), context.get_value_type(vector).as_pointer())


@intrinsic
def load(context: Any, lanes: Any, pointer: Any, row: Any) -> Any:
    """Return row `row` behind a float64 pointer."""
    vector = Vector(lanes.width)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, args[1], args[2], vector), align=8)

    return vector(lanes, pointer, types.int64), generate


@intrinsic
def store(context: Any, pointer: Any, row: Any, vector: Any) -> Any:
    """Write a vector to row `row` behind a float64 pointer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, args[0], args[1], vector), align=8)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, vector), generate


@intrinsic
def splat(context: Any, lanes: Any, number: Any) -> Any:
    """Return a vector with `number` in every lane."""
    vector = Vector(lanes.width)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        empty = ir.Constant(context.get_value_type(vector), ir.Undefined)
        one = builder.insert_element(empty, args[1], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes.width), None)
        return builder.shuffle_vector(one, empty, zeros)

    return vector(lanes, types.float64), generate


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


def _define(symbol: Callable[[Any, Any], Any], instruction: str) -> None:
    """Give vectors an operator: typing and one contractible instruction."""

    @extending.type_callable(symbol)
    def typing(context: Any) -> Callable[[Any, Any], Any]:
        def typer(a: Any, b: Any) -> Any:
            return a if isinstance(a, Vector) and a == b else None

        return typer

    @extending.lower_builtin(symbol, Vector, Vector)
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args, flags=("contract",))


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_symbol, _instruction)
