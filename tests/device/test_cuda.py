"""On a card: what the processor cannot show. Skipped where there is none."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from fakes import panning
from segtween.build import Processor, build_engine, open_backend
from segtween.flow.dis import DisFlow
from segtween.segmenters import open_segmenter
from segtween.settings import change, find_preset

NETWORK, SIZE = "swiftnet-lite0.camvid", (256, 384)


def has_a_card() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


pytestmark = [pytest.mark.train, pytest.mark.skipif(not has_a_card(), reason="needs a card that CUDA can use")]


def moving(*, seed: int = 0) -> list[Any]:
    return panning(9, SIZE, step=3, cell=24, seed=seed)


def cuda(*without: str) -> Any:

    return open_backend("cuda", without=("compiled", *without))


def labels(device: Any, frames: list[Any], *, flow: Any = None) -> list[Any]:
    import torch

    engine = device.engine(device.segmenter(NETWORK), find_preset("composed").at(3), flow=flow)
    there = [torch.from_numpy(rgb).cuda() for rgb in frames]
    found = [engine.step(rgb).labels for rgb in there]
    assert all(values.is_cuda and values.dtype == torch.uint8 for values in found)
    assert engine.notes == [] or flow is not None
    return [values.cpu().numpy() for values in found]


@pytest.mark.parametrize("without", [(), ("kernels",)])
def test_recorded_is_the_same_as_one_by_one(without: tuple[str, ...]) -> None:
    frames = [*moving(), *moving(seed=5)]
    found, expected = labels(cuda(*without), frames), labels(cuda("graphs", *without), frames)
    for one, other in zip(found, expected, strict=True):
        assert (one != other).mean() < 1e-3  # a library may choose another way to multiply


def test_fused_is_the_same_as_plain() -> None:
    found, expected = labels(cuda(), moving()), labels(cuda("kernels"), moving())
    for one, other in zip(found, expected, strict=True):
        assert (one != other).mean() < 1e-2


def test_labels_for_given_flow_are_the_processors() -> None:
    from segtween.device.flows import ProcessorFlow

    device, settings = cuda("half"), find_preset("composed").at(3)
    flow = ProcessorFlow(DisFlow(), device=device.ops.device)
    segmenter = open_segmenter(NETWORK, threads=1)
    engine = build_engine(segmenter, settings, backend=Processor(1), flow=DisFlow())
    given = device.engine(device.beside(segmenter), settings, flow=flow)
    for rgb in moving():
        assert (given.step(rgb).labels != engine.step(rgb).labels).mean() <= 1e-4


def test_half_precision_gives_nearly_the_processors_labels() -> None:
    import torch

    rgb = moving()[0]
    expected = open_segmenter(NETWORK, threads=1)(rgb).argmax(0)
    for device, least in ((cuda(), 0.99), (cuda("half"), 0.995)):
        found = device.segmenter(NETWORK)(torch.from_numpy(rgb).cuda()).argmax(0).cpu().numpy()
        assert (found == expected).mean() > least


def test_adaptive_schedules_have_the_same_keys_recorded_or_not() -> None:
    settings = change(find_preset("composed"), schedule="adaptive", budget=30.0)
    keys = []
    for device in (cuda(), cuda("graphs")):
        engine = device.engine(device.segmenter(NETWORK), settings)
        keys.append([engine.step(rgb).is_key for rgb in moving()])
    assert keys[0] == keys[1]


def test_the_benchmark_runs_and_says_what_memory_it_takes() -> None:
    from segtween.bench import Plan
    from segtween.bench.on_device import bench_device

    device, plan = cuda(), Plan(SIZE, intervals=[4], repeats=3, against=["reference", "torch"], clip="textured")
    report = bench_device(
        device.segmenter(NETWORK), device=device, settings=find_preset("composed"), name="composed", plan=plan
    )
    assert all(np.isfinite(row["ms_per_frame"]) and row["peak_mib"] > 0 for row in (*report.results, *report.against))
    assert report.header.notes == []
