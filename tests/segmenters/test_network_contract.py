"""Networks of each kind, held to the contract of every segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino
from segmenter_contract import SegmenterContract
from test_merging import queries, yolo

from segtween.models.records import record_from_dict, save_record
from segtween.segmenters.inspect import inspect_onnx
from tiny_onnx import write_network


def with_sidecar(path: Path, *, window_stride: str | None = None, **given: Any) -> Path:
    """The file as `inspect` proposes it."""
    record = inspect_onnx(path, **given)
    values = record.to_dict()
    if window_stride is not None:
        values["input"]["window_stride"] = window_stride
    save_record(record_from_dict(values, path=record.path), record.path)
    return path


class TestOneChannel(SegmenterContract):
    form = "network"

    def model(self, folder: Path) -> Any:
        return with_sidecar(write_network(folder / "my.onnx", classes=1, last="sigmoid"))


class TestMask(SegmenterContract):
    form = "network"

    def model(self, folder: Path) -> Any:
        return with_sidecar(write_network(folder / "my.onnx", classes=1, last="mask", full_size=True))


class TestOtherInputs(SegmenterContract):
    form = "network"

    def model(self, folder: Path) -> Any:
        return with_sidecar(write_network(folder / "my.onnx", size_input=True), fixed={"size": [1, 3]})


class TestWindows(SegmenterContract):
    form = "network"

    def model(self, folder: Path) -> Any:
        return with_sidecar(write_network(folder / "my.onnx", size_hw=(32, 48)), window_stride="24x20")


class TestInstances(SegmenterContract):
    form = "network"

    def model(self, folder: Path) -> Any:
        return with_sidecar(yolo(folder / "my.onnx"))


class TestQueries(SegmenterContract):
    form = "network"

    def model(self, folder: Path) -> Any:
        return with_sidecar(queries(folder / "my.onnx"), output_kind="maskformer")


class TestOpenVinoFile(SegmenterContract):
    form = "network"

    def model(self, folder: Path) -> Any:
        graph = openvino.Core().read_model(write_network(folder / "net.onnx"))
        openvino.save_model(graph, folder / "my.xml", compress_to_fp16=False)
        return with_sidecar(folder / "my.xml")
