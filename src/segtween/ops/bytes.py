"""The sum of absolute differences of a few bytes, for compiled loops: one instruction where the processor has it."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


def _sum_of_differences(width: int, used: int) -> Any:
    """A function (one, i, other, j) for compiled loops: of the first `used` of `width` bytes of two flat arrays (uint8)
    from places i and j on, unsigned, the sum of the absolute differences, int32. All `width` bytes must be there."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        narrow, wide = ir.VectorType(ir.IntType(8), width), ir.VectorType(ir.IntType(32), width)
        kept = ir.Constant(narrow, [ir.Constant(ir.IntType(8), 255 if k < used else 0) for k in range(width)])

        def load(array: Any, kind: Any, place: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            value = builder.load(builder.bitcast(builder.gep(data, [place]), narrow.as_pointer()), align=1)
            return builder.zext(builder.and_(value, kept), wide)

        one = load(args[0], signature.args[0], args[1])
        other = load(args[2], signature.args[2], args[3])
        difference, none = builder.sub(one, other), ir.Constant(wide, None)
        is_below = builder.icmp_signed("<", difference, none)
        absolute = builder.select(is_below, builder.sub(none, difference), difference)
        total = ir.FunctionType(ir.IntType(32), [wide])
        add = cgutils.get_or_insert_function(builder.module, total, f"llvm.vector.reduce.add.v{width}i32")
        return builder.call(add, [absolute])

    @intrinsic
    def differences(typing: Any, one: Any, i: Any, other: Any, j: Any) -> Any:  # noqa: ARG001
        return types.int32(one, types.uintp, other, types.uintp), generate

    return differences


differences_of_12 = _sum_of_differences(16, 12)
"""Of three cells of four bytes; the fourth is read, and does not count."""
differences_of_4 = _sum_of_differences(4, 4)
