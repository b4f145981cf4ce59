"""The attention network as a file equals torch at every size, in both runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtween.errors import ModelError
from segtween.models.components import ATTENTION, read_component

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train
SIZES_HW = [(64, 80), (45, 61), (7, 9)]


def lively(*, classes: int) -> Any:
    """With a head that says something, and weights that float16 can hold."""
    from segtween.networks.attention import AttentionRefiner
    from segtween.networks.export import round_to_float16

    torch.manual_seed(0)
    net = AttentionRefiner(classes=classes)
    torch.nn.init.normal_(net.head.weight, std=0.3)
    net.load_state_dict(round_to_float16(net.state_dict()))
    return net.eval()


def inputs(size_hw: tuple[int, int], *, classes: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    h, w = size_hw
    image, key = (rng.integers(0, 256, (1, 2 * h, 2 * w, 3)).astype(np.uint8) for _ in range(2))
    values = {"image": image, "key": key, "cells": rng.normal(size=(1, 8, h, w)).astype(np.float32)}
    if classes:
        values["scores"] = rng.normal(size=(1, classes, h, w)).astype(np.float32)
    return values


@pytest.fixture(scope="module", params=[0, 5])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    from segtween.networks.export_components import export_attention

    net = lively(classes=request.param)
    folder = tmp_path_factory.mktemp(f"attention{request.param}")
    files = export_attention(net, folder / ATTENTION, labels="mine", provenance={"source": "a test"})
    assert [f.name for f in files] == ["attention.onnx", "attention.onnx.yaml"]
    return net, folder / ATTENTION


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_the_graph_equals_torch_at_any_size(exported: tuple[Any, Path], runtime: str, size_hw: tuple[int, int]) -> None:
    from segtween.networks.attention import FromPixels

    net, path = exported
    values = inputs(size_hw, classes=net.classes)
    with torch.no_grad():
        expected = FromPixels(net)(*map(torch.from_numpy, values.values()))
    found = run(path, values, runtime=runtime)
    assert [f.shape[1] for f in found] == [1, 32] + ([net.classes] if net.classes else [])
    for f, e in zip(found, expected, strict=True):
        assert f.shape[2:] == size_hw
        assert f == pytest.approx(e.numpy(), abs=2e-4 * float(e.abs().max()))


def test_folding_is_pixel_unshuffle() -> None:
    from segtween.networks.attention import fold

    pixels = torch.arange(2 * 6 * 8 * 3).reshape(2, 6, 8, 3)
    expected = torch.nn.functional.pixel_unshuffle(pixels.permute(0, 3, 1, 2), 2)
    assert torch.equal(fold(pixels), expected)


def test_offsets_go_ring_by_ring() -> None:
    from segtween.networks.attention import offsets

    found = offsets((1, 4))
    assert found[:8] == [(-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1)]
    assert found[8:] == [(4 * dx, 4 * dy) for dx, dy in found[:8]]
    assert len(offsets()) == 32


def test_a_fresh_network_replaces_little_and_prefers_nobody() -> None:
    from segtween.networks.attention import AttentionRefiner, FromPixels

    with torch.no_grad():
        said = FromPixels(AttentionRefiner(classes=3))(*map(torch.from_numpy, inputs((8, 8), classes=3).values()))
    assert float(said[0].max()) == pytest.approx(1 / (1 + np.exp(3)))
    assert float(said[1].abs().max()) == float(said[2].abs().max()) == 0


def test_the_record_says_what_the_graph_is(exported: tuple[Any, Path]) -> None:
    net, path = exported
    part = read_component(path, kind="attention")
    assert (part.network, part.classes, part.labels, part.origin) == ("attention", net.classes, "mine", "a test")
    with pytest.raises(ModelError, match="is of kind attention; expected kind flow"):
        read_component(path, kind="flow")


def run(path: Path, values: dict[str, Any], *, runtime: str) -> list[Any]:
    """The outputs in order, in float32."""
    if runtime == "onnxruntime":
        import onnxruntime

        return list(onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, values))
    import openvino

    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(model(values).values())
