"""Baselines: what a user would pick instead, whole pipelines timed in the same run, frame in, labels out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from segtween.build import Processor, build_every_frame
from segtween.errors import ModelError, SettingError, check_known, from_extra
from segtween.interfaces import Segmenter
from segtween.models.records import ModelRecord
from segtween.models.weights import load_weights
from segtween.runtimes.base import Precision
from segtween.segmenters.network import Scale, input_size, open_network
from segtween.types import Labels, Rgb, SizeHW


class Baseline(Protocol):
    """Labels of the next frame; `is_key` where a method with key frames has one."""

    def __call__(self, rgb: Rgb, *, is_key: bool) -> Labels: ...


@dataclass(frozen=True)
class BaselineKind:
    """One entry of `BASELINES`: what it is in words, how it is opened, and whether it has key frames."""

    title: str
    open: Callable[[Segmenter, SizeHW, Processor], Baseline]
    has_keys: bool = False


class Runs:
    """The plain network of an engine, on every frame."""

    def __init__(self, segmenter: Segmenter, backend: Processor) -> None:
        self._engine = build_every_frame(segmenter, backend=backend)

    def __call__(self, rgb: Rgb, *, is_key: bool) -> Labels:  # noqa: ARG002
        return self._engine.step(rgb).labels


class Repeats(Runs):
    """The plain network on key frames; in between the last labels again."""

    _last: Labels | None = None

    def __call__(self, rgb: Rgb, *, is_key: bool) -> Labels:
        if is_key or self._last is None:
            self._last = super().__call__(rgb, is_key=True)
        return self._last


def _in_runtime(runtime: str, precision: Precision) -> Callable[[Segmenter, SizeHW, Processor], Baseline]:
    def opened(segmenter: Segmenter, size_hw: SizeHW, backend: Processor) -> Baseline:  # noqa: ARG001
        record, scale = _record(segmenter)
        network = open_network(
            record,
            runtime=runtime,
            precision=precision,
            threads=backend.rows.threads,
            scale=scale,
            label_set=segmenter.labels,
        )
        return Runs(network, backend)

    return opened


def _in_torch(segmenter: Segmenter, size_hw: SizeHW, backend: Processor, *, compiled: bool = False) -> Any:
    return in_torch(segmenter, size_hw, threads=backend.rows.threads, compiled=compiled)


def in_torch(segmenter: Any, size_hw: SizeHW, *, threads: int, compiled: bool = False, device: Any = "cpu") -> Any:
    """The segmenter's network in plain torch on every frame, `plain_torch.EveryFrame`; ModelError where there is none
    of it, MissingExtraError without torch."""
    from segtween.networks import NETWORKS

    from_extra("torch", "a pipeline in plain torch", extra="train")
    from segtween.networks.plain_torch import EveryFrame

    record, scale = _record(segmenter)
    name = str(record.provenance.get("network"))
    if name not in NETWORKS:
        raise ModelError(
            f"{record.name} has no definition in torch here",
            expected=f"a model of {', '.join(NETWORKS)}",
            do="give another model, or leave reference, torch and torch-compile out",
        )
    return EveryFrame(
        name,
        classes=len(segmenter.labels),
        weights=load_weights(record),
        input_hw=input_size(record, size_hw, scale=scale),
        threads=threads,
        compiled=compiled,
        device=device,
    )


def _reference(flow: str) -> Callable[[Segmenter, SizeHW, Processor], Baseline]:
    def opened(segmenter: Segmenter, size_hw: SizeHW, backend: Processor) -> Baseline:
        every = _in_torch(segmenter, size_hw, backend)
        from segtween.networks.plain_torch import ReferencePipeline

        return ReferencePipeline(every, classes=len(segmenter.labels), flow=flow)

    return opened


BASELINES: dict[str, BaselineKind] = {
    "reference": BaselineKind("SwNet-seq in plain torch, light flow", _reference("flow-light"), has_keys=True),
    "reference-flownets": BaselineKind("SwNet-seq in plain torch, FlowNetS", _reference("flownets"), has_keys=True),
    "torch": BaselineKind("plain torch", _in_torch),
    "torch-compile": BaselineKind("torch.compile", lambda *given: _in_torch(*given, compiled=True)),
    "onnxruntime": BaselineKind("ONNX Runtime float32", _in_runtime("onnxruntime", "float32")),
    "openvino": BaselineKind("OpenVINO float32", _in_runtime("openvino", "float32")),
    "openvino-bfloat16": BaselineKind("OpenVINO bfloat16", _in_runtime("openvino", "bfloat16")),
    "openvino-int8": BaselineKind("OpenVINO int8", _in_runtime("openvino", "int8")),
    "repeat": BaselineKind(
        "the last labels again", lambda segmenter, _, backend: Repeats(segmenter, backend), has_keys=True
    ),
}


def check_baselines(names: Sequence[str], *, among: Collection[str] = BASELINES.keys(), where: str = "") -> None:
    """SettingError for an unknown name, which says the nearest."""
    for name in names:
        check_known(f"against {name!r}{where}", name, among)


def _record(segmenter: Any) -> tuple[ModelRecord, Scale]:
    if not isinstance(getattr(segmenter, "record", None), ModelRecord):
        raise SettingError(
            f"other ways to run {segmenter.describe().get('name', 'a function')}",
            expected="a network, of which there is a graph",
            do="give a model NAME or FILE.onnx, or against repeat alone",
        )
    return segmenter.record, segmenter.scale
