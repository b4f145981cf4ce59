"""Networks as MMDeploy exports them, with deploy.json, pipeline.json and detail.json beside: nothing is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtween.errors import ModelError
from segtween.models.records import save_record
from segtween.segmenters import open_segmenter
from segtween.segmenters.inspect import inspect_onnx, propose
from tiny_onnx import cell_scores, write_network

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
CONFIG = "configs/fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py"


def deployed(
    folder: Path, *, classes: int = 19, task: str = "Segmentor", config: str = CONFIG, resize: Any = None,
    normalise: Any = None, params: Any = None, net: str = "end2end.onnx",
) -> None:  # fmt: skip
    """The three files in the form in which MMDeploy 1.3 writes them."""
    transforms = [
        {"type": "LoadImageFromFile"},
        {"type": "Resize", "keep_ratio": False, "size": [96, 64]} | (resize or {}),
        {"type": "Normalize", "mean": MEAN, "std": STD, "to_rgb": True} | (normalise or {}),
        {"type": "ImageToTensor", "keys": ["img"]},
        {"type": "Collect", "keys": ["img"], "meta_keys": ["img_shape", "pad_shape", "ori_shape"]},
    ]
    head = {"type": "FCNHead", "num_classes": classes, "with_argmax": True} | (params or {})
    tasks = [
        {"type": "Task", "module": "Transform", "name": "Preprocess", "input": ["img"], "output": ["prep_output"],
         "transforms": transforms},
        {"name": "fcn", "type": "Task", "module": "Net", "is_batched": False, "input": ["prep_output"],
         "output": ["infer_output"], "input_map": {"img": "image"}, "output_map": {}},
        {"type": "Task", "module": "mmseg", "name": "postprocess", "component": "ResizeMask", "params": head,
         "output": ["post_output"], "input": ["prep_output", "infer_output"]},
    ]  # fmt: skip
    model = {"name": "fcn", "net": net, "weights": "", "backend": "onnxruntime", "precision": "FP32", "batch_size": 1}
    files = {
        "deploy": {"version": "1.3.1", "task": task, "models": [model | {"dynamic_shape": True}], "customs": []},
        "pipeline": {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": tasks}},
        "detail": {"version": "1.3.1", "codebase": {"task": "Segmentation", "codebase": "mmseg", "config": config}},
    }
    for name, values in files.items():
        (folder / f"{name}.json").write_text(json.dumps(values))


def argmax_network(folder: Path, **changes: Any) -> Path:
    return write_network(folder / "end2end.onnx", classes=19, last="argmax", keepdims=True, full_size=True, **changes)


def test_nothing_is_guessed_and_the_labels_are_right(tmp_path: Path) -> None:
    deployed(tmp_path)
    proposal = propose(argmax_network(tmp_path))
    record = proposal.record
    assert record.guessed == ()
    assert record.input.to_dict() == {
        "name": "image", "layout": "NCHW", "channels": "RGB", "scale": 255.0, "mean": MEAN, "std": STD,
        "multiple_of": 1, "size": "96x64", "resampling": "bilinear",
    }  # fmt: skip
    assert record.output.to_dict() == {"name": "scores", "kind": "labels", "layout": "NCHW", "stride": 1}
    assert record.labels.name == "cityscapes19"
    assert proposal.sources["input.mean"] == "pipeline.json"
    assert proposal.sources["labels"] == "detail.json"
    assert record.provenance["read_from"] == ["detail.json", "pipeline.json"]
    save_record(record, record.path)
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, 48:] = (250, 10, 120)
    expected = cell_scores((rgb - np.array(MEAN)) / STD, classes=19).argmax(axis=0)
    labels = open_segmenter(record.graph_path)(rgb).argmax(axis=0)
    away_from_the_border = np.r_[0:10, 14:24]
    np.testing.assert_array_equal(labels[:, away_from_the_border], expected[:, away_from_the_border])


def test_a_graph_of_one_size_and_images_in_blue_first(tmp_path: Path) -> None:
    deployed(tmp_path, resize={"keep_ratio": True}, normalise={"to_rgb": False})
    record = inspect_onnx(argmax_network(tmp_path, size_hw=(32, 48)))
    assert record.guessed == ()
    assert record.input.size_hw == (32, 48)
    assert record.input.channels == "BGR"


def test_a_size_that_keeps_proportions_is_no_size(tmp_path: Path) -> None:
    deployed(tmp_path, resize={"keep_ratio": True, "size": [2048, 1024]})
    record = inspect_onnx(argmax_network(tmp_path))
    assert record.guessed == ()
    assert (record.input.size_hw, record.input.multiple_of) == (None, 1)


def test_the_number_of_classes_is_known_where_the_graph_does_not_say_it(tmp_path: Path) -> None:
    deployed(tmp_path, classes=7, config="configs/mine.py")
    path = write_network(tmp_path / "end2end.onnx", classes=7, last="argmax", label_type="float", full_size=True)
    record = inspect_onnx(path)
    assert record.guessed == ("labels",), "their names stand nowhere"
    assert len(record.labels) == 7


def test_one_channel_with_its_threshold(tmp_path: Path) -> None:
    deployed(tmp_path, classes=2, config="x.py", params={"out_channels": 1, "threshold": 0.3, "with_argmax": False})
    path = write_network(tmp_path / "end2end.onnx", classes=1, last="sigmoid", normalise=True, full_size=True)
    record = inspect_onnx(path)
    assert (record.output.threshold, record.output.kind) == (0.3, "probabilities")
    assert record.guessed == ("labels",)


def test_files_of_another_network_are_not_read(tmp_path: Path) -> None:
    deployed(tmp_path, net="other.onnx")
    assert "input.mean" in inspect_onnx(argmax_network(tmp_path)).guessed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "Detector"}, "end2end.onnx is a Detector, as deploy.json says; expected a Segmentor"),
        ({"normalise": {"mean": "x"}}, "mean in pipeline.json is 'x'; expected three numbers; correct it, or take the"),
        ({"normalise": {"std": [1, 0, 1]}}, "input.std is .*; expected three numbers above 0"),
        ({"params": {"num_classes": "19"}}, "num_classes in pipeline.json is '19'; expected a whole number"),
        ({"resize": {"size": [96]}}, "Resize.size in pipeline.json is '.96.'; expected width and height"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, changes: Any, message: str) -> None:
    deployed(tmp_path, **changes)
    with pytest.raises(ModelError, match=message):
        inspect_onnx(argmax_network(tmp_path))


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    deployed(tmp_path)
    (tmp_path / "pipeline.json").write_text('{"pipeline": ')
    with pytest.raises(ModelError, match="pipeline.json is not YAML"):
        inspect_onnx(argmax_network(tmp_path))
