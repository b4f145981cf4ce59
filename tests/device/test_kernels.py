"""Fused kernels give what their plain forms give. Without a card they run in Triton's interpreter."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segtween.flow.view import GreyView

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton"),
]


@pytest.fixture(scope="module")
def kernels() -> Any:
    import torch

    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read where a kernel is defined
    from segtween.device import kernels

    return kernels


@pytest.fixture(scope="module")
def eager() -> Any:
    from segtween.device import eager

    return eager


def on_device(values: Any) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(values)).to("cuda" if torch.cuda.is_available() else "cpu")


def noise(*shape: int, seed: int = 0) -> Any:
    return on_device(np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32))


def smooth(h: int, w: int, *, seed: int = 1, spread: float = 2.0) -> Any:
    coarse = np.random.default_rng(seed).normal(0, spread, (h // 6 + 2, w // 6 + 2, 2)).astype(np.float32)
    return on_device(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC))


def close(found: Any, expected: Any, *, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(found.cpu().numpy(), expected.cpu().numpy(), rtol=1e-5, atol=atol)


@pytest.mark.parametrize("size_hw", [(5, 7), (23, 31), (9, 300)])
@pytest.mark.parametrize("grid", [None, (12, 16), (24, 30), (1, 3)])
def test_labels(kernels: Any, eager: Any, size_hw: tuple[int, int], grid: tuple[int, int] | None) -> None:
    values, path = noise(7, 12, 16), None if grid is None else smooth(*grid)
    found, expected = (of.labels_along(values, path, size_hw) for of in (kernels, eager))
    assert (found != expected).sum() <= 1


def test_blend(kernels: Any, eager: Any) -> None:
    given = (
        noise(5, 13, 17),
        noise(5, 13, 17, seed=2),
        smooth(13, 17),
        on_device(np.random.default_rng(3).random((13, 17), np.float32)),
    )
    close(kernels.blend_along(*given), eager.blend_along(*given))


def test_difference(kernels: Any, eager: Any) -> None:
    now, before = (on_device(np.random.default_rng(s).integers(0, 256, (24, 36), np.uint8)) for s in (1, 2))
    close(kernels.residual(now, before, smooth(24, 36)), eager.residual(now, before, smooth(24, 36)), atol=2e-3)


@pytest.mark.parametrize("grid", [(12, 18), (24, 36), (8, 9), (7, 11)])
@pytest.mark.parametrize("known", [False, True])
def test_follow(kernels: Any, eager: Any, grid: tuple[int, int], known: bool) -> None:
    error = noise(24, 36).abs()
    before = (noise(*grid).abs().clamp(max=1), smooth(*grid, seed=5)) if known else (None, None)
    found, expected = (
        of.follow(*before, smooth(24, 36), error, grid_hw=grid, tolerance=10.0) for of in (kernels, eager)
    )
    close(found[0], expected[0])
    close(found[1], expected[1])


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 8])
def test_grey_views_are_those_of_the_processor(kernels: Any, eager: Any, stride: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    expected = GreyView(stride=stride)(rgb)
    for of in (kernels, eager):
        off = np.abs(of.grey_view(on_device(rgb), expected.shape).cpu().numpy().astype(int) - expected)
        whole = rgb.shape[0] % stride == 0 and rgb.shape[1] % stride == 0
        assert not off.any() if whole else off.max() <= 1 and (off > 0).mean() < 0.01


@pytest.mark.parametrize("size", [(24, 36), (48, 60), (60, 80), (20, 24)])
@pytest.mark.parametrize("is_bgr", [False, True])
def test_a_network_sees_the_same(kernels: Any, eager: Any, size: tuple[int, int], is_bgr: bool) -> None:
    import torch

    from segtween.device.preprocess import Normalisation

    rgb = on_device(np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8))
    normalisation = Normalisation((0.02, 0.03, 0.04), (-1.0, -2.0, -3.0), is_bgr, torch.float16)
    found, expected = (of.preprocess(rgb, size, normalisation) for of in (kernels, eager))
    assert found.shape == expected.shape == (1, 3, *size)
    assert found.is_contiguous(memory_format=torch.channels_last)
    close(found.float(), expected.float(), atol=4e-3)


@pytest.fixture(scope="module", params=[(16, 24), (13, 21), (7, 12)])
def level(request: pytest.FixtureRequest) -> Any:
    from segtween.device.search import Level

    h, w = request.param
    wide = cv2.GaussianBlur(np.random.default_rng(4).random((h, w + 3), np.float32) * 255, (5, 5), 1.5)
    return Level(on_device(wide[:, 3:]), on_device(wide[:, :-3]))


def test_patches_are_found_alike(kernels: Any, level: Any) -> None:
    from segtween.device import search

    found = expected = noise(*level.patches_hw, 2)
    for _ in range(2):
        found, expected = kernels.search(level, found), search.search(level, expected)
        close(found, expected, atol=2e-3)


def test_patches_become_a_flow_alike(kernels: Any, level: Any) -> None:
    from segtween.device import search

    patches = noise(*level.patches_hw, 2)
    close(kernels.densify(level, patches), search.densify(level, patches), atol=1e-4)
    coarse = noise(level.size_hw[0] // 2 + 1, level.size_hw[1] // 2, 2)
    close(kernels.begin(coarse, level), search.begin(coarse, level))
    close(kernels.enlarged(coarse, level.size_hw), search.enlarged(coarse, level.size_hw))


@pytest.mark.slow
def test_they_compile_for_a_card_that_is_not_here() -> None:
    script = Path(__file__).with_name("compile_kernels.py")
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "_search: cubin" in done.stdout
