"""Instances and mask queries merged to classes, compared with the rule of their library written out in torch; and
refused by name where nothing says which rule it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import segtween
from segtween.errors import ModelError
from segtween.models.records import load_record, save_record
from segtween.runtimes import RUNTIMES
from segtween.segmenters import open_segmenter
from segtween.segmenters.inspect import inspect_onnx, propose
from segtween.segmenters.merging import class_sums
from tiny_onnx import colour_image, save_graph

FLOAT = TensorProto.FLOAT
SIZE = (64, 96)
NAMES = {0: "person", 1: "car", 2: "dog"}
MASKS, BOXES, QUERIES = 6, 126, 12
"""Of a network for 64x96 pixels: prototypes, 8x12 + 4x6 + 2x3 boxes, queries."""


def two_outputs(path: Path, table: Any, channels: int, *, called: tuple[str, str], **metadata: Any) -> Path:
    """`table` as one output, whatever the image; and a convolution of the image of 4x4 pixels as the other."""
    rng = np.random.default_rng(channels)
    kernel = (rng.normal(size=(channels, 3, 4, 4)) / 12).astype(np.float32)
    kernel -= kernel.mean(axis=(1, 2, 3), keepdims=True)
    values = [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(table.astype(np.float32), "table")]
    values.append(numpy_helper.from_array(np.float32(0), "none"))
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], [called[1]], strides=[4, 4]),
        helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "none"], ["nothing"]),
        helper.make_node("Add", ["table", "nothing"], [called[0]]),
    ]
    outputs = [(name, FLOAT, None) for name in called]
    return save_graph(path, nodes, [("image", FLOAT, [1, 3, *SIZE])], outputs, values, **metadata)


def box_table(seed: int = 0) -> Any:
    """(1, 4 + classes + M, N): boxes of all sizes, most of them below the least confidence."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform((0, 0), SIZE[::-1], (BOXES, 2))
    confidence = rng.beta(0.4, 3, (BOXES, len(NAMES)))
    table = np.concatenate([centres, rng.uniform(8, 60, (BOXES, 2)), confidence, rng.normal(size=(BOXES, MASKS))], 1)
    return table.T[None]


def yolo(path: Path, table: Any = None, **changes: Any) -> Path:
    said = {"task": "segment", "names": NAMES, "stride": 32, "imgsz": list(SIZE), "args": {"dynamic": False}} | changes
    table = box_table() if table is None else table
    return two_outputs(path, table, MASKS, called=("output0", "output1"), **said)


def yolo_by_its_library(rgb: Any, network: Any, *, is_sorted: bool = False) -> Any:
    """Non-maximum suppression by class, then masks: coefficients times prototypes, enlarged, above 0, cropped; the most
    confident on top."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    table, prototypes = (torch.from_numpy(v) for v in network(rgb))
    if is_sorted:
        kept = table[0][table[0][:, 4] > 0.25]
    else:
        rows = table[0].T
        confidence, classes = rows[:, 4 : 4 + len(NAMES)].max(1)
        rows = torch.cat([rows[:, :4], confidence[:, None], classes[:, None], rows[:, 4 + len(NAMES) :]], 1)
        rows = rows[confidence > 0.25]
        rows[:, :2], rows[:, 2:4] = rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2
        kept = suppressed(rows[rows[:, 4].argsort(descending=True)])
    shown = torch.einsum("nm,mhw->nhw", kept[:, 6:], prototypes[0])
    masks = torch.nn.functional.interpolate(shown[None], SIZE, mode="bilinear")[0] > 0
    labels = torch.zeros(SIZE, dtype=torch.uint8)
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    for row, mask in reversed(list(zip(kept, masks, strict=True))):
        inside = (x >= row[0]) & (x < row[2]) & (y >= row[1]) & (y < row[3])
        labels[mask & inside] = int(row[5]) + 1
    return labels.numpy()


def suppressed(rows: Any) -> Any:
    torch = pytest.importorskip("torch")
    kept: list[Any] = []
    for row in rows:
        if all(row[5] != other[5] or overlap(row, other) <= 0.7 for other in kept):
            kept.append(row)
    return torch.stack(kept)


def overlap(a: Any, b: Any) -> float:
    width = max(0.0, float(min(a[2], b[2]) - max(a[0], b[0])))
    height = max(0.0, float(min(a[3], b[3]) - max(a[1], b[1])))
    area = [float((c[2] - c[0]) * (c[3] - c[1])) for c in (a, b)]
    return width * height / (sum(area) - width * height)


def outputs_of(path: Path, scale: float = 255) -> Any:
    """What the graph itself answers to an image divided by `scale`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path))
    return lambda rgb: session.run(
        None, {"image": (rgb / np.float32(scale)).transpose(2, 0, 1)[None].astype(np.float32)}
    )


def own_labels(path: Path, rgb: Any, **options: Any) -> Any:
    return next(segtween.load(path, preset="every-frame", **options).stream([rgb])).labels


# ── YOLO ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_instances_are_merged_as_ultralytics_shows_them(tmp_path: Path, runtime: str, seed: int) -> None:
    path = yolo(tmp_path / "my.onnx", box_table(seed))
    record = inspect_onnx(path)
    save_record(record, record.path)
    assert load_record(record.path) == record
    rgb = colour_image(SIZE, seed=seed)
    expected = yolo_by_its_library(rgb, outputs_of(path))
    assert set(np.unique(expected)) == {0, 1, 2, 3}, "the picture shows all"
    np.testing.assert_array_equal(own_labels(path, rgb, runtime=runtime), expected)
    scores = open_segmenter(path, runtime=runtime)(rgb)
    assert scores.shape == (4, 16, 24)
    assert (scores.argmax(axis=0) == expected[2::4, 2::4]).mean() > 0.85


def test_boxes_that_the_graph_has_sorted_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    corners = rng.uniform((0, 0), np.array(SIZE[::-1]) / 2, (40, 2))
    confidence = np.sort(rng.beta(0.5, 2, (40, 1)), axis=0)[::-1]
    classes = rng.integers(0, len(NAMES), (40, 1))
    table = np.concatenate([corners, corners + 30, confidence, classes, rng.normal(size=(40, MASKS))], 1)[None]
    path = yolo(tmp_path / "my.onnx", table, end2end=True)
    record = inspect_onnx(path)
    save_record(record, record.path)
    rgb = colour_image(SIZE)
    expected = yolo_by_its_library(rgb, outputs_of(path), is_sorted=True)
    assert len(np.unique(expected)) == 4
    np.testing.assert_array_equal(own_labels(path, rgb), expected)


def test_what_the_metadata_says_is_not_guessed(tmp_path: Path) -> None:
    proposal = propose(yolo(tmp_path / "my.onnx"))
    record = proposal.record
    assert record.guessed == ()
    assert record.labels.names == ("background", "person", "car", "dog")
    assert (record.input.scale, record.input.mean, record.input.std) == (1.0, (0, 0, 0), (1, 1, 1))
    assert record.output.to_dict() == {
        "name": "output0", "kind": "yolo-seg", "layout": "NCHW", "stride": 4, "masks": "output1", "threshold": 0.25,
        "iou": 0.7,
    }  # fmt: skip
    assert proposal.sources["labels"] == "metadata"
    assert record.provenance["read_from"] == ["metadata"]


def test_nothing_that_is_confident_enough_is_background(tmp_path: Path) -> None:
    path = yolo(tmp_path / "my.onnx", box_table() * 0.01)
    record = inspect_onnx(path)
    save_record(record, record.path)
    assert not own_labels(path, colour_image(SIZE)).any()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"task": "detect"},
            "my.onnx is made for the task 'detect', as its metadata says; expected segment or semantic",
        ),
        ({"names": "person"}, "names in metadata is 'person'; expected class names, numbered from 0"),
        ({"names": {0: "a", 2: "b"}}, "names in metadata is .*; expected class names, numbered from 0"),
        ({"names": "__import__('os').system('id')"}, "names in metadata is .*; expected class names"),
        ({"names": {0: "a", 1: "a", 2: "b"}}, "names in metadata: label set 'custom' repeats a name"),
        (
            {"names": {0: "a", 1: "b"}},
            r"has 3 classes \(shape .*; expected 2, as label set 'custom' has beside its backg",
        ),
        ({"names": {i: f"class {i}" for i in range(300)}}, "label set 'classes301' has 301 classes; expected 1 to 254"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path: Path, said: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        inspect_onnx(yolo(tmp_path / "my.onnx", **said))


def test_a_semantic_network_of_ultralytics(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(3, 3, 1, 1)).astype(np.float32), "w")
    nodes = [helper.make_node("Conv", ["image", "w"], ["output0"])]
    said = {"task": "semantic", "names": NAMES, "stride": 32, "args": {"dynamic": True}}
    shape = ("image", FLOAT, [1, 3, "h", "w"])
    path = save_graph(tmp_path / "my.onnx", nodes, [shape], [("output0", FLOAT, None)], [weight], **said)
    record = inspect_onnx(path)
    assert record.guessed == ()
    assert record.labels.names == ("person", "car", "dog")
    assert record.input.multiple_of == 32


# ── Mask queries ──────────────────────────────────────────────────────────────────────────────


def queries(path: Path, classes: int = 5) -> Path:
    table = np.random.default_rng(3).normal(size=(1, QUERIES, classes + 1)) * 3
    return two_outputs(path, table, QUERIES, called=("class_queries_logits", "masks_queries_logits"))


def queries_by_their_library(rgb: Any, network: Any, kind: str, size_hw: tuple[int, int]) -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    table, masks = (torch.from_numpy(v) for v in network(rgb))
    if kind == "mask2former":
        masks = torch.nn.functional.interpolate(masks, (384, 384), mode="bilinear", align_corners=False)
    sums = torch.einsum("bqc,bqhw->bchw", table.softmax(-1)[..., :-1], masks.sigmoid())
    return torch.nn.functional.interpolate(sums, size_hw, mode="bilinear")[0].argmax(0).numpy()


@pytest.mark.parametrize("kind", ["maskformer", "mask2former", "oneformer"])
@pytest.mark.parametrize("size_hw", [SIZE, (90, 130)])
def test_queries_are_merged_as_transformers_does(tmp_path: Path, kind: Any, size_hw: tuple[int, int]) -> None:
    path = queries(tmp_path / "my.onnx")
    record = inspect_onnx(path, output_kind=kind, label_set=["a", "b", "c", "d", "e"])
    text = record.to_dict()
    text["input"] |= {"scale": 255.0, "mean": [0, 0, 0], "std": [50, 50, 50]}
    from segtween.models.records import record_from_dict

    save_record(record_from_dict(text, path=record.path), record.path)
    rgb = colour_image(size_hw, seed=4)
    from segtween.segmenters.network import resize

    expected = queries_by_their_library(resize(rgb, SIZE), outputs_of(path, 50), kind, size_hw)
    assert len(np.unique(expected)) >= 3, "the picture shows several"
    assert (own_labels(path, rgb) == expected).mean() > 0.999
    scores = open_segmenter(path)(rgb)
    assert scores.shape[0] == 5
    shares = np.exp(scores) / np.exp(scores).sum(axis=0)
    assert 0.2 < shares.max(axis=0).mean() < 1


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_one_rule_merges_arrays_and_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    rng = np.random.default_rng(1)
    table, masks = rng.normal(size=(QUERIES, 6)) * 3, rng.normal(size=(QUERIES, 7, 9)) * 200
    found = class_sums(table.astype(np.float32), masks.astype(np.float32), xp=np)
    in_torch = [torch.from_numpy(values[None]).float() for values in (table, masks)]
    np.testing.assert_allclose(found, class_sums(*in_torch, xp=torch)[0].numpy(), atol=1e-6)
    shares = in_torch[0].softmax(-1)[..., :-1]
    written_out = torch.einsum("bqc,bqhw->bchw", shares, in_torch[1].sigmoid())[0].numpy()
    np.testing.assert_allclose(found, written_out, atol=1e-6)


def test_config_files_beside_say_what_the_queries_are(tmp_path: Path) -> None:
    path = queries(tmp_path / "model.onnx", classes=3)
    (tmp_path / "config.json").write_text(
        '{"model_type": "mask2former", "id2label": {"0": "wall", "1": "sky", "2": "tree"}}'
    )
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28], "rescale_factor": 0.00392156862745098,'
        ' "size": {"height": 384, "width": 384}}'
    )
    proposal = propose(path)
    record = proposal.record
    assert record.guessed == ()
    assert (record.output.kind, record.labels.names) == ("mask2former", ("wall", "sky", "tree"))
    assert record.input.mean == (0.48, 0.46, 0.41)
    assert record.input.scale == pytest.approx(1)
    assert record.input.size_hw == SIZE, "the graph takes this one only"
    assert proposal.sources["output.kind"] == "config.json"
    assert proposal.sources["input.mean"] == "preprocessor_config.json"


# ── Refused by name ───────────────────────────────────────────────────────────────────────────


def test_an_instance_network_is_not_taken_for_semantic(tmp_path: Path) -> None:
    path = two_outputs(tmp_path / "my.onnx", box_table(), MASKS, called=("output0", "output1"))
    message = (
        r"boxes of instances and prototypes of their masks \(YOLO-seg\); expected what says how .*: yolo-seg; give"
    )
    with pytest.raises(ModelError, match=message):
        inspect_onnx(path)
    record = inspect_onnx(path, output_kind="yolo-seg")
    assert (record.output.name, record.output.masks) == ("output0", "output1")
    assert len(record.labels) == 4
    assert inspect_onnx(path, output_kind="logits").output.name == "output1", "who insists gets it"


def test_mask_queries_are_not_taken_for_semantic(tmp_path: Path) -> None:
    path = queries(tmp_path / "my.onnx")
    message = (
        r"class and mask queries \(MaskFormer, Mask2Former, OneFormer\); .*: maskformer or mask2former or oneformer"
    )
    with pytest.raises(ModelError, match=message):
        inspect_onnx(path)
    with pytest.raises(ModelError, match="which are not yolo-seg"):
        inspect_onnx(path, output_kind="yolo-seg")


def test_a_semantic_network_with_tokens_beside_is_one(tmp_path: Path) -> None:
    path = two_outputs(tmp_path / "my.onnx", np.zeros((1, 50, 256)), 7, called=("tokens", "scores"))
    record = inspect_onnx(path)
    assert (record.output.name, len(record.labels)) == ("scores", 7)
