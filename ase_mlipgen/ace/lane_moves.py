"""Moves of vectors that the lane evaluator does not need: pointer offsets and transposed writes.

A tile of W vectors of W lanes is transposed in registers by log2 W rounds of shuffles, so that what was computed
with one quantity in the lanes is written with another one contiguous. Entry points: :func:`shift`,
:func:`add_transposed`, :func:`store_transposed`. Nothing checks bounds (see `simd`).
"""

from typing import Any

from ase_mlipgen.simd import intrinsic, ir, types

INDEX = ir.IntType(32)


@intrinsic
def shift(context: Any, pointer: Any, n: Any) -> Any:
    """Return a pointer n elements further on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), generate


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(INDEX, len(lanes)), lanes)
    return builder.shuffle_vector(a, b, mask)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Exchange rows and lanes: rows i and i + h swap off-diagonal blocks of size h, for h = W / 2, ..., 1."""
    width = len(rows)
    h = width // 2
    while h:
        for i in (k for k in range(width) if not k & h):
            a, b = rows[i], rows[i + h]
            rows[i] = _shuffle(builder, a, b, [j if not j & h else width + j - h for j in range(width)])
            rows[i + h] = _shuffle(builder, a, b, [j + h if not j & h else width + j for j in range(width)])
        h //= 2
    return rows


def _tile(context: Any, builder: Any, lanes: Any, source: Any, first: Any, stride: Any) -> list[Any]:
    """Load rows first, first + stride, ... and return them transposed."""
    width, kind = lanes.width, ir.VectorType(ir.DoubleType(), lanes.width).as_pointer()
    rows = []
    for k in range(width):
        row = builder.add(first, builder.mul(stride, ir.Constant(stride.type, k)))
        start = builder.gep(source, [builder.mul(row, ir.Constant(row.type, width))])
        rows.append(builder.load(builder.bitcast(start, kind), align=8))
    return _transposed(builder, rows)


def _targets(builder: Any, lanes: Any, target: Any, where: Any, offset: Any) -> list[Any]:
    """Return the addresses target + where[k] + offset of the W transposed vectors."""
    kind = ir.VectorType(ir.DoubleType(), lanes.width).as_pointer()
    found = []
    for k in range(lanes.width):
        place = builder.load(builder.gep(where, [ir.Constant(ir.IntType(64), k)]))
        found.append(builder.bitcast(builder.gep(target, [builder.add(place, offset)]), kind))
    return found


@intrinsic
def add_transposed(
    context: Any, lanes: Any, source: Any, first: Any, stride: Any, target: Any, where: Any, offset: Any
) -> Any:
    """Add lane k of rows first, first + stride, ... of `source` to the W elements at target + where[k] + offset.

    The W places must not overlap, except where the result does not matter.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, source, first, stride, target, where, offset = args
        tile = _tile(context, builder, lanes, source, first, stride)
        for vector, address in zip(tile, _targets(builder, lanes, target, where, offset), strict=True):
            builder.store(builder.fadd(builder.load(address, align=8), vector), address, align=8)
        return context.get_dummy_value()

    return types.void(lanes, source, types.int64, types.int64, target, where, types.int64), generate


@intrinsic
def store_transposed(
    context: Any, lanes: Any, source: Any, first: Any, stride: Any, scale: Any, target: Any, where: Any, offset: Any
) -> Any:  # fmt: skip
    """Do as `add_transposed`, but write, times the vector `scale`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, source, first, stride, scale, target, where, offset = args
        tile = _tile(context, builder, lanes, source, first, stride)
        for vector, address in zip(tile, _targets(builder, lanes, target, where, offset), strict=True):
            builder.store(builder.fmul(vector, scale), address, align=8)
        return context.get_dummy_value()

    return types.void(lanes, source, types.int64, types.int64, scale, target, where, types.int64), generate
