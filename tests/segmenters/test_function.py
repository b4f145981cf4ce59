"""Any Python callable as a segmenter."""

from __future__ import annotations

import re
from asyncio import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtween.errors import LabelError, ModelError, ScoresError, SettingError
from segtween.labels import CAMVID11, numbered
from segtween.segmenters import form_of, open_segmenter
from segtween.segmenters.function import CallableSegmenter, load_function

RGB = np.zeros((24, 32, 3), np.uint8)
SCORES = np.random.default_rng(0).normal(size=(5, 6, 8)).astype(np.float32)


def two_classes(rgb: Any) -> Any:
    return np.zeros((2, *rgb.shape[:2]), np.float32)


def answering(value: Any) -> CallableSegmenter:
    return CallableSegmenter(lambda _rgb: value, numbered(5))


@pytest.mark.parametrize("value", [SCORES, SCORES[None], SCORES.astype(np.float64), np.asfortranarray(SCORES)])
def test_scores_come_through_as_float32(value: Any) -> None:
    scores = answering(value)(RGB)
    assert scores.dtype == np.float32
    assert scores.flags.c_contiguous
    np.testing.assert_array_equal(scores, SCORES)


def test_whole_number_scores_are_scores() -> None:
    quantised = np.round(SCORES * 4).astype(np.int8)
    np.testing.assert_array_equal(answering(quantised)(RGB), quantised)


def test_the_image_is_handed_on_as_it_is() -> None:
    seen = []
    CallableSegmenter(lambda rgb: (seen.append(rgb), SCORES)[1], numbered(5))(RGB)
    assert seen[0] is RGB


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("batch", [False, True])
def test_label_maps_become_scores_with_the_same_labels(dtype: Any, batch: bool) -> None:
    labels = np.repeat(np.repeat(np.random.default_rng(1).integers(0, 5, (6, 8)), 4, 0), 4, 1).astype(dtype)
    scores = answering(labels[None] if batch else labels)(RGB)
    np.testing.assert_array_equal(scores.argmax(axis=0), labels[::4, ::4])
    assert set(np.unique(scores)) == {-4, 4}


def test_probabilities_are_recognised() -> None:
    shares = np.exp(SCORES) / np.exp(SCORES).sum(axis=0)
    np.testing.assert_allclose(answering(shares)(RGB), np.log(shares), atol=1e-5)


def test_full_size_scores_are_reduced_to_stride_4() -> None:
    full = np.repeat(np.repeat(SCORES, 4, 1), 4, 2)
    np.testing.assert_allclose(answering(full)(RGB), SCORES, atol=1e-5)


def test_tensors_will_do() -> None:
    class Tensor:
        """The part of a PyTorch tensor's face that matters."""

        def __init__(self) -> None:
            self.steps: list[str] = []

        def __getattr__(self, name: str) -> Any:
            if name in ("detach", "cpu", "float"):
                return lambda: (self.steps.append(name), self)[1]
            raise AttributeError(name)

        def is_floating_point(self) -> bool:
            return True

        def numpy(self) -> Any:
            assert self.steps == ["detach", "cpu", "float"]
            return SCORES

    np.testing.assert_array_equal(answering(Tensor())(RGB), SCORES)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            SCORES.transpose(1, 2, 0),
            r"returned float32 of shape \(6, 8, 5\); expected \(5, height, width\).*put the cla",
        ),
        (
            SCORES[:4],
            r"shape \(4, 6, 8\); expected \(5, height, width\) for the 5 classes of label set 'classes5'; corr",
        ),
        (np.stack([SCORES, SCORES]), r"shape \(2, 5, 6, 8\); expected"),
        (SCORES[0], r"returned float32 of shape \(6, 8\); expected \(5, height"),
        (SCORES[:, :0], r"shape \(5, 0, 8\); expected"),
        (SCORES.astype(complex), "returned complex128; expected numbers"),
        (np.array([["a"]]), "returned <U1; expected numbers"),
        ([SCORES], "returned list; expected an array of scores"),
        ({"out": SCORES}, "returned dict; .* for dictionaries and tuples the entry with the scores"),
        (None, "returned NoneType; expected an array"),
        (np.where(SCORES > 2, np.nan, SCORES), "gave NaN scores, first in class 'class-.'; expected finite numbers"),
        (np.full((24, 32), 5), "gave class 5; expected 0..4 of label set 'classes5', or 255"),
    ],
)
def test_everything_else_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ScoresError, match=rf"function '<lambda>' {message}" if "shape" not in message else message):
        answering(value)(RGB)


def test_a_function_that_fails_is_named_with_its_reason() -> None:
    def broken(_rgb: Any) -> Any:
        raise KeyError("weights")

    with pytest.raises(
        ScoresError, match=r"function 'broken' failed with KeyError: 'weights'; .*; correct the funct"
    ) as e:
        CallableSegmenter(broken, CAMVID11)(RGB)
    assert isinstance(e.value.__cause__, KeyError)


@pytest.mark.parametrize("raised", [SystemExit(3), CancelledError(3)])
def test_a_function_that_ends_the_process_is_told(raised: BaseException) -> None:
    def ends(_rgb: Any) -> Any:
        raise raised

    told = f"function 'ends' failed with {type(raised).__name__}: 3"
    with pytest.raises(ScoresError, match=told) as e:
        CallableSegmenter(ends, CAMVID11)(RGB)
    assert e.value.__cause__ is raised


def test_a_function_may_be_interrupted() -> None:
    def interrupted(_rgb: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CallableSegmenter(interrupted, CAMVID11)(RGB)


@pytest.mark.parametrize(
    ("option", "value"),
    [("scale", 0.0), ("scale", float("nan")), ("scale", 0.5), ("precision", "bfloat16"), ("precision", "float8"),
     ("runtime", "onnxruntime"), ("provider", "cuda")],
)  # fmt: skip
def test_options_of_networks_are_refused(tmp_path: Path, option: str, value: Any) -> None:
    np.savez(tmp_path / "stored.npz", scores=np.zeros((1, 2, 4, 4), np.float32), frames=["a"])
    models = {"callable": two_classes, "function": f"{__file__}:two_classes", "scores": tmp_path / "stored.npz"}
    for form, model in models.items():
        told = re.escape(f"{option}={value} for a model of form {form}; expected a shipped network, an ONNX file or ")
        with pytest.raises(SettingError, match=told):
            open_segmenter(model, label_set=["a", "b"], **{option: value})
        open_segmenter(model, label_set=["a", "b"], scale="auto", precision="auto")


def test_labels_are_needed_and_may_stand_at_the_function() -> None:
    class Network:
        labels = CAMVID11

        def __call__(self, _rgb: Any) -> Any:
            return np.zeros((11, 6, 8))

    segmenter = CallableSegmenter(Network())
    assert segmenter.labels is CAMVID11
    assert segmenter.describe()["name"] == "Network"
    with pytest.raises(
        LabelError, match="function '<lambda>' comes without labels; expected the names of its classes; g"
    ):
        CallableSegmenter(lambda rgb: rgb)


# ── By name ───────────────────────────────────────────────────────────────────────────────────

SOURCE = """
import numpy as np
calls = []
def scores(rgb):
    calls.append(1)
    return np.ones((2, 3, 4))
number = 3
"""


def test_a_function_is_found_in_a_file_or_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_network_in_a_file.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    for spec in (f"{tmp_path}/my_network_in_a_file.py:scores", "my_network_in_a_file:scores"):
        assert form_of(spec) == "function"
        segmenter = open_segmenter(spec, label_set=["road", "rest"])
        assert segmenter(RGB).shape == (2, 3, 4)
        assert segmenter.describe()["name"] == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "no_such_module:f",
            "no_such_module cannot be imported .ModuleNotFoundError.*; expected module:function or file",
        ),
        ("no/such/file.py:f", "no/such/file.py cannot be imported .FileNotFoundError: no file"),
        ("json:nothing", "json has no function 'nothing'; expected a function: RGB"),
        ("json:__name__", "json has no function '__name__'"),
    ],
)
def test_a_function_that_is_not_there(spec: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_function(spec)


def test_a_module_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(ModelError, match=r"broken\.py cannot be imported \(ZeroDivisionError: division by zero\)"):
        load_function(f"{tmp_path}/broken.py:f")


def test_a_module_that_ends_the_process_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ends.py"
    path.write_text("import sys\nsys.exit(1)")
    with pytest.raises(ModelError, match=r"ends\.py cannot be imported \(SystemExit: 1\)"):
        load_function(f"{path}:f")
    path.write_text("def f(): raise SystemExit(3)")
    with pytest.raises(ModelError, match=r"ends\.py:f failed with SystemExit: 3"):
        open_segmenter(f"{path}:f", label_set="camvid11")


def test_forms() -> None:
    assert form_of(len) == "callable"
    assert form_of("scores.npz") == "scores"
    assert form_of(Path("net.onnx")) == "network"
    assert form_of("swiftnet-lite0.camvid") == "network"
    assert form_of("C:\\nets\\net.onnx") == "network"
    with pytest.raises(ModelError, match="model 'swiftnet-nothing' is not known"):
        open_segmenter("swiftnet-nothing")
