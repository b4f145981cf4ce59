"""Compiles every fused kernel for an H100, which needs none: `python tests/device/compile_kernels.py`."""

from __future__ import annotations

import warnings
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from segtween.device import kernels

FLOAT, WHOLE, BYTES, NUMBER = "*fp32", "i32", "*u8", "fp32"
TARGET = GPUTarget("cuda", 90, 32)
FORMS: list[tuple[Any, list[str], dict[str, Any]]] = [
    *(
        (kernels._labels, [FLOAT, FLOAT, BYTES, *[WHOLE] * 7, NUMBER, NUMBER], {"HAS_COMPOSED": has, "N": 256})
        for has in (False, True)
    ),
    (kernels._blend, [*[FLOAT] * 5, *[WHOLE] * 3], {"N": 256}),
    (kernels._difference, [BYTES, BYTES, FLOAT, FLOAT, WHOLE, WHOLE], {"N": 256}),
    *(
        (
            kernels._follow,
            [*[FLOAT] * 6, *[WHOLE] * 3, NUMBER],
            {"KY": 2, "KX": 2, "HAS_RELIABILITY": has, "HAS_COMPOSED": has, "N": 256},
        )
        for has in (False, True)
    ),
    *(
        (kernels._preprocess, [BYTES, *["*i32"] * 8, kind, *[WHOLE] * 3, *[NUMBER] * 6], {"IS_BGR": bgr, "N": 256})
        for bgr, kind in ((False, "*fp16"), (True, FLOAT))
    ),
    *((kernels._grey, [BYTES, BYTES, *[WHOLE] * 3], {"K": k, "N": 256}) for k in (1, 2, 4)),
    (kernels._search, [*[FLOAT] * 4, *[WHOLE] * 4, NUMBER], {"SIDE": 8, "APART": 4, "STEPS": 3, "N": 4}),
    (kernels._densify, [*[FLOAT] * 4, *[WHOLE] * 4, NUMBER], {"OVER": 2, "APART": 4, "N": 256}),
    (kernels._finer, [FLOAT, FLOAT, *[WHOLE] * 6], {"APART": 4, "MIDDLE": 4, "N": 256}),
]


def compiled(function: Any, types: list[str], constants: dict[str, Any]) -> list[str]:
    given = iter(types)
    signature = {name: "constexpr" if name in constants else next(given) for name in function.arg_names}
    places = {(function.arg_names.index(name),): value for name, value in constants.items()}
    return list(triton.compile(ASTSource(function, signature, places), target=TARGET).asm)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for form in FORMS:
        print(f"{form[0].__name__}: {compiled(*form)[-1]}")  # noqa: T201
