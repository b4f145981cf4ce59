"""Proposed sidecars: what is read, what is guessed, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from segtween.errors import ModelError
from segtween.models.records import load_record, save_record
from segtween.segmenters import open_segmenter
from segtween.segmenters.inspect import inspect_onnx, propose
from tiny_onnx import cell_scores, colour_image, save_graph, write_network

FLOAT = TensorProto.FLOAT
IMAGE = ("image", FLOAT, [1, 3, "h", "w"])
ALWAYS = {"input.channels", "labels"}
NORMAL = {"input.scale", "input.mean", "input.std"}


def test_a_plain_network(tmp_path: Path) -> None:
    record = inspect_onnx(write_network(tmp_path / "my.onnx", classes=19))
    assert record.to_dict() == {
        "name": "my",
        "graph": "my.onnx",
        "input": {
            "name": "image",
            "layout": "NCHW",
            "channels": "RGB",
            "scale": 1.0,
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "multiple_of": 32,
            "size": None,
        },
        "output": {"name": "scores", "kind": "logits", "layout": "NCHW", "stride": 4},
        "labels": "cityscapes19",
        "provenance": {"source": "my.onnx"},
        "guessed": list(record.guessed),
    }
    assert set(record.guessed) == ALWAYS | NORMAL | {"input.multiple_of"}


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"last": "argmax"}, {"kind": "labels", "layout": "NHW", "stride": 4}),
        ({"last": "argmax", "keepdims": True}, {"kind": "labels", "layout": "NCHW", "stride": 4}),
        (
            {"last": "argmax", "label_type": "int32", "full_size": True},
            {"kind": "labels", "layout": "NHW", "stride": 1},
        ),
        ({"last": "argmax", "label_type": "uint8"}, {"kind": "labels", "layout": "NHW"}),
        ({"last": "argmax", "label_type": "float"}, {"kind": "labels", "layout": "NHW"}),
        ({"full_size": True}, {"kind": "logits", "layout": "NCHW", "stride": 1}),
        ({"output_layout": "NHWC"}, {"kind": "logits", "layout": "NHWC", "stride": 4}),
        ({"layout": "NHWC", "output_layout": "NHWC", "size_hw": (64, 64)}, {"layout": "NHWC", "stride": 4}),
        ({"last": "softmax"}, {"kind": "probabilities", "layout": "NCHW", "stride": 4}),
        ({"last": "softmax", "output_layout": "NHWC", "full_size": True}, {"kind": "probabilities", "stride": 1}),
        ({"extra": True}, {"name": "scores", "kind": "logits", "stride": 4}),
    ],
)
@pytest.mark.parametrize("classes", [5, 11])
def test_the_output_is_read_from_what_it_answers(tmp_path: Path, graph: Any, expected: Any, classes: int) -> None:
    record = inspect_onnx(write_network(tmp_path / "my.onnx", classes=classes, **graph))
    assert {key: record.output.to_dict()[key] for key in expected} == expected
    assert record.labels.name == ("camvid11" if classes == 11 else "classes5")
    assert ("output.name" in record.guessed) == ("extra" in graph)


@pytest.mark.parametrize(
    ("graph", "expected", "guessed"),
    [
        ({"dtype": "uint8"}, {"scale": 255.0, "mean": [0.0] * 3, "std": [1.0] * 3}, {"input.multiple_of"}),
        ({"dtype": "uint8", "layout": "NHWC"}, {"layout": "NHWC", "scale": 255.0}, {"input.multiple_of"}),
        ({"normalise": True}, {"scale": 255.0, "mean": [0.0] * 3, "std": [1.0] * 3}, NORMAL | {"input.multiple_of"}),
        ({"dtype": "float16"}, {"scale": 1.0, "mean": [0.485, 0.456, 0.406]}, NORMAL | {"input.multiple_of"}),
        ({"size_hw": (64, 96)}, {"size": "96x64", "multiple_of": 1}, NORMAL),
        ({"size_hw": (64, 96), "layout": "NHWC"}, {"size": "96x64", "layout": "NHWC"}, NORMAL),
    ],
)
def test_the_input_is_read_from_the_graph(tmp_path: Path, graph: Any, expected: Any, guessed: set[str]) -> None:
    record = inspect_onnx(write_network(tmp_path / "my.onnx", **graph))
    assert {key: record.input.to_dict()[key] for key in expected} == expected
    assert set(record.guessed) == ALWAYS | guessed


@pytest.mark.parametrize(("constant", "scale"), [(123.7, 255.0), (0.485, 1.0)])
def test_the_first_constant_tells_the_range_of_pixels(tmp_path: Path, constant: float, scale: float) -> None:
    weight = numpy_helper.from_array(np.ones((5, 3, 1, 1), np.float32), "w")
    mean = numpy_helper.from_array(np.full((1, 3, 1, 1), constant, np.float32), "mean")
    nodes = [
        helper.make_node("Shape", ["image"], ["size"]),
        helper.make_node("Sub", ["image", "mean"], ["x"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
        helper.make_node("Cast", ["size"], ["size_as_float"], to=FLOAT),
    ]
    outputs = [("y", FLOAT, None), ("size_as_float", FLOAT, None)]
    path = save_graph(tmp_path / "my.onnx", nodes, [IMAGE], outputs, [weight, mean])
    assert inspect_onnx(path).input.scale == scale


def test_an_input_called_bgr_is_taken_at_its_word(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((5, 3, 1, 1), np.float32), "w")
    nodes = [helper.make_node("Conv", ["bgr_image", "w"], ["y"])]
    path = save_graph(tmp_path / "my.onnx", nodes, [("bgr_image", *IMAGE[1:])], [("y", FLOAT, None)], [weight])
    assert inspect_onnx(path).input.channels == "BGR"


def test_the_main_output_is_chosen_among_several(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(7, 3, 1, 1)).astype(np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["aux_scores"]),
        helper.make_node("AveragePool", ["aux_scores"], ["main"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("ArgMax", ["main"], ["labels"], axis=1, keepdims=0),
    ]
    outputs = [("aux_scores", FLOAT, None), ("labels", TensorProto.INT64, None), ("main", FLOAT, None)]
    record = inspect_onnx(save_graph(tmp_path / "my.onnx", nodes, [IMAGE], outputs, [weight]))
    assert (record.output.name, record.output.kind, record.output.stride) == ("main", "logits", 2)
    assert "output.name" in record.guessed


# ── Writing ───────────────────────────────────────────────────────────────────────────────────


def test_a_written_sidecar_makes_the_file_a_model(tmp_path: Path) -> None:
    path = write_network(tmp_path / "my.onnx", dtype="uint8")
    record = inspect_onnx(path)
    assert record.path == tmp_path / "my.onnx.yaml"
    save_record(record, record.path)
    assert load_record(record.path) == record
    rgb = colour_image((64, 96))
    np.testing.assert_allclose(open_segmenter(path)(rgb), cell_scores(rgb, classes=5), rtol=1e-4, atol=1e-3)


def test_the_summary_says_what_was_guessed(tmp_path: Path) -> None:
    rows = propose(write_network(tmp_path / "my.onnx")).rows()
    assert ("input.mean", "0.485, 0.456, 0.406", "guessed") in rows
    assert ("input.size", "any", "graph") in rows
    assert ("output.stride", "4", "trial run") in rows
    assert ("labels", "classes5: 5 classes", "guessed") in rows


# ── What is not segmentation ──────────────────────────────────────────────────────────────────


def graph_of(path: Path, operation: str, **attributes: Any) -> Path:
    nodes = [helper.make_node(operation, ["image"], ["y"], **attributes)]
    return save_graph(path, nodes, [IMAGE], [("y", FLOAT, None)])


def classifier(path: Path) -> Path:
    weight = numpy_helper.from_array(np.ones((3, 1000), np.float32), "w")
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["y"]),
    ]
    return save_graph(path, nodes, [IMAGE], [("y", FLOAT, None)], [weight])


def detector(path: Path) -> Path:
    weight = numpy_helper.from_array(np.ones((84, 3, 32, 32), np.float32), "w")
    shape = numpy_helper.from_array(np.array([1, 84, -1]), "shape")
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["x"], strides=[32, 32]),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    return save_graph(path, nodes, [IMAGE], [("y", FLOAT, None)], [weight, shape])


def two_inputs(path: Path) -> Path:
    nodes = [helper.make_node("Concat", ["image", "other"], ["y"], axis=1)]
    return save_graph(path, nodes, [IMAGE, ("other", *IMAGE[1:])], [("y", FLOAT, None)])


def other_input(path: Path, *, kind: int = FLOAT, shape: Any) -> Path:
    nodes = [helper.make_node("Identity", ["image"], ["y"])]
    return save_graph(path, nodes, [("image", kind, shape)], [("y", kind, None)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            classifier,
            r"my.onnx answers with y \(1, 1000\): a classifier; expected scores \(1, classes, h, w\) or labels; ex",
        ),
        (detector, r"answers with y \(1, 84, 80\): a detector of boxes, or tokens; expected scores"),
        (two_inputs, r"has 2 inputs \(image, other\); expected one image input"),
        (
            lambda p: other_input(p, shape=[1, 1, 64, 64]),
            r"input of shape \(1, 1, 64, 64\); expected an image of three",
        ),
        (
            lambda p: other_input(p, shape=[1, 6, "h", "w"]),
            r"input of shape \(1, 6, \?, \?\); expected an image of three",
        ),
        (
            lambda p: other_input(p, shape=[3, 64, 64]),
            r"input of shape \(3, 64, 64\); expected an image \(1, 3, H, W\)",
        ),
        (lambda p: other_input(p, shape=[4, 3, 64, 64]), "takes 4 images at once; expected one image"),
        (
            lambda p: other_input(p, kind=TensorProto.INT64, shape=[1, 3, 8, 8]),
            "takes i64 values; expected an image of float32, float16 or uint8",
        ),
    ],
    ids=["classifier", "detector", "two inputs", "grey", "six channels", "no batch", "batch of 4", "tokens"],
)
def test_other_networks_are_refused(tmp_path: Path, make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        inspect_onnx(make(tmp_path / "my.onnx"))


def test_a_graph_that_only_seems_to_take_any_size_is_refused(tmp_path: Path) -> None:
    shape = numpy_helper.from_array(np.array([1, 3, 64, 64]), "shape")
    nodes = [helper.make_node("Reshape", ["image", "shape"], ["y"])]
    path = save_graph(tmp_path / "my.onnx", nodes, [IMAGE], [("y", FLOAT, None)], [shape])
    with pytest.raises(
        ModelError, match=r"my\.onnx does not run on an image of 320x256 \(.*\); expected a network for im"
    ):
        inspect_onnx(path)


def test_a_text_file_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my.onnx").write_text("not a network")
    with pytest.raises(ModelError, match=r"my\.onnx cannot be read as ONNX"):
        inspect_onnx(tmp_path / "my.onnx")
    assert capfd.readouterr() == ("", "")
