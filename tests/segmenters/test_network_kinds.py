"""Networks of every usual form, from their file to labels: proposed by `inspect`, opened, and compared with the scores
that the tiny network has by its definition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from segtween.errors import ModelError, ScoresError
from segtween.labels import label_set
from segtween.models.records import InputRecord, ModelRecord, OutputRecord, load_record, save_record
from segtween.runtimes import RUNTIMES
from segtween.segmenters import open_segmenter
from segtween.segmenters.inspect import inspect_onnx, propose
from segtween.segmenters.network import open_network
from tiny_onnx import cell_scores, colour_image, save_graph, write_network

FLOAT = TensorProto.FLOAT
IMAGE = ("image", FLOAT, [1, 3, "h", "w"])
RAW = InputRecord("image", scale=255, multiple_of=4)
BINARY = label_set(["background", "foreground"])
both_runtimes = pytest.mark.parametrize("name", sorted(RUNTIMES))


def binary_record(path: Path, **output: Any) -> ModelRecord:
    values: dict[str, Any] = {"name": "scores", "stride": 4, "threshold": 0.5} | output
    return ModelRecord("tiny", path.name, RAW, OutputRecord(**values), BINARY, path.with_name(path.name + ".yaml"))


def one_channel_logits(rgb: Any) -> Any:
    return cell_scores((rgb.astype(np.float64) - 100) / 50, classes=1)[0]


# ── One channel ───────────────────────────────────────────────────────────────────────────────


@both_runtimes
@pytest.mark.parametrize(("last", "kind"), [("sigmoid", "probabilities"), ("", "logits")])
@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.7])
def test_the_class_is_where_its_probability_is_above_the_threshold(
    name: str, tmp_path: Path, last: Any, kind: Any, threshold: float
) -> None:
    path = write_network(tmp_path / "net.onnx", classes=1, last=last, normalise=True)
    segmenter = open_network(binary_record(path, kind=kind, threshold=threshold), runtime=name)
    rgb = colour_image((48, 64), seed=2)
    scores, logits = segmenter(rgb), one_channel_logits(rgb)
    shift = np.log(threshold / (1 - threshold))
    np.testing.assert_allclose(scores[1] - scores[0], logits - shift, atol=2e-3)
    there = 1 / (1 + np.exp(-logits)) > threshold
    assert 0.05 < there.mean() < 0.95, "the picture shows both"
    np.testing.assert_array_equal(scores.argmax(axis=0), there)


@pytest.mark.parametrize(("last", "kind"), [("sigmoid", "probabilities"), ("", "logits")])
def test_where_none_of_several_classes_reaches_the_threshold_is_background(
    tmp_path: Path, last: Any, kind: Any
) -> None:
    path = write_network(tmp_path / "net.onnx", classes=3, last=last, normalise=True)
    record = replace(
        binary_record(path, kind=kind, threshold=0.7), labels=label_set(["background", "sky", "road", "car"])
    )
    rgb = colour_image((48, 64), seed=2)
    scores, logits = open_network(record)(rgb), cell_scores((rgb.astype(np.float64) - 100) / 50, classes=3)
    best = logits.argmax(axis=0) + 1
    expected = np.where(1 / (1 + np.exp(-logits.max(axis=0))) > 0.7, best, 0)
    assert {0} < set(np.unique(expected)), "the picture shows several"
    assert (scores.argmax(axis=0) == expected).mean() > 0.99
    with pytest.raises(ModelError, match=r"has 4 classes .* expected 2"):
        open_network(replace(record, labels=BINARY))


def test_a_probability_of_zero_or_one_stays_finite(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", classes=1, last="sigmoid")
    scores = open_network(binary_record(path, kind="probabilities"))(np.full((16, 16, 3), 255, np.uint8))
    assert abs(scores[1] - scores[0]).max() == pytest.approx(np.log(1e6), rel=0.01)


@pytest.mark.parametrize(
    ("last", "kind", "guessed"),
    [("sigmoid", "probabilities", {"output.threshold"}), ("", "logits", {"output.threshold", "output.kind"})],
)
def test_one_channel_is_proposed_as_background_and_a_class(
    tmp_path: Path, last: Any, kind: str, guessed: set[str]
) -> None:
    path = write_network(tmp_path / "my.onnx", classes=1, last=last, normalise=True)
    record = inspect_onnx(path)
    assert (record.output.kind, record.output.threshold) == (kind, 0.5)
    assert record.labels.names == ("background", "foreground")
    assert guessed | {"labels"} <= set(record.guessed)
    save_record(record, record.path)
    assert load_record(record.path) == record
    rgb = colour_image((64, 96))
    np.testing.assert_array_equal(open_segmenter(path)(rgb).argmax(axis=0), one_channel_logits(rgb) > 0)


def test_a_depth_map_is_no_mask(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((1, 3, 1, 1), np.float32), "w")
    nodes = [helper.make_node("Conv", ["image", "w"], ["x"]), helper.make_node("Relu", ["x"], ["y"])]
    path = save_graph(tmp_path / "my.onnx", nodes, [IMAGE], [("y", FLOAT, None)], [weight])
    with pytest.raises(ModelError, match=r"answers with y \(1, 1, 256, 320\): a depth map, or another image of one ch"):
        inspect_onnx(path)


@both_runtimes
def test_a_mask_of_0_and_255_is_a_mask_of_two_classes(name: str, tmp_path: Path) -> None:
    path = write_network(tmp_path / "my.onnx", classes=1, last="mask", normalise=True, full_size=True)
    record = inspect_onnx(path)
    assert (record.output.kind, record.output.values, record.output.stride) == ("labels", (0, 255), 1)
    assert record.labels.names == ("background", "foreground")
    save_record(record, record.path)
    assert load_record(record.path) == record
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, 48:] = 255
    logits = one_channel_logits(rgb)
    assert (logits > 0).any()
    assert (logits < 0).any()
    labels = open_segmenter(path, runtime=name)(rgb).argmax(axis=0)
    away_from_the_border = np.r_[0:10, 14:24]
    np.testing.assert_array_equal(labels[:, away_from_the_border], (logits > 0)[:, away_from_the_border])


def test_an_argmax_with_numbers_of_its_own(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", classes=3, last="argmax")
    labels, rgb = label_set(["a", "b", "c"]), colour_image((32, 48))
    output = OutputRecord("scores", kind="labels", layout="NHW", stride=4, values=(2, 0, 1))
    record = ModelRecord("tiny", path.name, RAW, output, labels, tmp_path / "net.onnx.yaml")
    expected = np.array([1, 2, 0])[cell_scores(rgb, classes=3).argmax(axis=0)]
    np.testing.assert_array_equal(open_network(record)(rgb).argmax(axis=0), expected)
    short = replace(record, labels=label_set(["a", "b"]), output=replace(output, values=(2, 5)))
    with pytest.raises(ScoresError, match="gave the value [01]; expected one of 2, 5, as output.values says; correct"):
        open_network(short)(rgb)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"threshold": None}, r"has one channel \(shape .*\); expected threshold 0.5 or another, as .* says; correct"),
        ({"threshold": None, "kind": "labels", "values": (0, 1, 2)}, "has 3 classes .* expected 2"),
    ],
)
def test_records_of_one_channel_that_do_not_fit(tmp_path: Path, output: Any, message: str) -> None:
    path = write_network(tmp_path / "net.onnx", classes=1)
    with pytest.raises(ModelError, match=message):
        open_network(binary_record(path, **output))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"kind": "labels", "threshold": 0.5}, "output.threshold is 0.5; expected none, as it is for classes scored e"),
        ({"values": (0, 1)}, r"output.values is \(0, 1\); expected none, as it is for labels; correct"),
        ({"masks": "m"}, "output.masks is 'm'; expected none, as it is for instances and queries"),
        ({"iou": 0.5}, "output.iou is 0.5; expected none, as it is for yolo-seg"),
        ({"kind": "yolo-seg", "masks": "scores"}, "output.masks is 'scores'; expected the output that holds the masks"),
        ({"kind": "mask2former"}, "output.masks is None; expected the output that holds the masks, because output.ki"),
    ],
)
def test_fields_that_belong_to_other_kinds_are_refused(output: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        OutputRecord(**{"name": "scores", **output})


# ── An argmax whose graph does not say how many classes there are ─────────────────────────────


def argmax_of_unknown_classes(path: Path, classes: int = 19) -> Path:
    """Scores by a convolution whose weights are an input of a Reshape that OpenVINO cannot see through."""
    nodes = [
        helper.make_node("Cast", ["image"], ["whole"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["whole", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mod", ["sum", "classes"], ["labels"]),
    ]
    values = [
        numpy_helper.from_array(np.array([1]), "axes"),
        numpy_helper.from_array(np.array(classes), "classes"),
    ]
    return save_graph(path, nodes, [IMAGE], [("labels", TensorProto.INT64, None)], values)


def test_without_a_number_of_classes_those_that_were_seen_are_proposed_without_names(tmp_path: Path) -> None:
    path = argmax_of_unknown_classes(tmp_path / "my.onnx", classes=11)
    record = inspect_onnx(path)
    assert record.labels.name.startswith("classes"), "as many as those of a data set are not these yet"
    assert "labels" in record.guessed
    assert inspect_onnx(path, label_set="camvid11").labels.name == "camvid11"


def test_a_label_set_can_be_given_and_is_then_no_guess(tmp_path: Path) -> None:
    path = argmax_of_unknown_classes(tmp_path / "my.onnx")
    proposal = propose(path, label_set="cityscapes19")
    assert proposal.record.labels.name == "cityscapes19"
    assert "labels" not in proposal.record.guessed
    assert proposal.sources["labels"] == "argument"
    with pytest.raises(
        ScoresError, match=r"gave class 1\d; expected 0..10 of label set 'camvid11', or 255; give the la"
    ):
        inspect_onnx(path, label_set="camvid11")


# ── Batches, weights, opsets, other inputs ────────────────────────────────────────────────────


@both_runtimes
@pytest.mark.parametrize(
    "graph",
    [{"weights": "float16"}, {"batch": "batch"}, {"dtype": "float16"}, {"batch": "n", "layout": "NHWC"}],
    ids=str,
)
def test_scores_of_other_forms_are_those_of_the_image(name: str, tmp_path: Path, graph: Any) -> None:
    path = write_network(tmp_path / "my.onnx", normalise=True, **graph)
    record = inspect_onnx(path)
    save_record(record, record.path)
    rgb = colour_image((64, 96))
    expected = cell_scores((rgb.astype(np.float64) - 100) / 50, classes=5)
    scores = open_segmenter(path, runtime=name)(rgb)
    np.testing.assert_allclose(scores, expected, atol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("opset", range(11, 23))
@pytest.mark.parametrize("last", ["", "argmax"])
def test_opsets_11_to_22(tmp_path: Path, opset: int, last: Any) -> None:
    path = write_network(tmp_path / "my.onnx", dtype="uint8", last=last, opset=opset, full_size=True)
    record = inspect_onnx(path)
    assert record.output.stride == 1
    save_record(record, record.path)
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, 48:] = (250, 10, 120)
    expected = cell_scores(rgb, classes=5).argmax(axis=0)
    away_from_the_border = np.r_[0:10, 14:24]
    for name in RUNTIMES:
        labels = open_segmenter(path, runtime=name)(rgb).argmax(axis=0)
        np.testing.assert_array_equal(labels[:, away_from_the_border], expected[:, away_from_the_border])


@both_runtimes
def test_other_inputs_have_fixed_values_in_the_sidecar(name: str, tmp_path: Path) -> None:
    path = write_network(tmp_path / "my.onnx", dtype="uint8", size_input=True)
    with pytest.raises(
        ModelError, match=r"my.onnx has 2 inputs \(image, size\); expected one image input; give the va"
    ):
        inspect_onnx(path)
    record = inspect_onnx(path, fixed={"size": [1, 3]})
    assert record.input.to_dict()["fixed"] == {"size": [1, 3]}
    save_record(record, record.path)
    assert load_record(record.path) == record
    rgb = colour_image((64, 96))
    segmenter = open_segmenter(path, runtime=name)
    np.testing.assert_allclose(segmenter(rgb), 2 * cell_scores(rgb, classes=5), rtol=1e-4, atol=5e-3)
    other = open_network(replace(record, input=replace(record.input, fixed={"size": [2, 2.0]})), runtime=name)
    assert other.describe()["preprocessing"] != segmenter.describe()["preprocessing"]
    with pytest.raises(
        ModelError, match="has the inputs image, size; expected one image input called 'image'; correct"
    ):
        open_network(replace(record, input=replace(record.input, fixed={})), runtime=name)
    with pytest.raises(ModelError, match="expected one image input called 'image', and 'sizes'"):
        open_network(replace(record, input=replace(record.input, fixed={"sizes": [1, 3]})), runtime=name)


@pytest.mark.parametrize("value", [[], [[1], [1, 2]], "text", {"a": 1}, [1] * 10_001])
def test_fixed_values_that_are_no_numbers_are_refused(value: Any) -> None:
    with pytest.raises(ModelError, match="input.fixed.size is .*; expected numbers for an input that is not the image"):
        InputRecord("image", fixed={"size": value})


def test_fixed_values_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "my.onnx", dtype="uint8", size_input=True)
    with pytest.raises(
        ModelError, match=r"input 'size' of my.onnx has the shape \[2\]; expected one that takes the values"
    ):
        inspect_onnx(path, fixed={"size": [1, 2, 3]})


# ── Weights in files of their own ─────────────────────────────────────────────────────────────


def external(source: Path, target: Path, place: str) -> Path:
    """The network with its weights in `place`, relative to the folder of `target`."""
    model = onnx.load(source)
    onnx.save(model, target, save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = onnx.load(target, load_external_data=False)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = place
    onnx.save(model, target)
    return target


@both_runtimes
def test_weights_beside_the_file_are_found_and_part_of_the_fingerprint(name: str, tmp_path: Path) -> None:
    plain = write_network(tmp_path / "plain.onnx", dtype="uint8")
    path = external(plain, tmp_path / "my.onnx", "weights.bin")
    record = inspect_onnx(path)
    save_record(record, record.path)
    rgb = colour_image((64, 96))
    segmenter = open_segmenter(path, runtime=name)
    np.testing.assert_allclose(segmenter(rgb), cell_scores(rgb, classes=5), rtol=1e-4, atol=1e-3)
    before = segmenter.describe()["fingerprint"]
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[2] ^= 0x10
    (tmp_path / "weights.bin").write_bytes(weights)
    assert open_segmenter(path, runtime=name).describe()["fingerprint"] != before


@pytest.mark.parametrize("place", ["../weights.bin", "{folder}/weights.bin", "../../etc/passwd"])
def test_weights_outside_of_the_files_folder_are_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "net").mkdir()
    plain = write_network(tmp_path / "plain.onnx")
    (tmp_path / "weights.bin").write_bytes(b"\0" * 100_000)
    path = external(plain, tmp_path / "net" / "my.onnx", place.format(folder=tmp_path))
    with pytest.raises(
        ModelError, match="my.onnx keeps weights in '.*'; expected a file in its own folder; put it the"
    ):
        inspect_onnx(path)
    with pytest.raises(ModelError, match="expected a file in its own folder"):
        open_network(binary_record(path, threshold=None))


def test_a_link_out_of_the_folder_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    plain = write_network(tmp_path / "plain.onnx")
    path = external(plain, tmp_path / "net" / "my.onnx", "weights.bin")
    (tmp_path / "net" / "weights.bin").rename(tmp_path / "elsewhere.bin")
    (tmp_path / "net" / "weights.bin").symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(ModelError, match="expected a file in its own folder"):
        inspect_onnx(path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = external(write_network(tmp_path / "plain.onnx"), tmp_path / "my.onnx", "lost.bin")
    with pytest.raises(ModelError, match="my.onnx keeps weights in 'lost.bin', which is not found; expected a file in"):
        inspect_onnx(path)
