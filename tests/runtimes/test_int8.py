"""int8: the rounding is that of the ranges, the kernels are int8, and what cannot be is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from segtween.errors import ModelError, SettingError
from segtween.int8 import Int8Record
from segtween.records import InputRecord
from segtween.runtimes import open_runtime
from segtween.runtimes import openvino as openvino_module
from segtween.runtimes.openvino import OpenVinoRuntime, read_graph
from segtween.runtimes.quantise import (
    folded,
    has_int8_dot_products,
    quantised,
    range_outputs,
    seen_by_convolutions,
    weights_digest,
    with_exact_zero,
)
from tiny_onnx import cell_scores, colour_image, colour_weights, save_graph, write_network

PIXELS = InputRecord("image", scale=1, multiple_of=4)
RANGES = Int8Record({"image": (0.0, 1.0)})


@pytest.fixture(autouse=True)
def _any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """These small sums do not overflow anywhere."""
    monkeypatch.setattr(openvino_module, "has_int8_dot_products", lambda: True)


def write_deep_network(path: Path) -> Path:
    """image -> conv -> Relu -> MaxPool -> zero padding -> grouped conv -> Add with the pooled -> conv of stride 1."""
    rng = np.random.default_rng(1)
    weights = {"first": (8, 3, 3, 3), "grouped": (8, 1, 3, 3), "last": (4, 8, 1, 1)}
    values = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32) / 4, n) for n, s in weights.items()]
    values += [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "around")]
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Pad", ["c", "around"], ["d"]),
        helper.make_node("Conv", ["d", "grouped"], ["e"], group=8),
        helper.make_node("Add", ["e", "c"], ["f"]),
        helper.make_node("Conv", ["f", "last"], ["scores"]),
    ]
    shape = [1, 3, "height", "width"]
    return save_graph(
        path,
        nodes,
        [("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        values,
    )


def steps_of(values: Any, low: float, high: float, levels: int) -> Any:
    """The nearest of `levels` even steps from low to high."""
    scale = (high - low) / (levels - 1)
    return np.round((np.clip(values, low, high) - low) / scale) * scale + low


# ── What is computed ──────────────────────────────────────────────────────────────────────────


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_the_steps_hold_zero_exactly_and_cover_the_range(one: float, other: float) -> None:
    low, high = with_exact_zero(min(one, other), max(one, other))
    step = (high - low) / 255
    assert step > 0
    assert abs(low / step - round(low / step)) < 1e-6
    assert low <= 0 <= high
    assert low <= min(one, other) + step
    assert high >= max(one, other) - step


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_int8_equals_rounding_by_hand(tmp_path: Path, dtype: str) -> None:
    path = write_network(tmp_path / "net.onnx", dtype=dtype)
    runtime = open_runtime("openvino", path, pixels=PIXELS, precision="int8", int8=ranges_of(path, (0.0, 1.0)))
    rgb = colour_image((16, 24))
    (scores,) = runtime.run(rgb[None])
    weights, bias = colour_weights(5)
    largest = np.abs(weights).max(axis=1, keepdims=True)
    rounded = steps_of(weights, -largest, largest, 255)
    cells = (steps_of(rgb / 255, 0.0, 1.0, 256)).reshape(4, 4, 6, 4, 3).mean(axis=(1, 3))
    expected = np.einsum("ck,hwk->chw", rounded, cells) + bias[:, None, None]
    np.testing.assert_allclose(scores[0], expected, atol=0.02)  # sums are written as bfloat16 where there is any
    assert runtime.precision == "int8"
    assert runtime.notes == []


def ranges_of(path: Path, limits: tuple[float, float]) -> Int8Record:
    """The same range for every tensor that a convolution sees."""
    return Int8Record({tensor.name: limits for tensor in seen_by_convolutions(folded(read_graph(path)))})


def test_padding_and_pooling_come_after_the_rounding(tmp_path: Path) -> None:
    graph = folded(read_graph(write_deep_network(tmp_path / "deep.onnx")))
    seen = seen_by_convolutions(graph)
    assert [tensor.name for tensor in seen] == ["image", "b", "f"]
    rounded = quantised(graph, Int8Record({"b": (0.0, 4.0)}), name="deep")
    before = {op.get_friendly_name(): op.input_value(0) for op in rounded.get_ordered_ops() if op.get_input_size()}
    assert before["c"].get_node().get_type_name() == "FakeQuantize"
    constants = [op for op in rounded.get_ordered_ops() if op.get_type_name() == "Constant"]
    small = [list(op.shape) for op in constants if op.get_element_type() == openvino.Type.i8]
    assert small == [[8, 1, 1, 3, 3]], "of the one convolution that sees it"
    assert sum(op.get_type_name() == "FakeQuantize" for op in rounded.get_ordered_ops()) == 1
    assert not [op for op in graph.get_ordered_ops() if op.get_type_name() == "FakeQuantize"], "the argument stays"


def test_every_convolution_runs_in_int8_close_to_float32(tmp_path: Path) -> None:
    path = write_deep_network(tmp_path / "deep.onnx")
    meter = OpenVinoRuntime(path, pixels=PIXELS, change=range_outputs)
    rgb = colour_image((64, 96))
    low, high = np.reshape([float(v) for v in meter.run(rgb[None])], (-1, 2)).T
    assert [low[0], high[0]] == pytest.approx([rgb.min() / 255, rgb.max() / 255])
    record = Int8Record(
        {name.removesuffix(" low"): ends for name, *ends in zip(meter.outputs[::2], low, high, strict=True)}
    )
    exact = open_runtime("openvino", path, pixels=PIXELS).run(rgb[None])[0]
    runtime = open_runtime("openvino", path, pixels=PIXELS, precision="int8", int8=record)
    rounded = runtime.run(rgb[None])[0]
    assert np.abs(rounded - exact).mean() < 0.02 * exact.std()
    layers = [op.get_rt_info() for op in runtime._latest().get_runtime_model().get_ops()]
    used = [info["runtimePrecision"].astype(str) for info in layers if info["layerType"].astype(str) == "Convolution"]
    assert len(used) == 3
    assert set(used) <= {"u8", "i8"}


def test_channels_of_nothing_stay_nothing(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    values = np.zeros((5, 3, 4, 4), np.float32)
    values[1], values[2] = 1e-42, 0.5
    model = onnx.load(path)
    kernel = next(t for t in model.graph.initializer if t.name == "kernel")
    kernel.CopyFrom(numpy_helper.from_array(values, "kernel"))
    onnx.save(model, path)
    runtime = open_runtime("openvino", path, pixels=PIXELS, precision="int8", int8=RANGES)
    (scores,) = runtime.run(np.full((1, 8, 8, 3), 255, np.uint8))
    expected = values.sum(axis=(1, 2, 3)) + colour_weights(5)[1]
    np.testing.assert_allclose(scores[0, :, 0, 0], expected, rtol=0.01, atol=0.02)


def test_what_int8_did_is_in_the_record(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    said = []
    for limits in ((0.0, 1.0), (0.0, 2.0)):
        runtime = open_runtime("openvino", path, pixels=PIXELS, precision="int8", int8=ranges_of(path, limits))
        runtime.run(colour_image((8, 8))[None])
        said.append(runtime.describe())
    assert said[0]["precision"] == "int8"
    assert said[0]["int8_beside"] in ("bfloat16", "float32")
    assert said[0]["int8_ranges"] != said[1]["int8_ranges"]


# ── auto, and what cannot be ──────────────────────────────────────────────────────────────────


def test_auto_is_int8_where_there_are_ranges(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    rgb = colour_image((64, 64))[None]
    for given_ranges, expected in ((RANGES, {"int8"}), (None, {"bfloat16", "float32"})):
        runtime = open_runtime("openvino", path, pixels=PIXELS, precision="auto", int8=given_ranges)
        runtime.run(rgb)
        assert runtime.precision in expected
        assert runtime.notes == []


def test_float32_stays_what_it_is_beside_ranges(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    rgb = colour_image((16, 16))
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES)
    np.testing.assert_allclose(runtime.run(rgb[None])[0][0], cell_scores(rgb / 255, classes=5), atol=1e-4)
    assert "int8_ranges" not in runtime.describe()


def test_a_processor_without_dot_products_is_refused_or_left_to_another_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_module, "has_int8_dot_products", lambda: False)
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(
        SettingError, match=r"--precision int8 on this processor.*; expected a processor with AVX-512 V"
    ):
        open_runtime("openvino", path, precision="int8", int8=RANGES)
    runtime = open_runtime("openvino", path, pixels=PIXELS, precision="auto", int8=RANGES)
    runtime.run(colour_image((64, 64))[None])
    assert runtime.precision in ("bfloat16", "float32")


def test_what_the_processor_has_is_a_plain_answer() -> None:
    assert has_int8_dot_products() in (True, False)


def test_a_network_without_ranges_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="network 'net' was never calibrated for int8; expected .*; segtween export"):
        open_runtime("openvino", path, precision="int8")
    with pytest.raises(SettingError, match="own number types; expected --precision float32.*openvino for int8"):
        open_runtime("onnxruntime", path, precision="int8", int8=RANGES)


def test_ranges_of_other_weights_are_refused_or_said(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    stale = Int8Record({"image": (0.0, 1.0)}, weights="0" * 16)
    with pytest.raises(
        ModelError, match=r"int8 ranges of net.onnx were measured with other weights; expected .*0000; cal"
    ):
        open_runtime("openvino", path, pixels=PIXELS, precision="int8", int8=stale)
    runtime = open_runtime("openvino", path, pixels=PIXELS, precision="auto", int8=stale)
    runtime.run(colour_image((64, 64))[None])
    assert len(runtime.notes) == 1
    assert runtime.notes[0].startswith("int8 is not used: the int8 ranges of net.onnx were measured with other weights")
    foreign = Int8Record({"elsewhere": (0.0, 1.0)})
    with pytest.raises(ModelError, match="int8 ranges of net.onnx name none of its tensors; expected ranges of this"):
        open_runtime("openvino", path, pixels=PIXELS, precision="int8", int8=foreign)


def test_the_digest_is_of_the_weights(tmp_path: Path) -> None:
    one, same, other = (
        weights_digest(folded(read_graph(write_network(tmp_path / f"{i}.onnx", classes=classes))))
        for i, classes in enumerate((5, 5, 6))
    )
    assert one == same != other
    assert len(one) == 16


def test_a_network_without_convolutions_is_refused(tmp_path: Path) -> None:
    path = save_graph(
        tmp_path / "plain.onnx",
        [helper.make_node("Relu", ["image"], ["scores"])],
        [("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [("scores", TensorProto.FLOAT, [1, 3, 8, 8])],
    )
    with pytest.raises(ModelError, match="no convolutions with fixed weights; expected a convolutional network"):
        OpenVinoRuntime(path, change=range_outputs)


class NoInt8Core:
    """OpenVINO's core, except that int8 graphs do not compile."""

    def __init__(self) -> None:
        self.real = openvino.Core()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def compile_model(self, graph: Any, device: str, config: dict[str, Any]) -> Any:
        if any(op.get_type_name() == "FakeQuantize" for op in graph.get_ops()):
            raise RuntimeError("Exception from somewhere:\nno kernel for this")
        return self.real.compile_model(graph, device, config)


@pytest.mark.parametrize("asked", ["int8", "auto"])
def test_int8_that_does_not_compile_is_replaced_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Any
) -> None:
    fake = NoInt8Core()
    monkeypatch.setattr(openvino_module, "core", lambda: fake)
    path = write_network(tmp_path / "net.onnx")
    runtime = open_runtime("openvino", path, pixels=PIXELS, precision=asked, int8=RANGES)
    rgb = colour_image((64, 64))
    (scores,) = runtime.run(rgb[None])
    assert runtime.notes[0] == "net.onnx does not compile as int8 (no kernel for this); bfloat16 is used"
    assert runtime.precision in ("bfloat16", "float32")
    np.testing.assert_allclose(scores[0], cell_scores(rgb / 255, classes=5), atol=0.05)
    assert "int8_ranges" not in runtime.describe()
