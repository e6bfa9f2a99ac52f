"""Rows of four doubles from memory into vectors: column c of W rows becomes vector c.

A row is one 32-byte load; shuffles in registers then turn W rows into four vectors, which is faster than W
loads a column or the processor's gather instruction. Enter at `table_rows` and `neighbour_rows`; W is 4 or 8.
"""

from typing import Any

from ase_mlipgen.simd import Vector, intrinsic, ir, types

COLUMNS = 4
ROW = ir.VectorType(ir.DoubleType(), COLUMNS)


def _row(builder: Any, pointer: Any, row: Any) -> Any:
    address = builder.gep(pointer, [builder.mul(row, ir.Constant(row.type, COLUMNS))])
    return builder.load(builder.bitcast(address, ROW.as_pointer()), align=8)


def _item(builder: Any, pointer: Any, index: Any) -> Any:
    item = builder.load(builder.gep(pointer, [index]))
    return builder.sext(item, ir.IntType(64)) if item.type.width < 64 else item


def _shuffle(builder: Any, a: Any, b: Any, pattern: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(pattern)), pattern)
    return builder.shuffle_vector(a, b, mask)


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the four columns of 4, 8 or 16 rows."""
    width = len(rows)
    stacks = [rows[k::COLUMNS] for k in range(COLUMNS)]
    while len(stacks[0]) > 1:
        n = 2 * width // len(stacks[0])
        stacks = [
            [_shuffle(builder, a, b, list(range(n))) for a, b in zip(stack[::2], stack[1::2], strict=True)]
            for stack in stacks
        ]
    (a,), (b,), (c,), (d,) = stacks
    groups = range(0, width, COLUMNS)

    def weave(a: Any, b: Any, pattern: tuple[int, ...]) -> Any:
        """Pick within each group of four lanes; from 4 on, of b."""
        picks = [g + k if k < COLUMNS else g + width + k - COLUMNS for g in groups for k in pattern]
        return _shuffle(builder, a, b, picks)

    zip_even, zip_odd, low, high = (0, 4, 2, 6), (1, 5, 3, 7), (0, 1, 4, 5), (2, 3, 6, 7)
    x, y = (weave(weave(a, b, pattern), weave(c, d, pattern), low) for pattern in (zip_even, zip_odd))
    z, w = (weave(weave(a, b, pattern), weave(c, d, pattern), high) for pattern in (zip_even, zip_odd))
    return [x, y, z, w]


@intrinsic
def table_rows(context: Any, table: Any, row: Any, half: Any) -> Any:
    """Return the four columns of table[row, half], a table of two halves of four.

    `row` is a vector of whole float64 numbers below 2^31.
    """
    result = types.UniTuple(row, COLUMNS)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integers = builder.fptosi(args[1], ir.VectorType(ir.IntType(32), row.width))
        rows = []
        for lane in range(row.width):
            index = builder.extract_element(integers, ir.Constant(ir.IntType(32), lane))
            index = builder.shl(builder.sext(index, ir.IntType(64)), ir.Constant(ir.IntType(64), 1))
            rows.append(_row(builder, args[0], builder.add(index, args[2])))
        return context.make_tuple(builder, result, _transpose(builder, rows))

    return result(table, row, types.int64), generate


@intrinsic
def neighbour_rows(
    context: Any, lanes: Any, atoms: Any, own: Any, shifts: Any, j_p: Any, s_p: Any, begin: Any, slot: Any
) -> Any:
    """Return x, y, z (Å) and the fourth column of the neighbours in a slot of W atoms.

    Lane k is atoms[j_p[p]] - own[k] + shifts[s_p[p]] with p = begin[k] + slot, all rows of four.
    """
    result = types.UniTuple(Vector(lanes.width), COLUMNS)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, atoms, own, shifts, j_p, s_p, begin, slot = args
        rows = []
        for lane in range(lanes.width):
            lane = ir.Constant(ir.IntType(64), lane)
            p = builder.add(_item(builder, begin, lane), slot)
            d = builder.fsub(_row(builder, atoms, _item(builder, j_p, p)), _row(builder, own, lane))
            rows.append(builder.fadd(d, _row(builder, shifts, _item(builder, s_p, p))))
        return context.make_tuple(builder, result, _transpose(builder, rows))

    return result(lanes, atoms, own, shifts, j_p, s_p, begin, types.int64), generate
