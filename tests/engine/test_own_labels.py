"""The network's own labels, pixel for pixel, wherever nothing is blended with them: at interval 0, at first frames and
after cuts, and at every key frame where fusion is off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import segtween
from segtween.models.records import save_record
from segtween.segmenters.inspect import inspect_onnx
from tiny_onnx import save_graph

FLOAT = TensorProto.FLOAT
SIZE = (64, 96)


def columns(index: int, *, at: int = 4, size_hw: tuple[int, int] = SIZE) -> Any:
    """Grey, with white columns of one pixel, 16 apart, that move to the right."""
    rgb = np.full((*size_hw, 3), 60, np.uint8)
    rgb[:, (at + index) % 16 :: 16] = 255
    return rgb


def by_red(rgb: Any) -> Any:
    """Full-size scores: (0.5 - R, R - 0.5) * 20."""
    red = rgb[..., 0].astype(np.float32) / 255
    return np.stack([0.5 - red, red - 0.5]) * 20


def labels_by_red(rgb: Any) -> Any:
    return (rgb[..., 0] > 127).astype(np.uint8)


def network_by_red(path: Path, last: str = "") -> Path:
    """The same as a network, of scores or with its argmax in the graph."""
    weight = numpy_helper.from_array(np.array([[-20, 0, 0], [20, 0, 0]], np.float32).reshape(2, 3, 1, 1), "w")
    bias = numpy_helper.from_array(np.array([10, -10], np.float32), "b")
    nodes = [helper.make_node("Conv", ["image", "w", "b"], ["scores"])]
    output = ("scores", FLOAT, None)
    if last == "argmax":
        nodes.append(helper.make_node("ArgMax", ["scores"], ["labels"], axis=1, keepdims=0))
        output = ("labels", TensorProto.INT64, None)
    save_graph(path, nodes, [("image", FLOAT, [1, 3, "h", "w"])], [output], [weight, bias])
    record = inspect_onnx(path)
    text = record.to_dict() | {"guessed": [], "labels": ["dark", "bright"]}
    text["input"] |= {"scale": 1.0, "mean": [0, 0, 0], "std": [1, 1, 1], "multiple_of": 1}
    from segtween.models.records import record_from_dict

    save_record(record_from_dict(text, path=record.path), record.path)
    return path


def models(folder: Path) -> dict[str, tuple[Any, Any]]:
    names = ["dark", "bright"]
    return {
        "scores": (by_red, names),
        "labels": (labels_by_red, names),
        "network": (network_by_red(folder / "net.onnx"), None),
        "argmax": (network_by_red(folder / "argmax.onnx", "argmax"), None),
    }


@pytest.fixture(params=["scores", "labels", "network", "argmax"])
def model(request: Any, tmp_path: Path) -> tuple[Any, Any]:
    return models(tmp_path)[request.param]


@pytest.mark.parametrize("at", [4, 5])
def test_interval_0_gives_columns_of_one_pixel(model: Any, at: int) -> None:
    seg = segtween.load(model[0], label_set=model[1], preset="every-frame")
    for index in range(3):
        rgb = columns(index, at=at)
        np.testing.assert_array_equal(seg.step(rgb).labels, labels_by_red(rgb))


@pytest.mark.parametrize("preset", ["composed", "warp", "blend"])
def test_first_frames_and_those_after_a_cut_are_the_networks(model: Any, preset: str) -> None:
    seg = segtween.load(model[0], label_set=model[1], preset=preset, interval=4)
    clip = [columns(i) for i in range(3)]
    other = 255 - columns(0, at=9)[::-1]
    results = list(seg.stream([*clip, other]))
    assert results[3].is_cut
    for result, rgb in ((results[0], clip[0]), (results[3], other)):
        np.testing.assert_array_equal(result.labels, labels_by_red(rgb))


def without_fusion(model: Any, **changes: Any) -> Any:
    return segtween.load(model[0], label_set=model[1], interval=2, history_weight=0.0, **changes)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_key_frame_without_fusion_is_the_networks(model: Any, bidirectional: bool) -> None:
    mode = {"mode": "bidirectional"} if bidirectional else {}
    clip = [columns(i) for i in range(7)]
    results = list(without_fusion(model, **mode).stream(clip))
    keys = [i for i, result in enumerate(results) if result.is_key]
    assert len(keys) >= 3
    for i in keys:
        np.testing.assert_array_equal(results[i].labels, labels_by_red(clip[i]))
