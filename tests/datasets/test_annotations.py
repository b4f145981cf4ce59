"""What is exported comes back the same, and exports of other tools are read or refused by name."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtween.datasets.labelled import open_labelled
from segtween.errors import LabelError
from segtween.labels import CAMVID11, LabelSet
from segtween.masks.rle import to_boxed, to_brush, to_coco
from segtween.types import Frame, Result, ScoreMap, SourceInfo
from segtween.video import SaveOptions
from segtween.video.saving import open_sinks

SIZE = (37, 53)
YARD = LabelSet("yard", ("low <1>", 'the "high": 日本', "never"), ((200, 10, 10), (10, 200, 10), (1, 2, 3)), (4, 9, 5))
ONE = LabelSet("one", ("background", "cat"), ((200, 10, 10), (10, 200, 10)), (0, 1))
"""As a network of one channel has them: the background is a class, what is to be ignored another thing."""
FILES = {
    "cvat": "cvat.zip", "cvat-images": "cvat-images.xml", "cvat-video": "cvat-video.xml", "coco": "coco.json",
    "coco-polygons": "coco-polygons.json", "yolo": "yolo", "label-studio": "label-studio.json",
}  # fmt: skip


def labels(index: int, classes: int) -> np.ndarray:
    """Noise in blocks of three, with unknown pixels, pieces in holes, and classes that are not in every frame."""
    small = np.random.default_rng(index).integers(index % 2, classes + 1, (13, 18))
    large = np.kron(small, np.ones((3, 3), int))[: SIZE[0], : SIZE[1]]
    return np.where(large == classes, 255, large).astype(np.uint8)


def export(folder: Path, known: LabelSet, kinds: list[str], classes: int) -> list[np.ndarray]:
    info = SourceInfo("a&b", "a&b.mp4", SIZE, Fraction(25), 4)
    sink = open_sinks(folder, SaveOptions(kinds), info=info, labels=known)
    truth = [labels(i, classes) for i in range(4)]
    scores = ScoreMap(np.ones((len(known), 1, 1), np.float32), "probabilities", SIZE)
    for i, values in enumerate(truth):
        frame = Frame(i, Fraction(i, 25), np.zeros((*SIZE, 3), np.uint8))
        sink.write(frame, Result(i, i / 25, True, 0, False, values, scores))
    sink.close()
    return truth


@pytest.mark.parametrize("kind", FILES)
def test_what_is_exported_comes_back_the_same(tmp_path: Path, kind: str) -> None:
    for known, classes in ((CAMVID11, 11), (YARD, 2), (ONE, 2)):
        folder = tmp_path / known.name
        truth = export(folder, known, [kind], classes)
        for which in (None, known.name if known is CAMVID11 else write_set(tmp_path, known)):
            back = open_labelled(folder / FILES[kind], size_hw=SIZE, frames=4, labels=which)
            assert list(back.files) == [0, 1, 2, 3]
            named = {**dict(enumerate(back.labels.names)), 255: None}
            own = {**dict(enumerate(known.names)), 255: None}
            for i, values in enumerate(truth):
                got = back.read(i)
                assert all(own[v] == named[g] for v, g in set(zip(values.flat, got.flat, strict=True)))
            if which is None and kind not in ("label-studio", "yolo"):
                assert back.labels.colours == known.colours


def write_set(folder: Path, known: LabelSet) -> Path:
    path = folder / f"{known.name}.yaml"
    path.write_text(json.dumps({"names": known.names}))
    return path


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_pycocotools_reads_what_is_written(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    truth = export(tmp_path, CAMVID11, ["coco", "coco-polygons"], 11)
    for name in ("coco.json", "coco-polygons.json"):
        held = coco.COCO(str(tmp_path / name))
        assert [image["frame_index"] for image in held.loadImgs(held.getImgIds())] == [0, 1, 2, 3]
        again = np.full(SIZE, 255, np.uint8)
        for annotation in held.loadAnns(held.getAnnIds(imgIds=[3])):
            again[held.annToMask(annotation) > 0] = annotation["category_id"] - 1
            assert annotation["area"] == held.annToMask(annotation).sum()
        assert np.array_equal(again, truth[2])


def test_a_video_task_has_the_boxes_of_each_class(tmp_path: Path) -> None:
    truth = export(tmp_path, YARD, ["label-studio-video"], 2)
    (task,) = json.loads((tmp_path / "label-studio-video.json").read_text())
    results = {result["value"]["labels"][0]: result["value"] for result in task["predictions"][0]["result"]}
    assert task["data"] == {"video": "a&b.mp4"}
    low = results["low <1>"]
    assert (low["framesCount"], low["duration"]) == (4, pytest.approx(4 / 25))
    # Frames 1 and 3 hold none of it: each box ends with the frame before.
    assert [(box["frame"], box["enabled"]) for box in low["sequence"]] == [(1, False), (3, False)]
    columns = np.flatnonzero((truth[0] == 0).any(axis=0))
    assert low["sequence"][0]["x"] == pytest.approx(100 * columns[0] / SIZE[1])
    assert low["sequence"][0]["width"] == pytest.approx(100 * (columns[-1] + 1 - columns[0]) / SIZE[1])


# ── What other tools write ────────────────────────────────────────────────────────────────────


def square(left: int, top: int, side: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


def coco(segmentation: Any, **image: Any) -> dict[str, Any]:
    size = {"height": SIZE[0], "width": SIZE[1], **image}
    return {
        "images": [{"id": 7, "file_name": "left_0003.jpg", **size}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 90, "segmentation": segmentation}],
        "categories": [{"id": 90, "name": "box"}],
    }


def opened(path: Path, **options: Any) -> Any:
    return open_labelled(path, size_hw=SIZE, frames=10, **options)


def test_coco_of_other_tools(tmp_path: Path) -> None:
    path, mask = tmp_path / "instances.json", square(2, 3, 5)
    plain = {"size": list(SIZE), "counts": [2 * SIZE[0] + 3, *([5, SIZE[0] - 5] * 5)]}
    plain["counts"][-1] += SIZE[0] * SIZE[1] - sum(plain["counts"])
    for segmentation in (to_coco(mask), plain, [[2, 3, 7, 3, 7, 8, 2, 8]]):
        path.write_text(json.dumps(coco(segmentation)))
        back = opened(path, names=["left_0001", "left_0003"])
        assert back.labels.names == ("box",)
        assert np.array_equal(back.read(1) == 0, mask)


def test_label_studio_of_a_person(tmp_path: Path) -> None:
    path, mask = tmp_path / "project.json", square(2, 3, 5)
    brush = {"type": "brushlabels", "original_width": SIZE[1], "original_height": SIZE[0]}
    points = [[100 * x / SIZE[1], 100 * y / SIZE[0]] for x, y in ((20, 20), (30, 20), (30, 30), (20, 30))]
    result = [
        {**brush, "value": {"format": "rle", "rle": to_brush(mask), "brushlabels": ["car"]}},
        {"type": "polygonlabels", "value": {"points": points, "polygonlabels": ["person"]}},
        {"type": "rectanglelabels", "value": {"x": 1, "y": 1, "width": 5, "height": 5}},
    ]
    task = {"data": {"image": "/data/upload/1/000004.png"}, "annotations": [{"result": result}]}
    path.write_text(json.dumps([task]))
    back = opened(path, labels="camvid11")
    assert np.array_equal(back.read(4) == CAMVID11.index("car"), mask)
    assert (back.read(4)[20:30, 20:30] == CAMVID11.index("pedestrian")).all()


def test_cvat_draws_by_its_order_and_takes_archives(tmp_path: Path) -> None:
    box = " ".join(f'{k}="{v}"' for k, v in (to_boxed(square(0, 0, 6)) or {}).items())
    inner = (
        f'<image id="0" name="sub/frame_000002.png"><mask label="up" z_order="1" {box}/>'
        '<polygon label="down" z_order="0" points="0,0;10,0;10,10;0,10"/><box label="up" xtl="1"/></image>'
    )
    xml = (
        f"<annotations><meta><label><name>down</name></label><label><name>up</name></label></meta>{inner}</annotations>"
    )
    (tmp_path / "annotations.xml").write_text(xml)
    with zipfile.ZipFile(tmp_path / "job.zip", "w") as file:
        file.writestr("annotations.xml", xml)
    for path in (tmp_path / "annotations.xml", tmp_path / "job.zip", tmp_path):
        read = opened(path).read(2)
        assert (read[:6, :6] == 1).all()
        assert (read == 0).sum() == 100 - 36


@pytest.mark.parametrize("names", ["[a, b]", "{0: a, 1: b}"])
def test_yolo_of_other_tools(tmp_path: Path, names: str) -> None:
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "data.yaml").write_text(f"names: {names}\nnc: 2\n")
    (tmp_path / "labels" / "train" / "5.txt").write_text("1 0 0 0.5 0 0.5 1 0 1\n")
    read = opened(tmp_path).read(5)
    assert (read[:, : SIZE[1] // 2] == 1).all()
    assert (read[:, SIZE[1] // 2 + 1 :] == 255).all()


def as_json(values: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "a.json").write_text(values if isinstance(values, str) else json.dumps(values))
        return folder / "a.json"

    return write


def as_xml(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "a.xml").write_text(text)
        return folder / "a.xml"

    return write


def as_yolo(line: str, data: str = "names: [a]") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "labels").mkdir()
        (folder / "data.yaml").write_text(data)
        (folder / "labels" / "0.txt").write_text(line)
        return folder

    return write


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">]><annotations>&x;</annotations>'
IMAGE = '<annotations><meta><label><name>a</name></label></meta><image name="0.png">{}</image></annotations>'


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (as_json("{"), r"a\.json cannot be read \(JSONDecodeError.*; expected an export of CVAT, COCO, Label Studio"),
        (as_json("[" * 100_000), r"a\.json cannot be read \(it is nested very deeply"),
        (as_json({"x": 1}), r"a\.json cannot be read \(it is neither COCO nor Label Studio's"),
        (as_json(5), r"a\.json cannot be read \(TypeError"),
        (as_json([{"data": {}}]), r"a\.json cannot be read \(KeyError: 'image'"),
        (as_json({**coco([]), "categories": 3}), r"a\.json cannot be read \(TypeError"),
        (as_json(coco({"size": list(SIZE), "counts": "12"}, file_name="0.png")), "run lengths that do not fill"),
        (as_json(coco(to_coco(np.ones((4, 5), bool)), file_name="0.png")), "has a mask of 5x4 that cannot be read"),
        (as_json(coco([[1, 2, 3]], file_name="0.png")), "frame 0.png has .* that cannot be read; expected masks and"),
        (as_json(coco([], file_name="0.png", height=3)), "frame 0.png has a mask of 53x3 that cannot be read"),
        (as_xml(BOMB), r"a\.xml cannot be read \(it declares a document type"),
        (as_xml("<annotations>"), r"a\.xml cannot be read \(ParseError"),
        (as_xml("<annotations/>"), "names no class"),
        (as_xml(IMAGE.format('<mask label="a" rle="1"/>')), "frame 0.png has a shape that cannot be read"),
        (as_xml(IMAGE.format('<polygon label="a" points="1,2;x"/>')), r"a\.xml cannot be read \(ValueError"),
        (as_yolo("0 0.5 0.5 0.1 0.1\n"), r"0\.txt holds '0 0.5 0.5 0.1 0.1'; .*give segmentation labels, not boxes"),
        (as_yolo("3 0 0 1 0 1 1\n"), r"expected the number of a class of data.yaml and a polygon"),
        (as_yolo("0 0 0 nan 0 inf 1\n"), r"0\.txt holds '0 0 0 nan 0 inf 1'"),
        (as_yolo("", "names: 3"), "data.yaml names no class"),
    ],
)  # fmt: skip
def test_exports_that_cannot_be_used_are_refused(tmp_path: Path, write: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(LabelError, match=message) as caught:
        opened(write(tmp_path))
    assert "\n" not in str(caught.value)
