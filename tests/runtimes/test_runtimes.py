"""Both runtimes: the same answers, and the same manners towards files and settings that do not fit."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from fakes import FakeRuntime
from segtween.errors import MissingExtraError, ModelError, SettingError
from segtween.models.onnx_file import check_onnx_file
from segtween.models.records import InputRecord
from segtween.runtimes import RUNTIMES, open_runtime
from segtween.runtimes import openvino as openvino_module
from segtween.runtimes.base import Runtime, RuntimeOptions
from tiny_onnx import cell_scores, colour_image, write_network

IMAGENET = {"scale": 1.0, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@pytest.fixture(params=sorted(RUNTIMES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def normalised(rgb: Any, pixels: InputRecord) -> Any:
    """The record's formula, written down once more in float64."""
    ordered = rgb[..., ::-1] if pixels.channels == "BGR" else rgb
    return (ordered * (pixels.scale / 255) - np.array(pixels.mean)) / np.array(pixels.std)


# ── What is computed ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_pixels_reach_the_graph_as_the_record_says(
    name: str, tmp_path: Path, layout: Any, channels: Any, dtype: str
) -> None:
    path = write_network(tmp_path / "net.onnx", layout=layout, dtype=dtype)
    pixels = InputRecord("image", layout=layout, channels=channels, **IMAGENET)
    rgb = colour_image((16, 24))
    (scores,) = open_runtime(name, path, pixels=pixels).run(rgb[None])
    expected = cell_scores(normalised(rgb, pixels), classes=5)
    tolerance = 1e-4 if dtype == "float32" else 1e-2
    np.testing.assert_allclose(scores[0], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_raw_pixels_are_passed_on_unchanged(name: str, tmp_path: Path, channels: Any, layout: Any, dtype: str) -> None:
    path = write_network(tmp_path / "net.onnx", layout=layout, dtype=dtype)
    pixels = InputRecord("image", layout=layout, channels=channels, scale=255)
    rgb = colour_image((8, 12))
    (scores,) = open_runtime(name, path, pixels=pixels).run(rgb[None])
    np.testing.assert_allclose(scores[0], cell_scores(normalised(rgb, pixels), classes=5), rtol=1e-4, atol=1e-3)


def test_without_pixels_the_graph_gets_what_it_wants(name: str, tmp_path: Path) -> None:
    runtime = open_runtime(name, write_network(tmp_path / "net.onnx"))
    batch = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    (scores,) = runtime.run(batch)
    np.testing.assert_allclose(scores[0], cell_scores(batch[0].transpose(1, 2, 0), classes=5), atol=1e-4)


def test_outputs_are_chosen_by_name_and_come_in_that_order(name: str, tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", extra=True)
    assert set(open_runtime(name, path).outputs) == {"summary", "aux", "scores"}
    runtime = open_runtime(name, path, outputs=("scores", "aux"))
    scores, aux = runtime.run(np.ones((1, 3, 8, 8), np.float32))
    assert runtime.outputs == ("scores", "aux")
    np.testing.assert_allclose(aux, scores[:, :2], atol=1e-5)


def test_sizes_may_change_from_call_to_call_and_answers_are_the_callers_own(name: str, tmp_path: Path) -> None:
    runtime = open_runtime(name, write_network(tmp_path / "net.onnx"))
    sizes = [(8, 8), (16, 8), (8, 24), (8, 8)]
    batches = [np.full((1, 3, *size), i, np.float32) for i, size in enumerate(sizes)]
    answers = [runtime.run(batch)[0] for batch in batches]
    for size, batch, answer in zip(sizes, batches, answers, strict=True):
        assert answer.shape == (1, 5, size[0] // 4, size[1] // 4)
        np.testing.assert_allclose(answer[0], cell_scores(batch[0].transpose(1, 2, 0), classes=5), atol=1e-4)


def test_the_runtimes_agree(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", full_size=True, last="softmax", normalise=True)
    pixels = InputRecord("image", scale=255)
    answers = [open_runtime(name, path, pixels=pixels).run(colour_image((32, 40))[None])[0] for name in RUNTIMES]
    for one, other in itertools.pairwise(answers):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_what_is_said_of_a_runtime(name: str, tmp_path: Path) -> None:
    runtime = open_runtime(name, write_network(tmp_path / "net.onnx"), options=RuntimeOptions(threads=1))
    runtime.run(np.zeros((1, 3, 8, 8), np.float32))
    said = runtime.describe()
    assert said["runtime"].startswith(name + " 20" if name == "openvino" else name + " 1")
    assert said["precision"] == runtime.precision == "float32"
    assert "CPU" in said["provider"]
    assert runtime.threads == 1
    assert runtime.notes == []


# ── What is refused ───────────────────────────────────────────────────────────────────────────


def test_an_input_of_another_name_or_number_is_refused(name: str, tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="net.onnx has the inputs image; expected one image input called 'picture'"):
        open_runtime(name, path, pixels=InputRecord("picture"))
    with pytest.raises(ModelError, match="net.onnx has no output 'logits'; expected one of scores"):
        open_runtime(name, path, outputs=("logits",))


def test_a_size_that_the_graph_cannot_take_is_refused(name: str, tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(16, 16), last="argmax", full_size=True)
    runtime = open_runtime(name, path)
    with pytest.raises(ModelError, match=r"net.onnx does not take an input of shape \(1, 4, 16, 16\) .*; correct `inp"):
        runtime.run(np.zeros((1, 4, 16, 16), np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a text file called .onnx\n", "another kind of file"),
        (b"", "holds no graph"),
        (b"\x08\x08", "holds no graph"),
        (b"\xff" * 40, "another kind of file"),
        (None, "ends early"),
    ],
)
def test_files_that_are_not_onnx_are_refused_in_one_line(
    name: str, tmp_path: Path, content: bytes | None, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_network(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    with pytest.raises(ModelError, match=rf"net\.onnx cannot be read as ONNX \(it .*{message}.*\); expected an ONNX"):
        open_runtime(name, path)
    assert capfd.readouterr() == ("", "")


def test_a_graph_with_unknown_operations_is_refused(name: str, tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    path.write_bytes(path.read_bytes().replace(b"Identity", b"Nonsense"))
    with pytest.raises(ModelError, match=r"net\.onnx cannot be (read|opened) by .*Runtime|OpenVINO .*; try runtime="):
        open_runtime(name, path).run(np.zeros((1, 3, 8, 8), np.float32))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.onnx is not found"):
        check_onnx_file(tmp_path / "no.onnx")


def test_settings_that_no_runtime_has(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(SettingError, match=r"runtime 'openvin' is not known; .*; did you mean openvino\?"):
        open_runtime("openvin", path)
    with pytest.raises(SettingError, match="precision 'float8'; expected one of auto, float32, bfloat16"):
        open_runtime("openvino", path, options=RuntimeOptions(precision="float8"))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="threads -1; expected 0"):
        open_runtime("openvino", path, options=RuntimeOptions(threads=-1))


def test_an_unknown_provider_lists_those_that_are_here(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(
        SettingError,
        match=r"execution provider 'cdua' is not known; expected one of .*CPUExecutionProvider.*; did you mean CUDAEx",
    ):
        open_runtime("onnxruntime", path, options=RuntimeOptions(provider="cdua"))
    with pytest.raises(SettingError, match=r"'abacus' is not .*"):
        open_runtime("onnxruntime", path, options=RuntimeOptions(provider="abacus"))
    with pytest.raises(SettingError, match="OpenVINO device 'ABACUS' is not known; expected one of .*CPU"):
        open_runtime("openvino", path, options=RuntimeOptions(provider="ABACUS"))


def test_a_provider_may_be_given_by_its_short_name(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    for provider in ("cpu", "CPU", "CPUExecutionProvider"):
        opened = open_runtime("onnxruntime", path, options=RuntimeOptions(provider=provider))
        assert opened.describe()["provider"] == "CPUExecutionProvider"


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"onnxruntime needs a package .*pip install 'segtween\[onnxruntime\]'"):
        open_runtime("onnxruntime", write_network(tmp_path / "net.onnx"))


# ── Precision, and what is done where it cannot be had ────────────────────────────────────────


def test_bfloat16_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="ONNX Runtime computes in the graph's own number types; expected precis"):
        open_runtime("onnxruntime", write_network(tmp_path / "net.onnx"), options=RuntimeOptions(precision="bfloat16"))


def test_the_precision_reported_is_that_of_the_compiled_graph(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    has_bfloat16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    has_bfloat16 = has_bfloat16 and openvino_module.bfloat16_is_right()
    runtime = open_runtime("openvino", path, options=RuntimeOptions(precision="bfloat16"))
    runtime.run(np.zeros((1, 3, 64, 64), np.float32))
    assert runtime.precision == ("bfloat16" if has_bfloat16 else "float32")
    assert len(runtime.notes) == (0 if has_bfloat16 else 1)


class RefusingCore:
    """OpenVINO's core, except that some precisions do not compile."""

    def __init__(self, *refused: str | None) -> None:
        self.real, self.refused = openvino.Core(), refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def compile_model(self, graph: Any, device: str, config: dict[str, Any]) -> Any:
        if config.get("INFERENCE_PRECISION_HINT") in self.refused:
            raise RuntimeError("Exception from somewhere:\nno kernel for this")
        return self.real.compile_model(graph, device, config)


def test_a_precision_that_does_not_compile_is_replaced_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = RefusingCore("bf16")
    monkeypatch.setattr(openvino_module, "core", lambda: fake)
    monkeypatch.setattr(openvino_module, "bfloat16_is_right", lambda: True)  # held to an older set, it would not be
    runtime = open_runtime(
        "openvino", write_network(tmp_path / "net.onnx"), options=RuntimeOptions(precision="bfloat16")
    )
    for size in (8, 16):
        runtime.run(np.zeros((1, 3, size, size), np.float32))
    assert runtime.notes == ["net.onnx does not compile as bfloat16 (no kernel for this); float32 is used"]
    assert caplog.messages == runtime.notes
    assert runtime.precision == "float32"


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_where_nothing_compiles_the_reason_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    fake = RefusingCore("bf16", "f32", None)
    monkeypatch.setattr(openvino_module, "core", lambda: fake)
    monkeypatch.setattr(openvino_module, "bfloat16_is_right", lambda: True)  # asked once per process, of the real core
    runtime = open_runtime(
        "openvino", write_network(tmp_path / "net.onnx"), options=RuntimeOptions(precision=precision)
    )
    with pytest.raises(ModelError, match=r"net\.onnx does not compile for .* \(no kernel for this\); .*'onnxruntime'"):
        runtime.run(np.zeros((1, 3, 8, 8), np.float32))


def test_asking_before_the_first_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net\.onnx has not run yet; run it once"):
        open_runtime("openvino", write_network(tmp_path / "net.onnx")).describe()


# ── The fake ──────────────────────────────────────────────────────────────────────────────────


def test_the_fake_answers_with_its_function_and_keeps_the_calls() -> None:
    fake: Runtime = FakeRuntime(lambda x: x * 2)
    (answer,) = fake.run(np.ones((1, 3, 2, 2), np.float32))
    assert answer.max() == 2
    several = FakeRuntime(lambda x: [x, x + 1], outputs=("a", "b"))
    assert [float(a[0]) for a in several.run(np.zeros(1, np.float32))] == [0, 1]
    assert several.calls == [(1,)]
    assert fake.describe()["runtime"] == "fake"


@pytest.mark.parametrize(("name", "provider"), [("openvino", "NPU"), ("openvino", "gpu.7"), ("onnxruntime", "coreml")])
def test_a_device_that_is_not_here_is_replaced_and_said(tmp_path: Path, name: str, provider: str) -> None:
    path = write_network(tmp_path / "net.onnx")
    opened = open_runtime(name, path, options=RuntimeOptions(provider=provider))
    opened.run(np.zeros((1, 3, 16, 16), np.float32))
    assert opened.describe()["provider"] in ("CPU", "CPUExecutionProvider")
    assert len(opened.notes) == 1
    assert re.search(
        r"(no device (NPU|GPU\.7) here; CPU|no CoreMLExecutionProvider; CPUExecutionProvider) is used", opened.notes[0]
    )
