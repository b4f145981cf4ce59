"""On a card: what the processor cannot show. The tests run on torch's own processor device too, where nothing is
captured, fused or halved, so that they are known to run before there is a card."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from segtween.build import build_engine, open_backend
from segtween.settings import change, find_preset

NETWORK = "swiftnet-lite0.camvid"
SIZES = {"cuda": (256, 384), "torch-cpu": (64, 96)}


def has_a_card() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


pytestmark = [pytest.mark.train]
CARD = pytest.param("cuda", marks=pytest.mark.skipif(not has_a_card(), reason="needs a card that CUDA can use"))


@pytest.fixture(params=[CARD, pytest.param("torch-cpu", marks=pytest.mark.slow)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def moving(name: str, *, seed: int = 0) -> list[Any]:
    """A smooth random picture that moves three pixels to the left from frame to frame."""
    import torch

    height, width = SIZES[name]
    coarse = torch.rand((1, 3, height // 24 + 2, width // 24 + 3), generator=torch.Generator().manual_seed(seed))
    wide = torch.nn.functional.interpolate(coarse, size=(height, width + 24), mode="bicubic", align_corners=False)
    picture = (wide[0].clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    return [np.ascontiguousarray(picture[:, 3 * i : 3 * i + width]) for i in range(9)]


def opened(name: str, *without: str) -> Any:
    return open_backend(name, threads=1, without=("compiled", *without))


def labels(device: Any, frames: list[Any]) -> list[Any]:
    import torch

    engine = build_engine(device.segmenter(NETWORK), find_preset("composed").at(3), backend=device)
    found = [engine.step(torch.from_numpy(rgb).to(device.arrays.device)).labels for rgb in frames]
    assert all(values.device == device.arrays.device and values.dtype == torch.uint8 for values in found)
    assert engine.notes == []
    return [values.cpu().numpy() for values in found]


class InNumPy:
    """torch's flow estimator on the processor, for NumPy arrays, as the processor's own estimators take them."""

    def __init__(self, device: Any, settings: Any) -> None:
        self._inner = device.flow(settings, classes=None)

    def prepare(self, rgb: Any) -> Any:
        import torch

        return self._inner.prepare(torch.from_numpy(rgb)).numpy()

    def __call__(self, current: Any, previous: Any) -> Any:
        import torch

        return self._inner(torch.from_numpy(current), torch.from_numpy(previous)).numpy()

    def describe(self) -> dict[str, Any]:
        return self._inner.describe()


@pytest.mark.parametrize("without", [(), ("kernels",)])
def test_captured_is_the_same_as_one_by_one(name: str, without: tuple[str, ...]) -> None:
    frames = [*moving(name), *moving(name, seed=5)]
    found, expected = labels(opened(name, *without), frames), labels(opened(name, "graphs", *without), frames)
    for one, other in zip(found, expected, strict=True):
        assert (one != other).mean() < 1e-3  # a library may choose another way to multiply


def test_fused_is_the_same_as_eager(name: str) -> None:
    found, expected = labels(opened(name), moving(name)), labels(opened(name, "kernels"), moving(name))
    for one, other in zip(found, expected, strict=True):
        assert (one != other).mean() < 1e-2


def test_labels_for_given_scores_and_flow_are_those_of_the_processor(name: str) -> None:
    import torch

    from segtween.device.flows import ProcessorFlow

    settings, processor, device = find_preset("composed").at(3), opened("torch-cpu"), opened(name, "half")
    segmenter = processor.segmenter(NETWORK)

    class Scores:
        labels = segmenter.labels

        def __call__(self, rgb: Any) -> Any:
            return segmenter(torch.from_numpy(rgb)).numpy()

        def describe(self) -> dict[str, Any]:
            return segmenter.describe()

    flow = ProcessorFlow(InNumPy(processor, settings), device=device.arrays.device)
    given = build_engine(device.fetching(Scores()), settings, backend=device, flow=flow)
    engine = build_engine(segmenter, settings, backend=processor)
    for rgb in moving(name):
        found = given.step(torch.from_numpy(rgb).to(device.arrays.device)).labels.cpu().numpy()
        assert (found != engine.step(torch.from_numpy(rgb)).labels.numpy()).mean() <= 1e-4


def test_half_precision_gives_nearly_the_processors_labels(name: str) -> None:
    import torch

    rgb = torch.from_numpy(moving(name)[0])
    expected = opened("torch-cpu").segmenter(NETWORK)(rgb).argmax(0)
    for device, least in ((opened(name), 0.99), (opened(name, "half"), 0.995)):
        found = device.segmenter(NETWORK)(rgb.to(device.arrays.device)).argmax(0).cpu()
        assert (found == expected).float().mean() > least


def test_adaptive_schedules_have_the_same_keys_captured_or_not(name: str) -> None:
    import torch

    settings = change(find_preset("composed"), schedule="adaptive", budget=30.0)
    keys = []
    for device in (opened(name), opened(name, "graphs")):
        engine = build_engine(device.segmenter(NETWORK), settings, backend=device)
        keys.append([engine.step(torch.from_numpy(rgb).to(device.arrays.device)).is_key for rgb in moving(name)])
    assert keys[0] == keys[1]
    assert keys[0][0]
    assert not all(keys[0])


def test_the_benchmark_runs_and_says_what_memory_it_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.bench import Plan, plan
    from segtween.bench.on_device import bench_device

    monkeypatch.setattr(plan, "clip_frames", lambda *_, **__: moving(name))  # without OpenCV and the renderer
    device, timed = opened(name), Plan(SIZES[name], intervals=[1], repeats=1, against=["reference", "torch"])
    report = bench_device(
        device.segmenter(NETWORK), device=device, settings=find_preset("composed"), name="composed", plan=timed
    )
    for row in (*report.results, *report.against):
        assert np.isfinite(row["ms_per_frame"])
        assert row["peak_mib"] > 0 if name == "cuda" else row["peak_mib"] is None
    assert report.header.notes == []
