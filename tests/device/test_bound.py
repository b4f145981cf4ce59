"""Networks of ONNX files on a device: inputs and outputs bound to tensors give what the processor's path gives.

The contract is that of ONNX Runtime's IO binding, tried with its execution provider for the processor; where a card
or its execution provider is missing, the network runs on the processor and says why, or is refused.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segtween.build import Processor, build_engine, open_backend
from segtween.errors import ModelError, ScoresError, SettingError
from segtween.labels import numbered
from segtween.models.records import InputRecord, ModelRecord, OutputRecord, save_record
from segtween.segmenters.network import open_network
from segtween.settings import find_preset
from tiny_onnx import colour_image, write_network

pytestmark = pytest.mark.train
RAW = InputRecord("image", scale=255, multiple_of=4)
FORMS = {
    "plain": ({}, {}, {}),
    "NHWC": ({"layout": "NHWC"}, {"layout": "NHWC"}, {}),
    "uint8": ({"dtype": "uint8"}, {}, {}),
    "float16": ({"dtype": "float16"}, {}, {}),
    "fixed": ({"size_hw": (32, 48)}, {"size_hw": (32, 48), "multiple_of": 1}, {}),
    "NHWC-output": ({"output_layout": "NHWC"}, {}, {"layout": "NHWC"}),
    "extra-outputs": ({"extra": True}, {}, {}),
    "normalised": ({}, {"scale": 1, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4), "channels": "BGR"}, {}),
    "probabilities": ({"last": "softmax", "normalise": True}, {}, {"kind": "probabilities"}),
    "full-size": ({"full_size": True}, {}, {"stride": 1}),
}


def make_record(path: Path, *, pixels: InputRecord = RAW, **output: Any) -> ModelRecord:
    values: dict[str, Any] = {"name": "scores", "stride": 4} | output
    sidecar = path.with_name(path.name + ".yaml")
    return ModelRecord("tiny", path.name, pixels, OutputRecord(**values), numbered(5), sidecar)


def network(folder: Path, graph: Any, pixels: Any, output: Any) -> Any:
    path = write_network(folder / "net.onnx", **graph)
    return open_network(make_record(path, pixels=replace(RAW, **pixels), **output), runtime="onnxruntime")


def bound(inner: Any) -> Any:
    import torch

    from segtween.device.bound import BoundSegmenter, why_not

    assert why_not(inner, torch.device("cpu")) is None
    return BoundSegmenter(inner, device=torch.device("cpu"))


def sent(rgb: Any) -> Any:
    import torch

    return torch.from_numpy(rgb)


def saved(folder: Path) -> str:
    """The path of a network with its record beside it."""
    path = write_network(folder / "net.onnx")
    record = make_record(path)
    save_record(record, record.path)
    return str(path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(32, 48), (40, 64)])
def test_bound_tensors_give_the_scores_of_arrays(form: str, size: tuple[int, int], tmp_path: Path) -> None:
    inner = network(tmp_path, *FORMS[form])
    segmenter = bound(inner)
    for seed in range(2):  # the second time the answer's shape is known
        rgb = colour_image(size, seed=seed)
        found, expected = segmenter(sent(rgb)), inner(rgb)
        assert found.is_contiguous()
        assert found.numpy().dtype == np.float32
        assert found.shape == expected.shape
        resized = form == "fixed" and size != (32, 48)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=3.0 if resized else 2e-2)
    assert (segmenter.notes, segmenter.scale) == (inner.notes, 1)
    assert segmenter.describe() == {**inner.describe(), "device": "cpu"}


def test_what_odd_sizes_leave_is_sampled_as_the_processor_does() -> None:
    import torch

    from segtween.device.bound import reduce_planes
    from segtween.segmenters import scores

    planes = np.random.default_rng(0).normal(size=(3, 31, 46)).astype(np.float32)
    for grid in ((31, 46), (8, 12), (10, 15)):
        found = reduce_planes(torch.from_numpy(planes), grid).numpy()
        np.testing.assert_allclose(found, scores.reduce_planes(planes, grid), atol=1e-4)


def test_scores_are_the_callers_own(tmp_path: Path) -> None:
    segmenter = bound(network(tmp_path, *FORMS["plain"]))
    first = segmenter(sent(colour_image((32, 48))))
    kept = first.clone()
    segmenter(sent(colour_image((32, 48), seed=1)))
    assert (first == kept).all()


def test_the_graph_reads_and_writes_where_it_is_told(tmp_path: Path) -> None:
    import torch

    from segtween.device.bound import _place

    runtime = network(tmp_path, *FORMS["plain"]).runtime
    image, answer = torch.rand(1, 3, 32, 48), torch.full((1, 5, 8, 12), torch.nan)
    assert runtime.run_bound(_place(image), None) == (1, 5, 8, 12)
    assert runtime.run_bound(_place(image), _place(answer)) == (1, 5, 8, 12)
    assert torch.isfinite(answer).all()
    before, image[:] = answer.clone(), 0
    runtime.run_bound(_place(image), _place(answer))
    assert not torch.equal(answer, before)
    with pytest.raises(ModelError, match=r"does not take an input of shape \(1, 4, 32, 48\)"):
        runtime.run_bound(_place(torch.rand(1, 4, 32, 48)), None)


def test_scores_that_are_not_finite_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = bound(network(tmp_path, *FORMS["plain"]))
    monkeypatch.setattr(segmenter, "_logits", lambda answer: answer[0] * float("nan"))
    with pytest.raises(ScoresError, match="network 'tiny' gave scores that are not finite in frame 0 of those it was"):
        segmenter(sent(colour_image((32, 48))))


@pytest.mark.parametrize(
    ("graph", "output", "said"),
    [
        (
            {"last": "argmax"},
            {"kind": "labels", "layout": "NHW"},
            "it answers with labels, masks or classes scored each for itself",
        )
    ],
)
def test_what_cannot_be_bound_is_said(graph: Any, output: Any, said: str, tmp_path: Path) -> None:
    import torch

    from segtween.device.bound import why_not

    assert why_not(network(tmp_path, graph, {}, output), torch.device("cpu")) == said
    plain = network(tmp_path, *FORMS["plain"])
    assert why_not(plain, torch.device("cuda")) == "ONNX Runtime runs it with CPUExecutionProvider"


def test_an_engine_on_the_device_gives_the_processors_labels(tmp_path: Path) -> None:
    device, path = open_backend("torch-cpu", threads=1), saved(tmp_path)
    segmenter = device.segmenter(path, runtime="onnxruntime", threads=1)
    assert segmenter.notes == []
    rgb = colour_image((32, 48))
    plain = Processor(1).segmenter(path, threads=1)
    settings = find_preset("composed").at(1)
    found = build_engine(segmenter, settings, backend=device).step(sent(rgb)).labels.numpy()
    expected = build_engine(plain, settings, backend=Processor(1)).step(rgb).labels
    assert (found != expected).mean() < 1e-3
    (note,) = device.segmenter(path, threads=1).notes
    assert note == "tiny runs on the processor: frames are fetched from the device"


def card() -> Any:
    """A card's device without a card: nothing is sent there."""
    import torch

    from segtween.device import Fast, eager
    from segtween.device.backend import Device

    arrays = SimpleNamespace(device=torch.device("cuda", 1), kernels=eager)
    return Device("cuda:1", arrays, Fast.nothing(), Processor(1))


@pytest.mark.parametrize("options", [{}, {"runtime": "onnxruntime"}])
def test_without_the_execution_provider_a_note_says_what_to_install(options: Any, tmp_path: Path) -> None:
    (note,) = card().segmenter(saved(tmp_path), **options).notes
    assert note.startswith("tiny runs on the processor: frames are fetched from the device (this ONNX Runtime has no ")
    assert note.endswith("execution provider cuda; install onnxruntime-gpu)")


def test_without_onnx_runtime_a_note_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (note,) = card().segmenter(saved(tmp_path)).notes
    assert note.endswith("(ONNX Runtime is not installed; install onnxruntime-gpu)")


@pytest.mark.parametrize("provider", ["cuda", "tensorrt", "TensorrtExecutionProvider"])
def test_an_execution_provider_that_was_asked_for_and_is_missing_is_replaced_and_said(
    provider: str, tmp_path: Path
) -> None:
    notes = card().segmenter(saved(tmp_path), provider=provider).notes
    assert any("this ONNX Runtime has no" in note and "CPUExecutionProvider is used" in note for note in notes)


def test_an_execution_provider_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="execution provider 'abacus' is not known"):
        card().segmenter(saved(tmp_path), runtime="onnxruntime", provider="abacus")


def test_the_card_is_named_and_scores_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    from segtween.device.bound import BoundSegmenter

    asked: list[Any] = []

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, path: str, options: Any, providers: Any) -> None:
            asked.append(providers)
            super().__init__(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    segmenter = card().segmenter(saved(tmp_path), precision="float32")
    assert isinstance(segmenter, BoundSegmenter)
    assert segmenter.describe()["provider"] == "CUDAExecutionProvider"
    card_first = ("CUDAExecutionProvider", {"device_id": "1", "use_tf32": "0"})
    assert asked == [[card_first, ("CPUExecutionProvider", {})]]
