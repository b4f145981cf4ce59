"""Flow on a device: as good as the processor's, in the same conventions."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from fakes import panning
from segtween.errors import ModelError
from segtween.flow.dis import DisFlow
from segtween.flow.view import GreyView
from segtween.flow.zero import ZeroFlow
from segtween.street import StreetClip

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def search() -> Any:
    from segtween.device import eager
    from segtween.device.flows import DeviceSearch

    return DeviceSearch(kernels=eager)


def tensor(values: Any) -> Any:
    import torch

    return torch.from_numpy(values)


def test_views_are_those_of_the_processor(search: Any) -> None:
    for size in ((96, 128), (700, 900), (1100, 1304), (1103, 1300)):
        rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
        view = search.prepare(tensor(rgb)).numpy().astype(int)
        assert np.abs(view - GreyView()(rgb)).max() <= 1, "but for rounding"


@pytest.mark.parametrize("step", [1, 3, 9])
def test_a_pan_is_found_with_its_sign(search: Any, step: int) -> None:
    before, now = (search.prepare(tensor(rgb)) for rgb in panning(2, (96, 144), step=step, cell=16))
    flow = search(now, before).numpy()
    inside = flow[16:-16, 16:-32]
    assert abs(np.median(inside[..., 0]) - step) < 0.2
    assert abs(np.median(inside[..., 1])) < 0.1


@pytest.mark.parametrize("quality", ["fast", "balanced", "fine"])
def test_every_effort_finds_a_pan(quality: str) -> None:
    from segtween.device import eager
    from segtween.device.flows import DeviceSearch

    search = DeviceSearch(kernels=eager, quality=quality)
    before, now = (search.prepare(tensor(rgb)) for rgb in panning(2, (72, 96), step=2, cell=16))
    flow = search(now, before).numpy()
    assert flow.shape == (72, 96, 2)
    assert abs(np.median(flow[16:-16, 16:-32, 0]) - 2) < 0.2
    assert search.describe()["quality"] == quality


def test_the_same_picture_has_not_moved(search: Any) -> None:
    view = search.prepare(tensor(panning(1, (90, 130))[0]))
    assert not search(view, view).any()


def test_images_too_small_for_patches_have_not_moved(search: Any) -> None:
    import torch

    small = torch.zeros((9, 40), dtype=torch.uint8)
    assert search(small, small).shape == (9, 40, 2)
    assert not search(small, small).any()


def test_it_is_as_near_the_true_flow_as_opencv(search: Any) -> None:
    dis, off = DisFlow(), {"opencv": list[float](), "torch": list[float]()}
    for seed in (700, 701):
        before, now = list(StreetClip(seed, size_hw=(180, 240), frames=2, start=60))
        views = dis.prepare(now.rgb), dis.prepare(before.rgb)
        flows = {"opencv": dis(*views), "torch": search(*(tensor(view) for view in views)).numpy()}
        seen = cv2.erode((now.occlusion == 0).astype(np.uint8), np.ones((5, 5), np.uint8)) == 1
        for name, flow in flows.items():
            off[name].append(float(np.linalg.norm(flow - now.flow, axis=2)[seen].mean()))
    assert np.mean(off["torch"]) < 1.1 * np.mean(off["opencv"])


def test_no_motion_and_other_estimators_keep_their_conventions() -> None:
    import torch

    from segtween.device import eager
    from segtween.device.flows import DeviceStill, ProcessorFlow

    before, now = panning(2, (64, 96), step=2, cell=12)
    still, beside = DeviceStill(kernels=eager), ProcessorFlow(DisFlow(), device=torch.device("cpu"))
    views = still.prepare(tensor(now)), still.prepare(tensor(before))
    assert not still(*views).any()
    assert still.describe() == ZeroFlow().describe()
    dis = DisFlow()
    expected = dis(dis.prepare(now), dis.prepare(before))
    found = beside(beside.prepare(tensor(now)), beside.prepare(tensor(before)))
    assert np.array_equal(found.numpy(), expected)
    assert beside.describe() == dis.describe()
    assert "on the processor" in beside.notes[0]


@pytest.fixture(scope="module", params=[(128, 192), (100, 170)])
def pair(request: pytest.FixtureRequest) -> Any:
    return panning(2, request.param, step=3, cell=24)


def test_the_light_flow_network_is_that_of_the_processor(pair: Any) -> None:
    from segtween.build import build_flow, open_backend
    from segtween.settings import change, find_preset

    settings = change(find_preset("blend"), flow="light")
    processor = build_flow(settings, classes=11, threads=1)
    device = open_backend("torch-cpu", threads=1).flow(settings, classes=11)
    views = [processor.prepare(rgb) for rgb in pair]
    there = [device.prepare(tensor(rgb)) for rgb in pair]
    np.testing.assert_allclose(there[0].numpy(), views[0], atol=2e-3)
    expected = processor(views[1], views[0])
    np.testing.assert_allclose(device(there[1], there[0]).numpy(), expected, atol=2e-3 * np.abs(expected).max())
    assert np.abs(expected).max() > 0.1
    assert device.describe()["flow"] == processor.describe()["flow"]


def test_weights_of_another_flow_network_are_refused() -> None:
    import torch

    from segtween.build import build_flow
    from segtween.device.flows import DeviceFlowNetwork
    from segtween.settings import change, find_preset

    component = build_flow(change(find_preset("blend"), flow="light"), classes=11, threads=1).component
    with pytest.raises(ModelError, match="the weights in .* do not fit flow-light .*; export the flow network again"):
        DeviceFlowNetwork(component, {"toflow.bias": np.zeros(3, np.float32)}, device=torch.device("cpu"), half=False)
    with pytest.raises(ModelError, match="lack .*conv1.0.bias"):
        DeviceFlowNetwork(component, {"toflow.bias": np.zeros(2, np.float32)}, device=torch.device("cpu"), half=False)
