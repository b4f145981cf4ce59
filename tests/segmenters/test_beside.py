"""Files beside a network's file that are not what their library writes: one line says which, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segtween.errors import ModelError
from segtween.segmenters.inspect import inspect_onnx, propose
from tiny_onnx import write_network

DEPLOYED: dict[str, Any] = {"models": [{"net": "net.onnx"}], "task": "Segmentor"}
PLAIN = {"do_normalize": False}


def written(folder: Path, **files: Any) -> Path:
    for name, values in files.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
    return write_network(folder / "net.onnx", classes=5)


@pytest.mark.parametrize(
    ("deploy", "tasks", "message"),
    [
        ({"models": 5}, [], "models in deploy.json is '5'; expected a list"),
        (DEPLOYED, 5, r"pipeline\.tasks in pipeline.json is '5'; expected a list"),
        (DEPLOYED, [{"module": "Transform", "transforms": 5}], "transforms in pipeline.json is '5'; expected a list"),
        (
            DEPLOYED,
            [{"module": "Transform", "transforms": [{"type": "Resize", "size": [0, 0], "keep_ratio": False}]}],
            r"Resize\.size in pipeline.json is '0x0'; expected width and height from 1 to 8192; correct it, or take",
        ),
    ],
)
def test_mmdeploy(tmp_path: Path, deploy: Any, tasks: Any, message: str) -> None:
    path = written(tmp_path, deploy=deploy, pipeline={"pipeline": {"tasks": tasks}})
    with pytest.raises(ModelError, match=message):
        inspect_onnx(path)


@pytest.mark.parametrize(
    "tasks",
    [
        [5, {"module": ["a"]}],
        [{"module": "Transform", "transforms": [{"type": ["a"]}, 5]}],
        [{"module": "mmseg", "params": 5}],
        [{"module": "Net", "input_map": {"img": 5}}],
    ],
)
def test_what_says_nothing_is_passed_over(tmp_path: Path, tasks: Any) -> None:
    proposal = propose(written(tmp_path, deploy=DEPLOYED, pipeline={"pipeline": {"tasks": tasks}}))
    assert proposal.sources["input.multiple_of"] == "pipeline.json"
    assert proposal.record.input.name == "image"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"size": {"height": -5, "width": 0}}, "size in preprocessor_config.json is '0x-5'; expected width and height"),
        ({"size": {"height": 9, "width": True}}, "size in preprocessor_config.json is 'Truex9'; expected width and"),
        ({"size": {"height": 100000, "width": 9}}, "size in preprocessor_config.json is '9x100000'; expected width"),
    ],
)
def test_optimum(tmp_path: Path, said: Any, message: str) -> None:
    path = written(tmp_path, config={"model_type": "segformer"}, preprocessor_config=PLAIN | said)
    with pytest.raises(ModelError, match=message):
        inspect_onnx(path)


def test_class_names_that_are_not_numbered(tmp_path: Path) -> None:
    path = written(tmp_path, config={"model_type": "segformer", "id2label": {"5": "a"}})
    with pytest.raises(ModelError, match="id2label in config.json is .*'5': 'a'.*; expected class names, numbered"):
        inspect_onnx(path)
