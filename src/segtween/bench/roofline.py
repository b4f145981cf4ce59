"""The roofline of each stage: the bytes that it must move and the operations that it must do, and how long the machine
needs for these alone (Williams, Waterman and Patterson 2009, Roofline: an insightful visual performance model).

Bytes count what a stage must read and write once, not what it holds in between; operations count additions and
multiplications. Bandwidth and peak are measured here, on as many threads as the stages use.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numba import njit

from segtween.bench.plan import moving_clip
from segtween.bench.roofline_report import Machine, Need, Roofline
from segtween.bench.speed_report import STAGES, BenchReport
from segtween.build import Processor, build_engine
from segtween.errors import ModelError
from segtween.flow.view import GreyView
from segtween.interfaces import Segmenter
from segtween.ops.threads import Rows
from segtween.runtimes.base import INT8_OF_7_BITS
from segtween.settings import Settings
from segtween.types import SizeHW

Array = Any
STREAM_VALUES = 1 << 24  # 64 MiB in each of three arrays: more than caches hold
FMA_VALUES, FMA_ROUNDS = 1024, 20000
CHAIN = 6
"""Operations that wait for each other: few, so that the compiler interleaves several chains and none waits."""
DIS_PATCH, DIS_STRIDE, DIS_LOOKS, DIS_FLOPS = 8, 4, 4, 14
"""A patch of 8x8 pixels every 4, compared about four times: where it starts, after one step or two, and for its answer;
interpolating, comparing and summing a pixel takes about 14."""
READING_FLOPS = 14
"""Four bilinear weights of a pixel's place are given; two classes are interpolated with 7 operations each."""
AT_ONCE = {"int8": 4.0, INT8_OF_7_BITS: 4 / 3, "bfloat16": 2.0}
"""How many more operations an instruction does on narrower numbers than on float32: of the network only. Without dot
products of bytes three instructions, not one, do four times as many."""


@njit(nogil=True, cache=True, error_model="numpy")
def _triad_rows(a: Array, b: Array, c: Array, first: int, last: int) -> None:
    for y in range(first, last):
        for x in range(a.shape[1]):
            a[y, x] = b[y, x] + np.float32(3) * c[y, x]


@njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
def _fma_rows(values: Array, rounds: int, first: int, last: int) -> None:
    for y in range(first, last):
        for _ in range(rounds):
            for x in range(values.shape[1]):
                v = values[y, x]
                for _ in range(CHAIN):
                    v = v * np.float32(0.999) + np.float32(0.001)
                values[y, x] = v


def measure_machine(*, threads: int = 0, rounds: int = 5) -> Machine:
    """STREAM's triad a = b + 3 c over arrays larger than the caches (McCalpin 1995; three arrays are counted), and
    chains of fused multiply-adds on values that stay in the first cache. The best of `rounds`."""
    rows = Rows(threads)
    a, b, c = (np.ones((rows.threads * 16, STREAM_VALUES // (rows.threads * 16)), np.float32) for _ in range(3))
    values = np.ones((rows.threads, FMA_VALUES), np.float32)
    moved = _best(lambda: rows(lambda i, j: _triad_rows(a, b, c, i, j), a.shape[0]), rounds)
    done = _best(lambda: rows(lambda i, j: _fma_rows(values, FMA_ROUNDS, i, j), rows.threads), rounds)
    return Machine(3 * a.nbytes / moved / 1e9, 2 * CHAIN * FMA_ROUNDS * values.size / done / 1e9, rows.threads)


def _best(work: Callable[[], None], rounds: int) -> float:
    took = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took[1:])  # the first compiles


def roofline(report: BenchReport, segmenter: Segmenter, *, settings: Settings, machine: Machine) -> Roofline:
    """The lower bounds of a report's last interval: the network on the key frame, the other stages on another frame.

    Stages of which nothing is known (refine) are left out, and the network's where its runtime cannot count it.
    """
    result = report.results[-1]
    size_hw = report.header.size_hw
    engine = build_engine(segmenter, settings.at(1), backend=Processor(report.header.threads or 0))
    frame = moving_clip(size_hw)[0]
    scores = engine.step(frame).score_map
    view_hw = GreyView(stride=settings.flow.stride)(frame).shape
    needs = _needs(size_hw, (view_hw[0], view_hw[1]), scores.grid_hw, scores.classes, result["mixed_cells"])
    kinds = {"key": result["key_frame"], "other": result["other_frame"] or {}}
    counted = _network(segmenter, size_hw)
    rows = []
    for need in [*needs, *counted]:
        stages = kinds[need.frame].get("stages_ms", {})
        if need.stage in stages and need.stage in STAGES:
            rows.append({**asdict(need), "bound_ms": need.bound_ms(machine), "ms": stages[need.stage]["median"]})
    return Roofline(machine, rows)


def _needs(size_hw: SizeHW, view_hw: SizeHW, grid_hw: SizeHW, classes: int, mixed: float) -> list[Need]:
    pixels, cells, grid = (float(a[0] * a[1]) for a in (size_hw, view_hw, grid_hw))
    patches = cells / 4 / DIS_STRIDE**2 * 4 / 3  # from half the grid's resolution upwards
    descent = patches * DIS_LOOKS * DIS_PATCH**2 * DIS_FLOPS
    return [
        Need("prepare", "other", 3 * pixels + cells, 3 * pixels),
        Need("flow", "other", 2 * cells + 8 * cells, descent),
        # Views and flow are read for the difference, which is written and read with the flow again; composed flow and
        # reliability are read and written on a quarter of the cells.
        Need("propagate", "other", (2 + 8 + 4 + 8 + 4) * cells + 24 * cells / 4, 12 * cells + 30 * cells / 4),
        # The path is read, every score that a mixed cell needs, and each pixel's label written.
        Need("label", "other", 8 * cells / 4 + 4 * classes * grid * mixed + pixels, READING_FLOPS * pixels * mixed),
    ]


def _network(segmenter: Segmenter, size_hw: SizeHW) -> list[Need]:
    count = getattr(getattr(segmenter, "runtime", None), "work", None)
    resized = getattr(segmenter, "input_size", None)
    if count is None or resized is None:
        return []
    try:
        multiply_adds, weights = count((1, *resized(size_hw), 3))
    except (ModelError, RuntimeError):
        return []
    precision = str(segmenter.describe().get("precision"))
    narrower = AT_ONCE.get(precision, 1.0)
    moved = weights * (1 if precision == INT8_OF_7_BITS else 4 / narrower) + 3 * size_hw[0] * size_hw[1]
    return [Need("segment", "key", moved, 2 * multiply_adds / narrower)]
