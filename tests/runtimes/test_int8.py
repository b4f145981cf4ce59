"""int8: the rounding is that of the ranges, the kernels are int8, and what cannot be is said."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import openvino
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from segtween.errors import ModelError, SettingError
from segtween.models.int8 import Int8Record
from segtween.models.records import InputRecord
from segtween.runtimes import open_runtime
from segtween.runtimes import openvino as openvino_module
from segtween.runtimes.base import INT8_OF_7_BITS, RuntimeOptions
from segtween.runtimes.openvino import (
    OpenVinoRuntime,
    has_byte_dot_products,
    int8_is_faster,
    int8_weight_bits,
    read_graph,
)
from segtween.runtimes.quantise import (
    convolution_inputs,
    folded,
    quantised,
    range_outputs,
    weights_digest,
    with_exact_zero,
)
from tiny_onnx import cell_scores, colour_image, colour_weights, save_graph, write_network

PIXELS = InputRecord("image", scale=1, multiple_of=4)
RANGES = Int8Record({"image": (0.0, 1.0)})
INT8, AUTO = RuntimeOptions(precision="int8"), RuntimeOptions(precision="auto")


class Form(NamedTuple):
    """Bits of the weights, and how much of a range its values take: 1 / `end`."""

    bits: int
    end: float

    @property
    def precision(self) -> str:
        return {8: "int8", 7: INT8_OF_7_BITS}[self.bits]


def take(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_module, "int8_weight_bits", lambda: form.bits)
    monkeypatch.setattr(openvino_module, "int8_is_faster", lambda _: form.bits > 0)


@pytest.fixture
def _on_any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """int8 has the form for dot products everywhere. For tests that look at no values, or whose sums overflow nowhere:
    see `form`."""
    take(Form(8, 1.0), monkeypatch)


ANYWHERE = pytest.mark.usefixtures("_on_any_processor")


@pytest.fixture(params=[Form(8, 1.0), Form(8, 2.0), Form(7, 1.0)], ids=["full range", "half range", "7 bits"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Form:
    """With 8 bits all of a range only where sums are exact: two products can exceed 16 bits, 2 x 255 x 127 > 32767.

    Elsewhere half of it: values stay in the lower 129 of 256 steps, 2 x 128 x 127 < 32767, which no processor's kernels
    overflow. Nor do they with 7 bits: 2 x 255 x 63 < 32767.
    """
    found: Form = request.param
    if found == Form(8, 1.0) and int8_weight_bits() != 8:
        pytest.skip("sums of bytes overflow on this processor; half the range is tried, and weights of 7 bits")
    take(found, monkeypatch)
    return found


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
def test_int8_equals_rounding_by_hand(tmp_path: Path, dtype: str, form: Form) -> None:
    path, rgb = write_network(tmp_path / "net.onnx", dtype=dtype), colour_image((16, 24))
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=ranges_of(path, (0.0, form.end)), options=INT8)
    (scores,) = runtime.run(rgb[None])
    expected = scores_by_hand(steps_of(rgb / 255, 0.0, form.end, 256), weight_levels=2**form.bits - 1)
    np.testing.assert_allclose(scores[0], expected, atol=0.02)  # sums are written as bfloat16 where there is any
    assert runtime.precision == form.precision
    assert runtime.notes == []


def test_7_bits_equal_rounding_by_hand_on_both_sides_of_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(Form(7, 1.0), monkeypatch)
    path, rgb = write_network(tmp_path / "net.onnx"), colour_image((16, 24))
    centred = replace(PIXELS, mean=(0.5, 0.5, 0.5))
    runtime = open_runtime("openvino", path, pixels=centred, int8=ranges_of(path, (-0.5, 0.5)), options=INT8)
    (scores,) = runtime.run(rgb[None])
    expected = scores_by_hand(steps_of(rgb / 255 - 0.5, *with_exact_zero(-0.5, 0.5), 256), weight_levels=127)
    np.testing.assert_allclose(scores[0], expected, atol=0.02)


def scores_by_hand(image: Any, *, weight_levels: int) -> Any:
    """What `write_network` computes of an image (16, 24, 3), with its weights rounded."""
    weights, bias = colour_weights(5)
    largest = np.abs(weights).max(axis=1, keepdims=True)
    rounded = steps_of(weights, -largest, largest, weight_levels)
    cells = image.reshape(4, 4, 6, 4, 3).mean(axis=(1, 3))
    return np.einsum("ck,hwk->chw", rounded, cells) + bias[:, None, None]


def ranges_of(path: Path, limits: tuple[float, float]) -> Int8Record:
    """The same range for every tensor that a convolution sees."""
    return Int8Record({tensor.name: limits for tensor in convolution_inputs(folded(read_graph(path)))})


def test_padding_and_pooling_come_after_the_rounding(tmp_path: Path) -> None:
    graph = folded(read_graph(write_deep_network(tmp_path / "deep.onnx")))
    seen = convolution_inputs(graph)
    assert [tensor.name for tensor in seen] == ["image", "b", "f"]
    rounded = quantised(graph, Int8Record({"b": (0.0, 4.0)}), name="deep")
    before = {op.get_friendly_name(): op.input_value(0) for op in rounded.get_ordered_ops() if op.get_input_size()}
    assert before["c"].get_node().get_type_name() == "FakeQuantize"
    constants = [op for op in rounded.get_ordered_ops() if op.get_type_name() == "Constant"]
    small = [list(op.shape) for op in constants if op.get_element_type() == openvino.Type.i8]
    assert small == [[8, 1, 1, 3, 3]], "of the one convolution that sees it"
    assert sum(op.get_type_name() == "FakeQuantize" for op in rounded.get_ordered_ops()) == 1
    assert not [op for op in graph.get_ordered_ops() if op.get_type_name() == "FakeQuantize"], "the argument stays"


def test_every_convolution_runs_in_int8_close_to_float32(tmp_path: Path, form: Form) -> None:
    path = write_deep_network(tmp_path / "deep.onnx")
    meter = OpenVinoRuntime(path, pixels=PIXELS, change=range_outputs)
    rgb = colour_image((64, 96))
    low, high = np.reshape([float(v) for v in meter.run(rgb[None])], (-1, 2)).T
    assert [low[0], high[0]] == pytest.approx([rgb.min() / 255, rgb.max() / 255])
    high = low + form.end * (high - low)
    record = Int8Record(
        {name.removesuffix(" low"): ends for name, *ends in zip(meter.outputs[::2], low, high, strict=True)}
    )
    exact = open_runtime("openvino", path, pixels=PIXELS).run(rgb[None])[0]
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=record, options=INT8)
    rounded = runtime.run(rgb[None])[0]
    assert np.abs(rounded - exact).mean() < 0.02 * form.end * (256 / 2**form.bits) * exact.std()
    layers = [op.get_rt_info() for op in runtime._latest().get_runtime_model().get_ops()]
    used = [info["runtimePrecision"].astype(str) for info in layers if info["layerType"].astype(str) == "Convolution"]
    assert len(used) == 3
    assert set(used) <= {"u8", "i8"}


def test_channels_of_nothing_stay_nothing(tmp_path: Path, form: Form) -> None:
    path = write_network(tmp_path / "net.onnx")
    values = np.zeros((5, 3, 4, 4), np.float32)
    values[1], values[2] = 1e-42, 0.5
    model = onnx.load(path)
    kernel = next(t for t in model.graph.initializer if t.name == "kernel")
    kernel.CopyFrom(numpy_helper.from_array(values, "kernel"))
    onnx.save(model, path)
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=ranges_of(path, (0.0, form.end)), options=INT8)
    (scores,) = runtime.run(np.full((1, 8, 8, 3), 255, np.uint8))
    expected = values.sum(axis=(1, 2, 3)) + colour_weights(5)[1]
    np.testing.assert_allclose(scores[0, :, 0, 0], expected, rtol=0.01, atol=0.02)


@ANYWHERE
def test_what_int8_did_is_in_the_record(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    said = []
    for limits in ((0.0, 1.0), (0.0, 2.0)):
        runtime = open_runtime("openvino", path, pixels=PIXELS, int8=ranges_of(path, limits), options=INT8)
        runtime.run(colour_image((8, 8))[None])
        said.append(runtime.describe())
    assert said[0]["precision"] == "int8"
    assert said[0]["int8_beside"] in ("bfloat16", "float32")
    assert said[0]["int8_ranges"] != said[1]["int8_ranges"]


# ── auto, and what cannot be ──────────────────────────────────────────────────────────────────


@ANYWHERE
def test_auto_is_int8_where_there_are_ranges(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    rgb = colour_image((64, 64))[None]
    for given_ranges, expected in ((RANGES, {"int8"}), (None, {"bfloat16", "float32"})):
        runtime = open_runtime("openvino", path, pixels=PIXELS, int8=given_ranges, options=AUTO)
        runtime.run(rgb)
        assert runtime.precision in expected
        assert runtime.notes == []


def test_this_processor_gets_int8_or_is_told_why_not(tmp_path: Path) -> None:
    path, rgb = write_network(tmp_path / "net.onnx"), colour_image((64, 64))
    bits = int8_weight_bits()
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES, options=AUTO)
    (scores,) = runtime.run(rgb[None])
    np.testing.assert_allclose(scores[0], cell_scores(rgb / 255, classes=5), atol=0.05)
    assert runtime.notes == []
    assert runtime.precision.startswith("int8") == (bits > 0 and int8_is_faster(bits))
    if not bits:
        with pytest.raises(SettingError, match=r"^precision int8 on this processor, where sums of bytes overflow"):
            open_runtime("openvino", path, pixels=PIXELS, int8=RANGES, options=INT8)
        return
    named = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES, options=INT8)
    np.testing.assert_allclose(named.run(rgb[None])[0][0], cell_scores(rgb / 255, classes=5), atol=0.05)
    assert named.precision == Form(bits, 1.0).precision


@pytest.mark.parametrize("is_faster", [True, False])
def test_auto_takes_7_bits_where_they_are_faster_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_faster: bool
) -> None:
    take(Form(7, 1.0), monkeypatch)
    monkeypatch.setattr(openvino_module, "int8_is_faster", lambda bits: is_faster and bits == 7)
    path, rgb = write_network(tmp_path / "net.onnx"), colour_image((64, 64))
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES, options=AUTO)
    runtime.run(rgb[None])
    assert runtime.precision in ({"int8 (7-bit weights)"} if is_faster else {"bfloat16", "float32"})
    assert ("int8_ranges" in runtime.describe()) == is_faster
    named = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES, options=INT8)
    named.run(rgb[None])
    assert named.describe()["precision"] == "int8 (7-bit weights)", "asked for by name: slower or not"


def test_float32_stays_what_it_is_beside_ranges(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    rgb = colour_image((16, 16))
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES)
    np.testing.assert_allclose(runtime.run(rgb[None])[0][0], cell_scores(rgb / 255, classes=5), atol=1e-4)
    assert "int8_ranges" not in runtime.describe()


def test_a_processor_without_int8_kernels_is_refused_or_left_to_another_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(Form(0, 1.0), monkeypatch)
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(SettingError, match=r"precision int8 on this processor.*; expected a processor .* AVX2, or Arm"):
        open_runtime("openvino", path, int8=RANGES, options=INT8)
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES, options=AUTO)
    runtime.run(colour_image((64, 64))[None])
    assert runtime.precision in ("bfloat16", "float32")


X86 = platform.machine().lower() in ("x86_64", "amd64")
VARIABLES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


def answer_with(asked: str = "int8_weight_bits", **held: str) -> int:
    """Of a process of its own: oneDNN reads its variables once."""
    code = f"from segtween.runtimes.openvino import {asked}; print(int({asked}()))"
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run([sys.executable, "-c", code], env=kept | held, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not X86, reason="the variables name instruction sets of x86")
@pytest.mark.parametrize("variable", VARIABLES)
def test_an_instruction_set_that_is_held_back_counts_as_missing(variable: str) -> None:
    assert answer_with(**{variable: "AVX2"}) == 7


@pytest.mark.skipif(not X86, reason="the variables name instruction sets of x86")
def test_bfloat16_is_not_computed_in_where_it_is_held_back() -> None:
    """With it, the default of a processor that has it, sums would be zeros and NaN."""
    assert answer_with("bfloat16_is_right", ONEDNN_MAX_CPU_ISA="AVX2") == (not has_bfloat16())
    assert answer_with("bfloat16_is_right") == 1


def has_bfloat16() -> bool:
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("asked", ["auto", "bfloat16", "int8"])
def test_where_bfloat16_is_wrong_float32_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Any
) -> None:
    monkeypatch.setattr(openvino_module, "bfloat16_is_right", lambda: False)
    take(Form(7, 2.0), monkeypatch)
    path = write_network(tmp_path / "net.onnx")
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES, options=RuntimeOptions(precision=asked))
    runtime.run(colour_image((64, 64))[None])
    told = "net.onnx does not compile as bfloat16 (its sums are wrong with the instructions that OpenVINO may use here)"
    assert runtime.notes == ([f"{told}; float32 is used"] if asked == "bfloat16" else [])
    beside = runtime.precision if asked == "bfloat16" else runtime.describe()["int8_beside"]
    assert beside == "float32"


@pytest.mark.skipif(not (X86 and Path("/proc/cpuinfo").exists()), reason="features as Linux lists them on x86")
def test_weights_have_8_bits_where_the_processor_has_dot_products_of_bytes() -> None:
    features = set(Path("/proc/cpuinfo").read_text().split())
    has_them = not features.isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8"})
    assert has_byte_dot_products() == has_them
    assert answer_with() == answer_with(ONEDNN_MAX_CPU_ISA="NO_SUCH_SET") == (8 if has_them else 7)


def test_kernels_that_do_not_compile_or_are_not_int8_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, ask, faster = NoInt8Core(), int8_weight_bits.__wrapped__, int8_is_faster.__wrapped__
    monkeypatch.setattr(openvino_module, "core", lambda: fake)
    assert ask() == 0
    assert faster(7) is False
    monkeypatch.undo()
    monkeypatch.setattr(openvino_module, "quantised", lambda graph, *_, **__: graph)
    assert ask() == 0, "the right sum, but in floating point"


@pytest.mark.parametrize(("float32_takes", "expected"), [(1.2, False), (1.3, True)])
def test_int8_is_taken_where_a_convolution_is_faster_by_a_quarter(
    monkeypatch: pytest.MonkeyPatch, float32_takes: float, expected: bool
) -> None:
    times = chain.from_iterable((0, float32_takes + slow, 0, 1 + slow) for slow in (5.0, 0.0, 3.0, *[9.0] * 6))
    monkeypatch.setattr(openvino_module, "_clock", times.__next__)
    assert int8_is_faster.__wrapped__(7) is expected


@pytest.mark.parametrize("flag", ["avx512vnni", "avxvnni", "amx-int8", "dotprod"])
def test_dot_products_of_bytes_decide_without_a_measurement(monkeypatch: pytest.MonkeyPatch, flag: str) -> None:
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: {"avx2": True, flag: True})
    monkeypatch.setattr(openvino_module, "core", None)
    assert int8_is_faster.__wrapped__(8) is True
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: {"avx2": True, flag: False})
    assert has_byte_dot_products() is False


@ANYWHERE
def test_a_network_without_ranges_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="network 'net' was never calibrated for int8; expected .*; segtween export"):
        open_runtime("openvino", path, options=INT8)
    with pytest.raises(SettingError, match="own number types; expected precision float32.*openvino' for int8"):
        open_runtime("onnxruntime", path, int8=RANGES, options=INT8)


@ANYWHERE
def test_ranges_of_other_weights_are_refused_or_said(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    stale = Int8Record({"image": (0.0, 1.0)}, weights="0" * 16)
    with pytest.raises(
        ModelError, match=r"int8 ranges of net.onnx were measured with other weights; expected .*0000; cal"
    ):
        open_runtime("openvino", path, pixels=PIXELS, int8=stale, options=INT8)
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=stale, options=AUTO)
    runtime.run(colour_image((64, 64))[None])
    assert len(runtime.notes) == 1
    assert runtime.notes[0].startswith("int8 is not used: the int8 ranges of net.onnx were measured with other weights")
    foreign = Int8Record({"elsewhere": (0.0, 1.0)})
    with pytest.raises(ModelError, match="int8 ranges of net.onnx name none of its tensors; expected ranges of this"):
        open_runtime("openvino", path, pixels=PIXELS, int8=foreign, options=INT8)


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


@ANYWHERE
@pytest.mark.parametrize("asked", ["int8", "auto"])
def test_int8_that_does_not_compile_is_replaced_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Any
) -> None:
    fake = NoInt8Core()
    monkeypatch.setattr(openvino_module, "core", lambda: fake)
    path = write_network(tmp_path / "net.onnx")
    runtime = open_runtime("openvino", path, pixels=PIXELS, int8=RANGES, options=RuntimeOptions(precision=asked))
    rgb = colour_image((64, 64))
    (scores,) = runtime.run(rgb[None])
    assert runtime.notes[0] == "net.onnx does not compile as int8 (no kernel for this); bfloat16 is used"
    assert runtime.precision in ("bfloat16", "float32")
    np.testing.assert_allclose(scores[0], cell_scores(rgb / 255, classes=5), atol=0.05)
    assert "int8_ranges" not in runtime.describe()
