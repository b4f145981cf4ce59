"""Nothing that works on a device makes tensors elsewhere, or reads their values: on a device without memory it runs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

pytestmark = pytest.mark.train


@pytest.fixture
def meta() -> Any:
    import torch

    return torch.device("meta")


def image(meta: Any, *size: int) -> Any:
    import torch

    return torch.empty(*size, dtype=torch.uint8, device=meta)


def test_array_operations(meta: Any) -> None:
    import torch

    from segtween.device.arrays import TorchOps
    from segtween.types import ScoreMap

    ops, scores = TorchOps(meta), torch.empty(5, 24, 32, device=meta)
    rgb, view = image(meta, 96, 128, 3), image(meta, 48, 64)
    motion, path = torch.empty(48, 64, 2, device=meta), torch.empty(24, 32, 2, device=meta)
    reliability = torch.empty(24, 32, device=meta)
    error = ops.residual(view, view, motion)
    made = [
        ops.image(rgb),
        error,
        *ops.follow(None, None, motion, error, grid_hw=(24, 32), tolerance=10.0),
        *ops.follow(reliability, path, motion, error, grid_hw=(20, 30), tolerance=10.0)[:1],
        ops.blend(scores, scores, path, reliability),
        ops.blend(scores, scores, None, error),
        ops.resize_flow(motion, (13, 21)),
        ops.score_map(scores, kind="probabilities", most_cells=100, image_hw=(96, 128)).values,
        ops.labels(ScoreMap(scores, "logits", (96, 128)), (96, 128)),
        ops.labels(ScoreMap(scores, "logits", (96, 128)), (96, 128), composed=path),
    ]
    assert all(values.device == meta for values in made)
    assert made[-1].shape == (96, 128)


@pytest.mark.parametrize("size", [(96, 128), (99, 131)])
def test_views_and_flow(meta: Any, size: tuple[int, int]) -> None:
    from segtween.device import eager
    from segtween.device.cuts import DeviceCuts
    from segtween.device.flows import DeviceSearch
    from segtween.types import Motion

    search = DeviceSearch(kernels=eager)
    view = search.prepare(image(meta, *size, 3))
    flow = search(view, view)
    assert flow.device == meta
    assert flow.shape == (*view.shape, 2)
    motion: Any = Motion(view, residual=flow[..., 0])
    assert DeviceCuts().score(motion).device == meta


def test_the_flow_network(meta: Any) -> None:
    from segtween.build import open_backend
    from segtween.settings import change, find_preset

    device = open_backend("torch-cpu", threads=1)
    device.arrays.device = meta
    flow = device.flow(change(find_preset("blend"), flow="light"), classes=11)
    view = flow.prepare(image(meta, 100, 170, 3))
    assert flow(view, view).device == meta


@pytest.mark.parametrize("scale", [1.0, 0.75, 0.4])
def test_the_network(meta: Any, scale: float) -> None:
    from segtween.device import Fast
    from segtween.device.segmenter import DeviceSegmenter
    from segtween.models.finding import find_record

    segmenter = DeviceSegmenter(
        find_record("swiftnet-lite0.camvid"), device=meta, fast=Fast.without("compiled", "graphs"), scale=scale
    )
    scores, finite = segmenter._scores(image(meta, 128, 192, 3))
    assert scores.device == finite.device == meta
    assert scores.shape[0] == 11


@pytest.mark.parametrize("flow", ["flow-light", "flownets"])
def test_rivals(meta: Any, flow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from segtween.bench.baselines import in_torch
    from segtween.build import open_backend
    from segtween.networks.plain_torch import ReferencePipeline

    segmenter = open_backend("torch-cpu", threads=1).segmenter("swiftnet-lite0.camvid", scale=0.75)
    every = in_torch(segmenter, (128, 192), threads=1, device=meta)
    assert every(image(meta, 128, 192, 3)).device == meta
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no such device
    reference = ReferencePipeline(every, classes=11, flow=flow)
    for is_key in (True, False):
        assert reference(image(meta, 128, 192, 3), is_key=is_key).device == meta
