"""Eight pixels of a patch at once, for compiled loops: in loops this short LLVM makes no vectors of what writes to
memory. Compiled loops on disk know of changes in their own file alone: after a change here, `patches.py` must look
changed too."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

SIDE = 8
"""Pixels in a row of a patch."""
SHARP = 16.0
"""The weight of a patch in a pixel's flow is 1 / (SHARP + e^4), e being the pixel's residual in grey levels."""

_CONTRACT = ("contract",)
_EIGHT = ir.VectorType(ir.FloatType(), SIDE)


def _splat(builder: Any, value: Any) -> Any:
    """A value eight times."""
    undefined = ir.Constant(_EIGHT, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), SIDE), [0] * SIDE))


@intrinsic
def add_weighted(
    typing: Any,  # noqa: ARG001
    before: Any,
    left: Any,  # noqa: ARG001
    right: Any,  # noqa: ARG001
    now: Any,
    own: Any,  # noqa: ARG001
    sums: Any,
    at: Any,  # noqa: ARG001
    apart: Any,  # noqa: ARG001
    factors: Any,
) -> Any:
    """add_weighted(before, left, right, now, own, sums, at, apart, (a, b, c, d, u, v)): with the residuals
    e = a p + b q + c p' + d q' - o, the weights w = 1 / (SHARP + e^4) are added to the sums, and w u and w v `apart`
    and twice `apart` farther on.

    All arrays are flat float32. p and q are the eight values of `before` from places left and right on, p' and q' those
    one later, o those of `now` from `own` on; the sums from `at` on. The places are of type uintp.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places, one = ir.IntType(64), ir.Constant(ir.IntType(64), 1)

        def pointer(array: int, place: Any) -> Any:
            data = context.make_array(signature.args[array])(context, builder, arguments[array]).data
            return builder.bitcast(builder.gep(data, [place]), _EIGHT.as_pointer())

        def load(array: int, place: Any) -> Any:
            return builder.load(pointer(array, place), align=4)

        def add(x: Any, y: Any) -> Any:
            return builder.fadd(x, y, _CONTRACT)

        def times(x: Any, y: Any) -> Any:
            return builder.fmul(x, y, _CONTRACT)

        a, b, c, d, u, v = (_splat(builder, builder.extract_value(arguments[8], i)) for i in range(6))
        near, far = arguments[1], arguments[2]
        e = add(times(a, load(0, near)), times(b, load(0, far)))
        e = add(e, add(times(c, load(0, builder.add(near, one))), times(d, load(0, builder.add(far, one)))))
        e = builder.fsub(e, load(3, arguments[4]), _CONTRACT)
        squared = times(e, e)
        least = add(ir.Constant(_EIGHT, [SHARP] * SIDE), times(squared, squared))
        weight = builder.fdiv(ir.Constant(_EIGHT, [1.0] * SIDE), least, _CONTRACT)
        for n, value in enumerate((weight, times(weight, u), times(weight, v))):
            place = builder.add(arguments[6], builder.mul(arguments[7], ir.Constant(places, n)))
            builder.store(add(load(5, place), value), pointer(5, place), align=4)
        return context.get_dummy_value()

    place = types.uintp
    return types.void(before, place, place, now, place, sums, place, place, factors), generate
