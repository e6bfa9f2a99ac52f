"""A vector of float64 lanes for Numba kernels: one value an atom, W atoms at a time.

Work arrays are flat float64 buffers of rows; lane k of row i is element i * W + k. `load` and `store` move a row,
arithmetic acts on all lanes alike, so no lane sees its neighbours. Values live in registers. Buffers are raw
pointers, not arrays: passing an array costs two atomic reference counts, as much as the arithmetic of a small function.
Nothing checks bounds.

The width travels as an argument of type :class:`Lanes`, hence in every compiled signature and in the key under which
a compiled kernel is kept. Entry points: :func:`host_lanes`, :func:`raw`, :func:`load`, :func:`store`, and `arithmetic`.
"""

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numba.core import cgutils, extending
from numba.core import types as numba_types
from numba.core.registry import cpu_target

ir = cgutils.ir
types: Any = numba_types  # numba's annotations do not know what its decorators make of a function
intrinsic: Any = extending.intrinsic
models: Any = extending.models


@dataclass(frozen=True)
class Lanes:
    """Number of lanes of a vector; an argument of the kernels."""

    width: int


@functools.cache
def host_lanes(registers: int = 2) -> Lanes:
    """Return the width of one or more registers of the processor for which Numba compiles, AVX-512 or AVX2."""
    features = cpu_target.target_context.codegen().magic_tuple()[2]
    return Lanes(registers * (8 if "+avx512f" in features else 4))


class LanesType(types.Type):
    """Compile-time form of `Lanes`."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Lanes({width})")


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
    return _lanes_type(lanes.width)


_lanes_type = functools.cache(LanesType)  # making one takes longer than a small kernel


@extending.unbox(LanesType)
def _unbox(lanes: LanesType, item: Any, c: Any) -> Any:
    return extending.NativeValue(c.context.get_dummy_value())


@intrinsic
def width_of(context: Any, lanes: Any) -> Any:
    """Return the number of lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), lanes.width)

    return types.int64(lanes), generate


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
